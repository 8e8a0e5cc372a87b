"""Puts a ledger together: the one place that names concrete adapters.

Rule: everything is handed in, everything is imported where it is used; opening a ledger imports
no sandbox, no git and no YAML.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.errors import GestaError
from ledger.files import Files
from ledger.finding import OPENED
from ledger.hands import Hands
from ledger.journal import Journal
from ledger.ledger import Ledger
from ledger.ports import BlobStore, Clock, Randomness

if TYPE_CHECKING:
    from adapters.backup.named_blobs import MakeBlobs
    from adapters.home import Home
    from adapters.key_file import KeyFile
    from adapters.reader import Reader
    from ledger.liveness import RunLock
    from ledger.redaction import Redactor
    from ledger.rules import Rules
    from ledger.spool import Spool


def open_ledger(
    home: Path | None = None, *, environment: Mapping[str, str] | None = None
) -> Ledger:
    """
    Open the ledger of a home, making it if there is none.

    *home* takes the place of `$GESTA_HOME`; *environment* that of the process's own. Raises
    `HomeRefused`, `StoreUnknown`, `StoreUnavailable`.
    """
    from adapters.home import home_id, open_home
    from adapters.provenance import provenance
    from adapters.world import SystemClock, SystemRandomness

    surroundings = dict(os.environ if environment is None else environment)
    if home is not None:
        surroundings["GESTA_HOME"] = str(home)
    ours = open_home(surroundings)
    clock, randomness = SystemClock(), SystemRandomness()
    journal = open_journal(ours, clock, randomness)
    identity, keys = home_id(ours), key_file(ours, journal.store.origin)
    journal.create_ledger(identity, provenance(None, surroundings, randomness), keys.make)
    return Ledger(
        Hands(
            journal=journal,
            keys=keys,
            clock=clock,
            randomness=randomness,
            environment=surroundings,
            told={"GESTA_HOME": str(ours.path)},
            home_id=identity,
            uid=os.getuid(),
            **_concrete_hands(ours, journal, surroundings),
        ),
        rules=lambda profile: _load_rules(ours, surroundings, profile),
        provenance=lambda actor: provenance(actor, surroundings, randomness),
        directory=Path.cwd(),
        named=lambda task, run: _named(journal, ours, task, run),
    )


def open_reader(ledger: Ledger) -> Reader:
    """Open the views of a ledger, making them if there are none; they may be behind its log."""
    return _open_reader(ledger.journal, Path(ledger.hands.told["GESTA_HOME"], "views.db"))


def _open_reader(journal: Journal, path: Path) -> Reader:
    from adapters.reader import Reader
    from adapters.sqlite_views import SQLiteViews

    return Reader(journal, SQLiteViews(path, journal.store.ledger_id))


def _named(journal: Journal, home: Home, task: str, run: str) -> list[tuple[str, str]]:
    with _open_reader(journal, home.views) as reader:
        return list(reader.named(task, run))


def key_file(home: Home, origin: str) -> KeyFile:
    """Return the keys of the log of this *origin*, in a home; nothing is read or made."""
    from adapters.key_file import KeyFile

    name = origin.removeprefix("gesta/").replace("/", ".")
    return KeyFile(home.keys / f"{name}.key", origin)


def key_file_of(ledger: Ledger) -> KeyFile:
    """Return the file of the keys that sign a ledger's log."""
    return key_file(home_of(ledger), ledger.journal.store.origin)


def open_journal(home: Home, clock: Clock, randomness: Randomness) -> Journal:
    """Open the event store of *home*, made if there is none; raises `StoreError`."""
    store = {
        "PERSISTENCE_MODULE": "adapters.sqlite_store",
        "SQLITE_DBNAME": str(home.database),
        "ORIGINATOR_ID_TYPE": "text",
    }
    return Journal(
        store,
        clock=clock,
        randomness=randomness,
        keys=lambda origin: key_file(home, origin),
    )


def blobs_of(home: Home) -> MakeBlobs:
    """Return what makes the blob store of *home*, over the rows of whichever database."""
    from adapters.blobs import Blobs

    return lambda rows: Blobs(home.blobs, rows=rows)


def _concrete_hands(home: Home, journal: Journal, environment: Mapping[str, str]) -> dict[str, Any]:
    from adapters.free_space import free_bytes
    from adapters.git_worktree import GitWorkspace
    from adapters.inventory import HomeInventory
    from adapters.locks import FlockRunLock
    from adapters.plain_directory import PlainDirectory
    from adapters.spool import SpoolFiles
    from adapters.survivors import ProcSurvivors
    from adapters.wiring.sandboxes import make_sandbox, marking_kinds
    from adapters.witness_background import sync_in_background
    from adapters.workspace_files import WorkspaceFiles

    locks, spool = FlockRunLock(home.locks), SpoolFiles(home.spool)
    blobs, files = blobs_of(home)(journal.store.blob_row), WorkspaceFiles()

    def ended(stream: str) -> None:
        _write_journal(journal, blobs, files, home.workspaces, stream)
        # Others learn of the log's head; nobody waits for them.
        sync_in_background(home)

    return {
        "blobs": blobs,
        "git": GitWorkspace(),
        "plain": PlainDirectory(home.path),
        "files": files,
        "locks": locks,
        "survivors": ProcSurvivors(),
        "spool": spool,
        "inventory": HomeInventory(home, spool, marking_kinds),
        "unfinished": partial(_unfinished, journal, locks, spool),
        "room": partial(free_bytes, home.path),
        "redactor": make_redactor,
        "sandboxes": lambda kind: make_sandbox(kind, environment),
        "workspaces": home.workspaces,
        "ended": ended,
    }


def _write_journal(
    journal: Journal, blobs: BlobStore, files: Files, workspaces: Path, stream: str
) -> None:
    from adapters.legacy_journal_file import write_legacy_journal

    try:
        write_legacy_journal(journal, blobs, files, workspaces, stream)
    except Exception as error:
        # Whatever it was: the run is on record, and the file can be written again.
        import logging

        name = "" if isinstance(error, GestaError) else f"{type(error).__name__}: "
        logging.getLogger("gesta").warning("gesta: no journal of run %s: %s%s", stream, name, error)


def _unfinished(journal: Journal, locks: RunLock, spool: Spool, thorough: bool) -> Iterable[str]:
    """Return the streams of runs that somebody worked in last; or of all, to be *thorough*."""
    found = dict.fromkeys((*locks.known(), *spool.streams()))
    if thorough:
        found |= dict.fromkeys(record.stream for record in journal.read(topics=OPENED))
    return found


def _load_rules(home: Home, environment: Mapping[str, str], profile: str | None) -> Rules:
    from adapters.profiles import PolicyProvider

    return PolicyProvider(home.profiles, environment).load(profile)


def home_of(ledger: Ledger) -> Home:
    """Return the home of an open ledger."""
    from adapters.home import Home, locate_home

    return Home(locate_home(ledger.hands.environment))


def make_redactor(patterns: tuple[str, ...]) -> Redactor:
    """Return what takes secrets out by these *patterns*; raises `PolicyInvalid`."""
    from adapters.redaction import RuleRedactor

    return RuleRedactor(patterns)
