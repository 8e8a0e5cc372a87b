"""A log in memory: what the engine reads of a store.

Rule: rows are added at the end and never changed, but for private parts, which can go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from ledger.merkle import TreeHead
from ledger.store import Row, Store


class Log:
    """The half of `ledger.store.Store` that reads, over rows in a list."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: list[Row] = []
        self.pages_read = 0
        self.add(*rows)

    def add(self, *rows: Row) -> None:
        """Append *rows*, whose positions and versions are the next ones."""
        for row in rows:
            assert len(self.rows) == row.position
            assert sum(one.stream == row.stream for one in self.rows) == row.version
            self.rows.append(row)

    def erase(self, positions: Iterable[int]) -> None:
        """Let the private parts of these events go."""
        for position in positions:
            self.rows[position] = msgspec.structs.replace(self.rows[position], private=None)

    def tree_head(self) -> TreeHead:
        """Return a head of the right size; its edge is nobody's business here."""
        return TreeHead(len(self.rows), ())

    def page(self, *, after: int = -1, limit: int = 1000) -> Sequence[Row]:
        """Return at most *limit* rows with a position above *after*."""
        self.pages_read += 1
        return self.rows[after + 1 : after + 1 + limit]

    def stream_rows(self, stream: str) -> Sequence[Row]:
        """Return the rows of one stream."""
        return [row for row in self.rows if row.stream == stream]


def as_store(log: Log) -> Store:
    """Return *log* as what the engine takes: it asks a store for nothing else."""
    return cast("Store", cast("Any", log))
