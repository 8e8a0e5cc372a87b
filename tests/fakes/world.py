"""A ledger whose hands are fakes and whose store is the real one, in a directory of the test's own.

Rule: a new `World` over the same directory and machine is a new process on the same machine.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from adapters.redaction import RuleRedactor
from ledger.events import Event
from ledger.hands import Hands
from ledger.journal import Journal
from ledger.ledger import Ledger
from ledger.outcomes import Unavailable
from ledger.ports import Sandbox
from ledger.recorded import Provenance, Recorded
from ledger.rules import Rules
from ledger.store import Store
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.fuse import Fuse
from tests.fakes.inventory import FakeInventory
from tests.fakes.keys import FakeKeys
from tests.fakes.locks import FakeLocks
from tests.fakes.machine import Machine, Witness
from tests.fakes.randomness import FixedRandomness
from tests.fakes.sandbox import FakeSandbox
from tests.fakes.spool import FakeSpool
from tests.fakes.survivors import FakeSurvivors
from tests.fakes.workspace import FakeWorkspace
from tests.ledger.samples import FACTS, TEXTS

HOME = "home-1"
CALLER = {"PATH": "/usr/bin", "HOME": "/home/ann", "LANG": "C", "MAIL": "/var/mail/ann"}
_processes = itertools.count()

E_ = TypeVar("E_", bound=Event)


def rules(**changes: Any) -> Rules:
    """Return the sample rules with *changes*, each to the half that has a field of its name."""
    names = set(FACTS.__struct_fields__)
    facts = {name: value for name, value in changes.items() if name in names}
    texts = {name: value for name, value in changes.items() if name not in names}
    permissive = msgspec.structs.replace(
        TEXTS, allowlist=(), env=("PATH", "HOME"), artifacts=(), branch=None, image=None
    )
    return Rules(
        msgspec.structs.replace(FACTS, **facts), msgspec.structs.replace(permissive, **texts)
    )


class BreakableStore:
    """A store that breaks before or after it has appended: failed and not kept, failed but kept."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse

    def insert_events(self, *args: Any, **named: Any) -> Sequence[int]:
        """Append, and break if it is time to."""
        self._fuse.pass_by("store.append")
        positions = self._store.insert_events(*args, **named)
        self._fuse.pass_by("store.appended")
        return positions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class World:
    """One process with a ledger in *directory* on *machine*; *profile* is its default one."""

    def __init__(
        self, directory: Path, machine: Machine | None = None, profile: Rules | None = None
    ) -> None:
        self.directory = directory
        self.machine = machine or Machine()
        self.profile = profile or rules()
        # No two processes draw the same bytes.
        self.process = next(_processes)
        self.randomness = FixedRandomness(self.process)
        self.clock = FakeClock(1_750_000_000_000_000 + self.process * 1_000_000)
        self.journal = Journal(
            {
                "PERSISTENCE_MODULE": "adapters.sqlite_store",
                "SQLITE_DBNAME": str(directory / "ledger.db"),
                "ORIGINATOR_ID_TYPE": "text",
                "GESTA_SYNCHRONOUS": "OFF",
            },
            clock=self.clock,
            randomness=self.randomness,
            keys=FakeKeys,
        )
        store = self.journal.store
        self.keys = FakeKeys(store.origin)
        self.journal.store = cast("Store", BreakableStore(store, self.machine.fuse))
        self.blobs = MemoryBlobs(self.machine.files, store.blob_row)
        self.git = FakeWorkspace("git", self.machine, self.events)
        self.plain = FakeWorkspace("plain", self.machine, self.events)
        self.files = FakeFiles(self.machine, self.events)
        self.locks = FakeLocks(self.machine.locked, self.machine.notes)
        self.spool = FakeSpool(self.machine.spooled, self.machine.rooms, self.machine.fuse)
        self.inventory = FakeInventory(self.machine)
        self.room = 1 << 30
        self.environment = dict(CALLER)
        self.made: list[FakeSandbox] = []
        self.sandbox_maker: Callable[[str, Machine, Witness], FakeSandbox] = FakeSandbox
        self._next: World | None = None
        self.ledger = self._ledger()

    def again(self) -> World:
        """Let this process die, and return the next one on the same machine."""
        self.machine.end_process()
        self.journal.close()
        self._next = World(self.directory, self.machine, self.profile)
        return self._next

    def end(self) -> None:
        """Let go of the store, here and in every process that followed."""
        self.journal.close()
        if self._next is not None:
            self._next.end()

    def events(self, stream: str) -> list[Event]:
        """Return what the store holds of a stream now."""
        return [record.event for record in self.records(stream)]

    def records(self, stream: str) -> list[Recorded]:
        """Return what the store holds of a stream now, with its envelopes."""
        return self.journal.history(stream)

    def kinds(self, stream: str) -> list[str]:
        """Return the names of the events of a stream, in order."""
        return [type(event).__name__ for event in self.events(stream)]

    def only(self, stream: str, kind: type[E_]) -> E_:
        """Return the one event of *kind* that a stream holds."""
        (found,) = [event for event in self.events(stream) if isinstance(event, kind)]
        return found

    def unfinished(self, thorough: bool) -> list[str]:
        """Return the streams of runs that may need recovery."""
        found = dict.fromkeys((*self.locks.known(), *self.spool.streams()))
        if thorough:
            opened = self.journal.read(topics=["run.opened.1"])
            found |= dict.fromkeys(record.stream for record in opened)
        return list(found)

    def forget_private(self) -> None:
        """Delete every private row, as somebody with the file could."""
        with sqlite3.connect(self.directory / "ledger.db") as database:
            database.execute("DELETE FROM private")
        database.close()

    def make_sandbox(self, kind: str) -> Sandbox | Unavailable:
        """Return a sandbox of *kind*, not yet created, or why there is none."""
        found = self.machine.kinds.get(
            kind, Unavailable(reason="unknown_kind", message="no adapter for it is installed")
        )
        if isinstance(found, Unavailable):
            return found
        self.made.append(self.sandbox_maker(kind, self.machine, self.events))
        return self.made[-1]

    def provenance(self, actor: str | None) -> Provenance:
        """Say who acts: each time under a trace of its own, as each process has."""
        return Provenance(
            actor=actor or "ann",
            via="argument" if actor else "os_user",
            host=f"host-{self.process}",
            trace=self.randomness.bytes(16).hex(),
            on_behalf_of="bob",
        )

    def _ledger(self) -> Ledger:
        hands = Hands(
            journal=self.journal,
            keys=self.keys,
            blobs=self.blobs,
            git=self.git,
            plain=self.plain,
            files=self.files,
            locks=self.locks,
            survivors=FakeSurvivors(self.machine.running, self.machine.stubborn),
            spool=self.spool,
            inventory=self.inventory,
            unfinished=self.unfinished,
            room=lambda: self.room,
            redactor=RuleRedactor,
            sandboxes=self.make_sandbox,
            clock=self.clock,
            randomness=self.randomness,
            environment=self.environment,
            told={"GESTA_HOME": str(self.directory)},
            workspaces=self.directory / "workspaces",
            home_id=HOME,
            uid=1000,
        )
        return Ledger(
            hands,
            rules=lambda _: self.profile,
            provenance=self.provenance,
            directory=Path("/home/ann/code/src"),
        )
