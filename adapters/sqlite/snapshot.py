"""The whole ledger as of one moment, read by whoever checks it.

Rule: one read transaction. Appends go on beside it (write-ahead log) and are not seen in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain
from typing import Any

from adapters.sqlite.schema import describe_failure
from ledger.errors import StoreUnavailable, StoreUnknown
from ledger.store import ScannedRow

SCANNED = (
    "SELECT e.position, e.originator_id, e.originator_version, e.topic, e.state, e.leaf,"
    " p.salt, p.body FROM stored_events e LEFT JOIN private p ON p.position = e.position"
)
# SQLite's integers end here.
_LAST = 2**63 - 1


class SQLiteSnapshot:
    """What *connection* sees within the transaction that it has begun."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def head(self) -> tuple[int, bytes, bytes]:
        """Return the tree's size, its edge and the note of both, as they are stored."""
        ((size, edge, note),) = self._each("SELECT size, edge, note FROM tree")
        if not isinstance(size, int) or size < 0:
            raise StoreUnknown("cannot read the ledger's tree: its size is no number")
        return size, _bytes(edge), _bytes(note)

    def rows(self, *, after: int = -1, below: int | None = None) -> Iterator[ScannedRow]:
        """Yield every stored event with a position above *after* and below *below*, in order."""
        statement = f"{SCANNED} WHERE e.position > ? AND e.position < ? ORDER BY e.position"
        return self._each(statement, after, _LAST if below is None else below)

    def leaves(self, *, after: int = -1) -> Iterator[tuple[int, bytes]]:
        """Yield position and leaf of every stored event above *after*, in order."""
        statement = "SELECT position, leaf FROM stored_events WHERE position > ? ORDER BY position"
        return self._each(statement, after)

    def stream(self, stream: str) -> Iterator[ScannedRow]:
        """Yield the stored events of one stream, in the order of their versions."""
        return self._each(
            f"{SCANNED} WHERE e.originator_id = ? ORDER BY e.originator_version", stream
        )

    def checkpoints(self, *, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield the kept notes of sizes above *after* with these, in order."""
        statement = "SELECT size, note FROM checkpoints WHERE size > ? ORDER BY size"
        return ((size, _bytes(note)) for size, note in self._each(statement, after))

    def _each(self, statement: str, *parameters: object) -> Iterator[Any]:
        try:
            # Chained, so that whoever stops in the middle does not close what is closed by then.
            yield from chain(self._connection.execute(statement, parameters))
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot read the ledger: {describe_failure(error)}") from error


def _bytes(value: object) -> bytes:
    # A column takes any type from whoever writes to the file.
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b""
