"""Conditions on the rows of one table, put together as SQL that any database reads.

Rule 1: what a reader typed is always a parameter, never a part of the statement.
Rule 2: pages go by key: the next one begins where the last one ended, whatever was added since.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Generic

from projections.columns import Cell, RowT, columns_of

if TYPE_CHECKING:
    from projections.projection import Table
    from projections.views import Tables


class Criteria(Generic[RowT]):
    """What is wanted of *table*: every row at first, then fewer with each condition."""

    def __init__(self, table: Table[RowT]) -> None:
        self._table = table
        self._conditions: list[str] = []
        self._parameters: list[Cell] = []

    def where(self, condition: str, *parameters: Cell) -> Criteria[RowT]:
        """Want the rows that meet *condition*, with a `?` for each of *parameters*."""
        self._conditions.append(condition)
        self._parameters += parameters
        return self

    def equal(self, **wanted: Cell) -> Criteria[RowT]:
        """Want the rows that have these values; `None` says nothing."""
        for column, value in wanted.items():
            if value is not None:
                self.where(f'"{column}" = ?', value)
        return self

    def among(self, column: str, values: Collection[str]) -> Criteria[RowT]:
        """Want the rows whose *column* has one of *values*; none says nothing."""
        if values:
            self.where(f'"{column}" IN ({", ".join("?" * len(values))})', *sorted(values))
        return self

    def within(self, column: str, since: int | None, until: int | None) -> Criteria[RowT]:
        """Want the rows whose *column* lies between two values, both included."""
        if since is not None:
            self.where(f'"{column}" >= ?', since)
        if until is not None:
            self.where(f'"{column}" <= ?', until)
        return self

    def matching(
        self, tables: Tables, text: str | None, column: str | None = None
    ) -> Criteria[RowT]:
        """Want the rows that hold *text*, see `Tables.matching`; `None` says nothing."""
        if text is not None:
            keys, parameters = tables.matching(self._table, text, column)
            self.where(f'"{self._table.key[0]}" IN ({keys})', *parameters)
        return self

    def keys(self) -> tuple[str, tuple[Cell, ...]]:
        """Return the query for the keys of the rows that are wanted, and its parameters."""
        statement = f'SELECT "{self._table.key[0]}" FROM "{self._table.name}"{self._clause()}'
        return statement, tuple(self._parameters)

    def read(self, tables: Tables, *, order: str, limit: int | None = None) -> list[RowT]:
        """Return at most *limit* of the rows that are wanted, in this *order*."""
        columns = columns_of(self._table.row)
        names = ", ".join(f'"{name}"' for name in columns.names)
        statement = f'SELECT {names} FROM "{self._table.name}"{self._clause()} ORDER BY {order}'
        parameters = list(self._parameters)
        if limit is not None:
            statement += " LIMIT ?"
            parameters.append(limit)
        return [columns.decode(cells) for cells in tables.select(statement, parameters)]

    def group(self, tables: Tables, *, select: str, by: str, order: str, limit: int) -> list[Any]:
        """Return at most *limit* groups of the rows that are wanted, as *select* has them."""
        statement = (
            f'SELECT {select} FROM "{self._table.name}"{self._clause()}'
            f" GROUP BY {by} ORDER BY {order} LIMIT ?"
        )
        return tables.select(statement, [*self._parameters, limit])

    def _clause(self) -> str:
        return f" WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
