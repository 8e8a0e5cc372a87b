"""The one transaction that appends: events, private rows, small blobs and the tree.

Rule 1: all of it is durable when `append` returns, or none of it is there.
Rule 2: versions are checked under SQLite's write lock, so that of two writers one wins.
Rule 3: a batch that cannot be appended takes none of its group down with it; what fails the
transaction fails them all.
Rule 4: an append is a fixed number of statements: begin, look, one insert an event, one a private
part and one a small blob, the tree, commit; in a group, two more a batch; one more where the
signed head is to be kept.
Rule 5: the head is signed in the transaction that changes it. Nobody finds events that no
signature covers, not even after a crash.
Rule 6: what somebody else left is appended to only where its head is signed: whoever can write to
the database, and has no key, must not get a signature from the next append.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence

import msgspec
from eventsourcing.persistence import IntegrityError, StoredEvent

from adapters.sqlite.schema import describe_failure
from ledger.errors import StoreUnavailable, StoreUnknown
from ledger.merkle import TreeHead, extend, format_edge, parse_head
from ledger.outcomes import Blob
from ledger.store import IsSigned, PrivatePart, SignHead

# One look at the tree and at the stream's last version.
_LOOK = (
    "SELECT size, edge, note, (SELECT max(originator_version) FROM stored_events"
    " WHERE originator_id = ?) FROM tree"
)
_EVENT = "INSERT INTO stored_events VALUES (?, ?, ?, ?, ?, ?)"
_PRIVATE = "INSERT INTO private VALUES (?, ?, ?)"
_BLOB = "INSERT INTO blobs VALUES (?, ?) ON CONFLICT DO NOTHING"
_TREE = "UPDATE tree SET size = ?, edge = ?, note = ?"
_KEEP = "INSERT OR REPLACE INTO checkpoints VALUES (?, ?)"
# What says that these rows cannot be stored, and nothing about the transaction.
_OF_ONE_BATCH = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
)


class Batch(msgspec.Struct, frozen=True):
    """
    What one caller appends: consecutive *events* of one stream, and what goes with each.

    With *keep_head* the signed head that covers them is kept for good.
    """

    events: Sequence[StoredEvent]
    leaves: Sequence[bytes]
    private: Sequence[PrivatePart | None]
    blobs: Sequence[Blob]
    keep_head: bool = False

    def __post_init__(self) -> None:
        count = len(self.events)
        if not len(self.leaves) == len(self.private) == count:
            raise ValueError("cannot append: not every event has its leaf and its private part")
        if count > 1:
            first = self.events[0]
            for version, event in enumerate(self.events, first.originator_version):
                if (event.originator_id, event.originator_version) != (
                    first.originator_id,
                    version,
                ):
                    raise ValueError("cannot append: the events do not follow one another")


class Appender:
    """The writing end of *connection*; its caller has the turn to write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._size, self._edge, self._head = -1, b"", TreeHead(0, ())

    def append(
        self,
        batches: Sequence[Batch],
        sign: SignHead | None = None,
        is_signed: IsSigned | None = None,
    ) -> list[Sequence[int] | Exception]:
        """
        Append *batches* in one transaction; return each one's positions, or why it was not.

        *sign* makes the note of the new head, one for all of them; what it raises is raised, and
        nothing is appended. *is_signed* is asked about a head that is not our own. Raises
        `StoreUnknown` if it was not signed, `sqlite3.Error` if the transaction failed. Then
        nothing of it is there, unless the disk kept what it said it had not: whoever tries again
        finds that by its version.
        """
        cursor = self._cursor
        cursor.execute("BEGIN IMMEDIATE")
        try:
            outcomes, head = self._append_all(batches, is_signed)
            if head is not self._head:
                edge, note = format_edge(head), sign(head) if sign else b""
                cursor.execute(_TREE, (head.size, edge, note))
                if note and any(batch.keep_head for batch in batches):
                    cursor.execute(_KEEP, (head.size, note))
                self._size, self._edge, self._head = head.size, edge, head
            cursor.execute("COMMIT")
        except BaseException:
            # SQLite itself rolls back on some failures (a full disk), and on others does not.
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            raise
        return outcomes

    def keep(self, size: int, note: bytes, instead_of: bytes | None) -> bool:
        """
        Keep a note as the checkpoint of *size*, if the one there still is *instead_of*.

        Raises `sqlite3.Error`.
        """
        if instead_of is None:
            statement, parameters = "INSERT INTO checkpoints VALUES (?, ?)", (size, note)
            statement += " ON CONFLICT DO NOTHING"
            return self._cursor.execute(statement, parameters).rowcount == 1
        statement = "UPDATE checkpoints SET note = ? WHERE size = ? AND note = ?"
        return self._cursor.execute(statement, (note, size, instead_of)).rowcount == 1

    def _append_all(
        self, batches: Sequence[Batch], is_signed: IsSigned | None
    ) -> tuple[list[Sequence[int] | Exception], TreeHead]:
        cursor, grouped, head = self._cursor, len(batches) > 1, None
        outcomes: list[Sequence[int] | Exception] = []
        for batch in batches:
            found = cursor.execute(_LOOK, (batch.events[0].originator_id,)).fetchone()
            size, edge, note, last = found
            if head is None:
                head = self._current(size, edge, note, is_signed)
            if refusal := _conflict(batch.events[0], last):
                outcomes.append(refusal)
                continue
            if grouped:
                cursor.execute("SAVEPOINT batch")
            try:
                self._insert(batch, head.size)
            except _OF_ONE_BATCH as error:
                if not grouped:
                    raise
                cursor.execute("ROLLBACK TO batch")
                outcomes.append(append_failure(error))
            else:
                longer = extend(head, batch.leaves)
                outcomes.append(range(head.size, longer.size))
                head = longer
            if grouped:
                cursor.execute("RELEASE batch")
        return outcomes, head or self._head

    def _current(self, size: int, edge: bytes, note: bytes, is_signed: IsSigned | None) -> TreeHead:
        # Mostly the head is the one that we left. Reading it again would be a third of the work.
        if size != self._size or edge != self._edge:
            head = read_head(size, edge)
            if size and is_signed and not is_signed(head, note):
                raise StoreUnknown(
                    f"cannot append to the ledger: no key of its own signed its head of {size} "
                    "events; look with `gesta verify`, and restore a backup if they were changed"
                )
            self._size, self._edge, self._head = size, edge, head
        return self._head

    def _insert(self, batch: Batch, position: int) -> None:
        execute = self._cursor.execute
        for event, leaf, part in zip(batch.events, batch.leaves, batch.private, strict=True):
            execute(
                _EVENT,
                (
                    position,
                    event.originator_id,
                    event.originator_version,
                    event.topic,
                    event.state,
                    leaf,
                ),
            )
            if part is not None:
                execute(_PRIVATE, (position, part.salt, part.body))
            position += 1
        for blob in batch.blobs:
            if blob.row is not None:
                execute(_BLOB, (blob.digest, blob.row))


def read_head(size: int, edge: bytes) -> TreeHead:
    """Return the tree's head as it is stored; raises `StoreUnknown` if it is not one."""
    try:
        return parse_head(size, edge)
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreUnknown(f"cannot read the ledger's tree: {error}") from error


def append_failure(error: Exception) -> Exception:
    """Return the error of ours that a caller gets for SQLite's."""
    if isinstance(error, sqlite3.IntegrityError):
        # Versions were checked before: what is left is a position that is taken already.
        return StoreUnknown(
            f"cannot append to the ledger: its events are not those of its tree ({error})"
        )
    return StoreUnavailable(f"cannot append to the ledger: {describe_failure(error)}")


def _conflict(first: StoredEvent, last: int | None) -> Exception | None:
    expected = 0 if last is None else last + 1
    if first.originator_version == expected:
        return None
    return IntegrityError(
        f"cannot append version {first.originator_version} to stream {first.originator_id}: "
        f"its next version is {expected}"
    )
