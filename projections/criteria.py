"""Conditions on the rows of one table, put together as SQL that any database reads.

Rule 1: what a reader typed is always a parameter, never a part of the statement.
Rule 2: pages go by key: the next one begins where the last one ended, whatever was added since.
Rule 3: what is searched for comes in the order of the search, so that a page of many is quick.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Generic

from projections.columns import Cell, RowT, columns_of

if TYPE_CHECKING:
    from projections.projection import Table
    from projections.views import Search, Tables


class Criteria(Generic[RowT]):
    """
    What is wanted of *table*: every row at first, then fewer with each condition.

    In conditions and orders the table is `t`.
    """

    def __init__(self, table: Table[RowT]) -> None:
        self._table = table
        self._source = f'"{table.name}" AS t'
        self._number: str | None = None
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
                self.where(f't."{column}" = ?', value)
        return self

    def among(self, column: str, values: Collection[str]) -> Criteria[RowT]:
        """Want the rows whose *column* has one of *values*; none says nothing."""
        if values:
            self.where(f't."{column}" IN ({", ".join("?" * len(values))})', *sorted(values))
        return self

    def within(self, column: str, since: int | None, until: int | None) -> Criteria[RowT]:
        """Want the rows whose *column* lies between two values, both included."""
        if since is not None:
            self.where(f't."{column}" >= ?', since)
        if until is not None:
            self.where(f't."{column}" <= ?', until)
        return self

    def found(self, search: Search, by: str) -> Criteria[RowT]:
        """Want the rows whose column *by* is a number that *search* finds; before all else."""
        self._source = f"{search.source} CROSS JOIN {self._source}"
        self._number = search.number
        self.where(search.condition, *search.parameters)
        return self.where(f't."{by}" = {search.number}')

    def numbered(self, by: str, since: int | None, until: int | None) -> Criteria[RowT]:
        """Want the rows whose *by*, the number of a search where there is one, lies between."""
        number = self._number or f't."{by}"'
        if since is not None:
            self.where(f"{number} >= ?", since)
        if until is not None:
            self.where(f"{number} <= ?", until)
        return self

    def read(self, tables: Tables, *, order: str, limit: int | None = None) -> list[RowT]:
        """Return at most *limit* of the rows that are wanted, in this *order*."""
        columns = columns_of(self._table.row)
        names = ", ".join(f't."{name}"' for name in columns.names)
        if self._number is not None:
            order = f"{self._number} DESC" if order.endswith(" DESC") else self._number
        statement = f"SELECT {names} FROM {self._source}{self._clause()} ORDER BY {order}"
        parameters = list(self._parameters)
        if limit is not None:
            statement += " LIMIT ?"
            parameters.append(limit)
        return [columns.decode(cells) for cells in tables.select(statement, parameters)]

    def first(self, tables: Tables, column: str) -> Any:
        """Return the least value of *column* in the rows that are wanted; `None` without a row."""
        statement = f'SELECT min(t."{column}") FROM {self._source}{self._clause()}'
        return tables.select(statement, self._parameters)[0][0]

    def last(self, tables: Tables, column: str) -> Any:
        """Return the greatest value of *column* in the rows that are wanted; `None` without one."""
        statement = f'SELECT max(t."{column}") FROM {self._source}{self._clause()}'
        return tables.select(statement, self._parameters)[0][0]

    def cells(
        self, tables: Tables, columns: tuple[str, ...], *, order: str, limit: int
    ) -> list[tuple[Any, ...]]:
        """Return *columns* alone of at most *limit* of the rows that are wanted."""
        names = ", ".join(f't."{name}"' for name in columns)
        statement = f"SELECT {names} FROM {self._source}{self._clause()} ORDER BY {order} LIMIT ?"
        return tables.select(statement, [*self._parameters, limit])

    def _clause(self) -> str:
        return f" WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
