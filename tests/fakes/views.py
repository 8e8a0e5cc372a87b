"""Views in memory, which assert what the engine owes to every place where views are kept.

Rule 1: one transaction at a time; what it wrote is there when its block ends well, else nothing.
Rule 2: a position never goes back, but by beginning anew, and rows come with their position.
Rule 3: the cells are those that a database gives back, in the order of the keys.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ledger.errors import InputInvalid
from projections.columns import Cell, RowT, columns_of
from projections.projection import Projection, Table
from projections.rows import Key, Rows
from projections.views import Generation, Standing

_Cells = tuple[Cell, ...]


class _View(msgspec.Struct):
    standing: Standing
    tables: dict[str, dict[Key, _Cells]]


class MemoryViews:
    """It satisfies `projections.views.Views`; *transactions* counts those that were begun."""

    def __init__(self) -> None:
        self.transactions = 0
        self._views: dict[tuple[str, Generation], _View] = {}
        self._is_writing = False

    def standings(self) -> Sequence[Standing]:
        """Return how far each live projection has come."""
        live = [view.standing for (_, kind), view in self._views.items() if kind == "live"]
        return sorted(live, key=lambda standing: standing.name)

    @contextlib.contextmanager
    def writing(self) -> Iterator[MemoryWriting]:
        """Begin a transaction, committed when the block ends."""
        assert not self._is_writing
        self._is_writing = True
        self.transactions += 1
        writing = MemoryWriting(copy.deepcopy(self._views))
        try:
            yield writing
            assert not writing.is_broken
            self._views = writing.views
        finally:
            writing.is_over = True
            self._is_writing = False

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[MemorySnapshot]:
        """Read the live views as of one moment."""
        yield MemorySnapshot(copy.deepcopy(self._views))

    @contextlib.contextmanager
    def scratch(self) -> Iterator[MemoryViews]:
        """Lend views of their own, empty, that are gone when the block ends."""
        yield MemoryViews()


class MemoryWriting:
    """One transaction over *views*; see `projections.views.Writing`."""

    def __init__(self, views: dict[tuple[str, Generation], _View]) -> None:
        self.views = views
        self.is_over = False
        self.is_broken = False
        self._is_erasing = False

    def standing(self, name: str, generation: Generation) -> Standing | None:
        """Return how far a generation of a projection has come; `None` if there is none."""
        view = self._view(name, generation)
        return view.standing if view else None

    def begin(self, projection: Projection, generation: Generation) -> Standing:
        """Make the tables of a generation, empty, in place of whatever was there."""
        ours = {table.name for table in projection.tables}
        for (name, _), view in self.views.items():
            if name != projection.name and ours & view.tables.keys():
                raise InputInvalid(f"cannot build projection {projection.name}: table taken")
        standing = Standing(name=projection.name, version=projection.version)
        self.views[projection.name, generation] = _View(standing, {name: {} for name in ours})
        return standing

    def names(self) -> Sequence[str]:
        """Return the names of all projections that there is any generation of."""
        return sorted({name for name, _ in self.views})

    def drop(self, name: str, generation: Generation) -> None:
        """Remove a generation of a projection."""
        self.views.pop((name, generation), None)

    def load(self, table: Table[RowT], key: Key, generation: Generation) -> RowT | None:
        """Return one row."""
        cells = self._table(table, generation).get(_kept(key))
        return None if cells is None else columns_of(table.row).decode(cells)

    def write(self, rows: Rows, standing: Standing, generation: Generation) -> None:
        """Put what changed in its place, and say how far that brings the projection."""
        view = self._view(standing.name, generation)
        assert view is not None
        assert view.standing.version == standing.version
        assert view.standing.position <= standing.position
        for table, changed in rows.changes():
            assert table.name in view.tables
            for key, row in changed.items():
                self._put(standing.name, table, view.tables[table.name], (_kept(key), row))
        view.standing = standing

    def erase(self) -> None:
        """Let nothing of what is deleted from here on stay."""
        self._is_erasing = True

    def delete_streams(self, projection: Projection, streams: Sequence[str]) -> None:
        """Delete the live rows of *streams*."""
        assert self._is_erasing
        assert projection.by_stream
        for table in projection.tables:
            at = columns_of(table.row).names.index("stream")
            kept = self._table(table, "live")
            for key in [key for key, cells in kept.items() if cells[at] in streams]:
                del kept[key]

    def swap(self, projection: Projection) -> None:
        """Let the next generation take the place of the live one."""
        self.views[projection.name, "live"] = self.views.pop((projection.name, "next"))

    def _put(
        self,
        owner: str,
        table: Table[Any],
        kept: dict[Key, _Cells],
        change: tuple[Key, msgspec.Struct | None],
    ) -> None:
        key, row = change
        if row is None:
            kept.pop(key, None)
            return
        try:
            columns_of(table.row).check(row)
        except ValueError as error:
            self.is_broken = True
            raise InputInvalid(f"cannot write the rows of projection {owner}: {error}") from error
        kept[key] = _kept(columns_of(table.row).encode(row))

    def _view(self, name: str, generation: Generation) -> _View | None:
        assert not self.is_over
        return self.views.get((name, generation))

    def _table(self, table: Table[Any], generation: Generation) -> dict[Key, _Cells]:
        assert not self.is_over
        return next(
            view.tables[table.name]
            for (_, kind), view in self.views.items()
            if kind == generation and table.name in view.tables
        )


class MemorySnapshot:
    """The live views of one moment; see `projections.views.Snapshot`."""

    def __init__(self, views: dict[tuple[str, Generation], _View]) -> None:
        self._views = views

    def standing(self, name: str) -> Standing | None:
        """Return how far a projection had come."""
        view = self._views.get((name, "live"))
        return view.standing if view else None

    def scan(self, table: Table[Any]) -> Iterator[_Cells]:
        """Yield the cells of every row, in the order of the key."""
        for (_, kind), view in self._views.items():
            if kind == "live" and table.name in view.tables:
                kept = view.tables[table.name]
                yield from (kept[key] for key in sorted(kept, key=lambda key: [*map(_rank, key)]))


def _kept(cells: _Cells) -> _Cells:
    """Return cells as a database gives them back: truth values are numbers there."""
    return tuple(int(cell) if isinstance(cell, bool) else cell for cell in cells)


def _rank(cell: Cell) -> tuple[int, Any]:
    """Return what puts a cell in its place among others: numbers, then text, then bytes."""
    if isinstance(cell, str):
        return 1, cell.encode()
    return (2, cell) if isinstance(cell, bytes) else (0, cell)
