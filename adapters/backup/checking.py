"""A database out of an archive, held against itself before anything believes it.

Rule 1: it is whoever's: what SQLite, the schema, the tree and the commitments say must agree.
Rule 2: the signed head is held against the key that the log itself names. That says that it was
not damaged; who made it, only somebody who knows the key from elsewhere can say.
Rule 3: nothing is asked of the archive that the database itself can say; the manifest must only
not contradict it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import msgspec

from adapters.backup.archive import Manifest
from adapters.backup.named_blobs import MakeBlobs, blob_rows, is_whole, named_blobs
from adapters.ed25519_signer import check_ed25519
from adapters.sqlite.append import read_head
from adapters.sqlite.migration import migrate_database
from adapters.sqlite.schema import check_schema, connect
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.codec import commitment, decode_facts
from ledger.errors import BackupRefused, ProofInvalid, StoreError
from ledger.keys import KeyHistory
from ledger.merkle import TreeHead, event_leaf, extend, root
from ledger.store import PrivatePart

_ROWS = (
    "SELECT e.position, e.originator_id, e.originator_version, e.topic, e.state, e.leaf,"
    " p.salt, p.body FROM stored_events e LEFT JOIN private p ON p.position = e.position"
    " ORDER BY e.position"
)


class _Committed(msgspec.Struct, frozen=True):
    commitment: str


_facts = msgspec.json.Decoder(_Committed)


def check_restored(database: Path, blobs: MakeBlobs, manifest: Manifest) -> tuple[str, ...]:
    """
    Return the digests of the blobs that are missing, which the *manifest* has to say as well.

    A store of an older version is brought to today's first. Raises `BackupRefused` if rows, tree,
    commitments, blobs or manifest do not agree.
    """
    try:
        with contextlib.closing(connect(database)) as connection:
            _check_pages(connection)
        if (kept := migrate_database(database).kept) is not None:
            # The backup is the copy.
            kept.unlink()
        with contextlib.closing(connect(database)) as connection:
            ledger, origin = check_schema(connection, database)
            head = _check_log(connection)
            note = _check_note(connection, ledger, origin, head)
            found = (ledger, head.size, root(head).hex(), note)
            if found != (manifest.ledger, manifest.size, manifest.root, manifest.note):
                raise BackupRefused("cannot restore: its events are not those that it says it has")
            there = blobs(blob_rows(connection))
            lost = [name for name in set(named_blobs(connection)) if not is_whole(there, name)]
    except (StoreError, ProofInvalid) as error:
        raise BackupRefused(f"cannot restore: {error}") from error
    except (sqlite3.Error, msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
        raise BackupRefused(f"cannot restore: its database is damaged ({error})") from error
    known = {name.sha256 for name in manifest.missing}
    for name in lost:
        if name.sha256 not in known:
            raise BackupRefused(f"cannot restore: its blob {name.sha256} is missing or damaged")
    return tuple(sorted(name.sha256 for name in lost))


def _check_pages(connection: sqlite3.Connection) -> None:
    problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise BackupRefused(f"cannot restore: its database is damaged ({problem})")


def _check_log(connection: sqlite3.Connection) -> TreeHead:
    """Return the head that the rows amount to, which must be the one that is stored."""
    head, versions = TreeHead(0, ()), dict[str, int]()
    for position, stream, version, topic, facts, leaf, salt, body in connection.execute(_ROWS):
        if position != head.size or version != versions.get(stream, -1) + 1:
            raise BackupRefused(f"cannot restore: its events are not in order at {position}")
        if leaf != event_leaf(stream, version, topic, facts):
            raise BackupRefused(f"cannot restore: event {position} is not the one in its tree")
        if body is not None and _facts.decode(facts).commitment != commitment(
            PrivatePart(salt, body)
        ):
            raise BackupRefused(f"cannot restore: event {position} has another private part")
        versions[stream] = version
        head = extend(head, (leaf,))
    stored = read_head(*connection.execute("SELECT size, edge FROM tree").fetchone())
    if head != stored:
        raise BackupRefused("cannot restore: its events are not those of its tree")
    return head


def _check_note(
    connection: sqlite3.Connection, ledger: str, origin: str, head: TreeHead
) -> str | None:
    """Return the signed checkpoint of *head*, or `None` where none was made."""
    keys = KeyHistory(check_ed25519)
    query = "SELECT position, topic, state FROM stored_events WHERE originator_id = ?"
    for position, topic, facts in connection.execute(f"{query} ORDER BY position", (ledger,)):
        keys.take(position, decode_facts(topic, facts).event)
    note = bytes(connection.execute("SELECT note FROM tree").fetchone()[0])
    key = keys.at(head.size)
    if not note and key is None:
        return None
    signed = open_checkpoint(note, [] if key is None else [key], check_ed25519)
    if signed != Checkpoint(origin, head.size, root(head)):
        raise BackupRefused("cannot restore: its signed checkpoint is of other events")
    return note.decode()
