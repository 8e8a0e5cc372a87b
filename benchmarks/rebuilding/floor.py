"""The floor of a rebuild: one straight program that writes the same rows, on nothing but sqlite3.

Rule 1: it scans, decodes, folds and writes what `projections.engine` does, with the same handlers,
tables, indexes and full text. It keeps no position, can be resumed by nobody, forgets no row that
is needed again, collects no garbage (there is none), and does not care what survives a crash.
Rule 2: below it lies what no fold can be part of: scanning, decoding, and writing ready rows.
"""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from adapters.sqlite import view_tables as sql
from ledger.codec import decode
from ledger.recorded import Recorded
from ledger.store import PrivatePart, Row
from projections.audit_trail import TRAIL
from projections.columns import columns_of
from projections.projection import Projection, Table
from projections.rows import Key, Rows

_PAGE = 5000
_SCAN = (
    "SELECT e.position, e.originator_id, e.originator_version, e.topic, e.state, e.leaf,"
    " p.salt, p.body FROM stored_events e LEFT JOIN private p USING (position) ORDER BY e.position"
)


class Held:
    """Every row of one projection, as `projections.rows.Rows` has those of a page."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Key, Any]] = {}
        self._changed: dict[str, dict[Key, Any]] = {}
        self.pending: dict[Any, Any] = {}

    def get(self, table: Table[Any], *key: Any) -> Any:
        """Return a row, or `None`."""
        changed = self._changed.get(table.name, {})
        return changed[key] if key in changed else self._rows.get(table.name, {}).get(key)

    def put(self, table: Table[Any], row: Any) -> None:
        """Put a row in its place."""
        key = tuple([getattr(row, name) for name in table.key])
        self._changed.setdefault(table.name, {})[key] = row

    def remove(self, table: Table[Any], *key: Any) -> None:
        """Remove a row."""
        self._changed.setdefault(table.name, {})[key] = None

    def flush(self, projection: Projection, write: sqlite3.Connection) -> None:
        """Write what has changed."""
        projection.settle(cast("Rows", self))
        for table in projection.tables:
            changed = self._changed.get(table.name, {})
            gone = [key for key, row in changed.items() if row is None]
            if gone:
                name = sql.table_name(table, "live")
                write.executemany(f"DELETE FROM {name} WHERE {sql.by_key(table)}", gone)
            encode = columns_of(table.row).encode
            cells = [encode(row) for row in changed.values() if row is not None]
            write.executemany(sql.put(table, "live"), cells)
            # No handler ever asks for a row of the trail again.
            if table is not TRAIL:
                self._rows.setdefault(table.name, {}).update(changed)
        self._changed, self.pending = {}, {}


def write_views(ledger: Path, target: Path, projections: Sequence[Projection]) -> None:
    """Write the views of the ledger in the database *ledger* into a new database *target*."""
    gc.disable()
    with (
        contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as read,
        contextlib.closing(_open(target)) as write,
    ):
        for table in _tables(projections):
            write.execute(sql.create(table, "live"))
        _fill(read, write, projections)
        for table in _tables(projections):
            for statement in sql.indexes(table):
                write.execute(statement)
        write.execute("COMMIT")


def copy_rows(ledger: Path, made: Path, target: Path, projections: Sequence[Projection]) -> float:
    """
    Scan and decode the ledger, and write the rows that the views in *made* hold: without a fold.

    Returns the seconds that this took; reading the rows does not count.
    """
    gc.disable()
    began = time.perf_counter()
    private = _private(projections)
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as read:
        for cells in read.execute(_SCAN):
            _record(cells, private)
    spent = time.perf_counter() - began
    with (
        contextlib.closing(sqlite3.connect(f"file:{made}?mode=ro", uri=True)) as rows,
        contextlib.closing(_open(target)) as write,
    ):
        for table in _tables(projections):
            write.execute(sql.create(table, "live"))
            found = rows.execute(sql.select(table, "live"))
            while page := found.fetchmany(_PAGE):
                began = time.perf_counter()
                write.executemany(sql.put(table, "live"), page)
                spent += time.perf_counter() - began
        began = time.perf_counter()
        for table in _tables(projections):
            for statement in sql.indexes(table):
                write.execute(statement)
        write.execute("COMMIT")
        return spent + time.perf_counter() - began


def _open(target: Path) -> sqlite3.Connection:
    write = sqlite3.connect(target, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536"):
        write.execute(f"PRAGMA {pragma}")
    write.execute("BEGIN")
    return write


def _fill(
    read: sqlite3.Connection, write: sqlite3.Connection, projections: Sequence[Projection]
) -> None:
    held = [(one, one.handlers.kinds, one.handlers.every, Held()) for one in projections]
    scan = read.execute(_SCAN)
    private = _private(projections)
    while page := scan.fetchmany(_PAGE):
        records = [_record(cells, private) for cells in page]
        for projection, kinds, every, rows in held:
            for record in records:
                folding = kinds.get(type(record.event), every)
                if folding is not None:
                    folding(record, cast("Rows", rows))
            rows.flush(projection, write)


def _record(cells: tuple[Any, ...], private: Any) -> Recorded:
    position, stream, version, topic, facts, leaf, salt, body = cells
    part = None if body is None else PrivatePart(salt, body)
    row = Row(
        position=position,
        stream=stream,
        version=version,
        topic=topic,
        facts=facts,
        leaf=leaf,
        private=part,
    )
    return decode(row, private)


def _private(projections: Sequence[Projection]) -> frozenset[Any] | None:
    if any(one.reads_private is None for one in projections):
        return None
    return frozenset().union(*(one.reads_private or () for one in projections))


def _tables(projections: Sequence[Projection]) -> Iterator[Table[Any]]:
    for projection in projections:
        yield from projection.tables
