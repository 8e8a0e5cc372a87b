"""The rows that one page of events changes, in memory, until the page is written.

Rule 1: a row that was changed is read back as changed; one that was not comes from the view.
Rule 2: nothing is written here: dropping this object undoes the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import msgspec

from projections.columns import Cell, RowT, columns_of

if TYPE_CHECKING:
    from projections.projection import Table

Key = tuple[Cell, ...]
Load = Callable[[Any, Key], Any]


class Rows:
    """
    The rows of one projection's tables, as they are in the middle of a page.

    *load* returns a row by its key from the view as it was before the page, or `None`. With
    *is_checked* a row that does not fit its table is refused when it is put.
    """

    def __init__(self, load: Load, *, is_checked: bool = False) -> None:
        self._load = load
        self._is_checked = is_checked
        self._loaded: dict[tuple[str, Key], Any] = {}
        self._changed: dict[str, dict[Key, Any]] = {}
        self._tables: dict[str, Any] = {}
        # What a handler keeps until the page ends, for `Projection.settle` to put into rows.
        self.pending: dict[Any, Any] = {}

    def get(self, table: Table[RowT], *key: Cell) -> RowT | None:
        """Return the row with this *key*, or `None`."""
        changed = self._changed.get(table.name)
        if changed is not None and key in changed:
            return cast("RowT | None", changed[key])
        place = (table.name, key)
        if place not in self._loaded:
            self._loaded[place] = self._load(table, key)
        return cast("RowT | None", self._loaded[place])

    def put(self, table: Table[RowT], row: RowT) -> None:
        """Put *row* in the place of the one with its key; raises `ValueError` if it is checked."""
        if self._is_checked:
            columns_of(table.row).check(row)
        names = table.key
        if len(names) == 1:
            key: Key = (getattr(row, names[0]),)
        else:
            key = tuple([getattr(row, name) for name in names])
        try:
            self._changed[table.name][key] = row
        except KeyError:
            self._tables[table.name] = table
            self._changed[table.name] = {key: row}

    def remove(self, table: Table[Any], *key: Cell) -> None:
        """Remove the row with this *key*, if there is one."""
        self._tables[table.name] = table
        self._changed.setdefault(table.name, {})[key] = None

    def changes(self) -> Iterator[tuple[Table[Any], dict[Key, msgspec.Struct | None]]]:
        """Yield what changed, table by table: rows by their keys, `None` for one that is gone."""
        for name, changed in self._changed.items():
            yield self._tables[name], changed
