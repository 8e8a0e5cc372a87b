"""What the engine and the queries need of the place where views are kept.

Rule 1: the rows that a page of events gave and the position that it reached are written in one
transaction, or not at all.
Rule 2: one writer at a time, across processes; readers never wait for it, and see a view as it
was after some page.
Rule 3: a view being rebuilt is another generation, beside the live one, until it takes its place
at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import msgspec

from projections.columns import Cell, RowT
from projections.projection import Projection, Table
from projections.rows import Key, Rows

Generation = Literal["live", "next"]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The event that a projection could not fold, and what its handler said."""

    position: int
    stream: str
    version: int
    topic: str
    message: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a projection has come: *position* is the last event that its rows know of."""

    name: str
    version: int
    position: int = -1
    failure: Failure | None = None


class Writing(Protocol):
    """One transaction of the one writer."""

    def standing(self, name: str, generation: Generation) -> Standing | None:
        """Return how far a generation of a projection has come; `None` if there is none."""

    def begin(self, projection: Projection, generation: Generation) -> Standing:
        """Make the tables of a generation, empty, in place of whatever was there."""

    def names(self) -> Sequence[str]:
        """Return the names of all projections that there is any generation of."""

    def drop(self, name: str, generation: Generation) -> None:
        """Remove a generation of a projection, with its tables and its standing."""

    def load(self, table: Table[RowT], key: Key, generation: Generation) -> RowT | None:
        """Return one row."""

    def write(self, rows: Rows, standing: Standing, generation: Generation) -> None:
        """
        Put what changed in its place, and say how far that brings the projection.

        Raises `InputInvalid` for a row that does not fit its table: nothing may be committed then.
        """

    def erase(self) -> None:
        """Let no byte of what is deleted from here on stay in the files after the commit."""

    def delete_streams(self, projection: Projection, streams: Sequence[str]) -> None:
        """Delete the live rows of *streams*."""

    def swap(self, projection: Projection) -> None:
        """Let the next generation take the place of the live one, with all its indexes."""


class Snapshot(Protocol):
    """The live views as of one moment."""

    def standing(self, name: str) -> Standing | None:
        """Return how far a projection had come."""

    def scan(self, table: Table[Any]) -> Iterator[tuple[Cell, ...]]:
        """Yield the cells of every row, in the order of the key."""


class Views(Protocol):
    """Keeps the rows of projections."""

    def standings(self) -> Sequence[Standing]:
        """Return how far each live projection has come."""

    def writing(self) -> AbstractContextManager[Writing]:
        """Wait for the turn to write and begin a transaction, committed when the block ends."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Read the live views as of one moment."""

    def scratch(self) -> AbstractContextManager[Views]:
        """Lend views of their own, empty, that are gone when the block ends."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """
    A search, as a query has it: rows of *source* that meet *condition*, with its *parameters*.

    *number* is the key of what was found; in its order they come without being sorted.
    """

    source: str
    number: str
    condition: str
    parameters: tuple[Cell, ...]


class Tables(Protocol):
    """The live views as plain tables, for those who ask."""

    def select(self, statement: str, parameters: Sequence[Cell] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query in SQL with `?` for each of *parameters*."""

    def matching(
        self, table: Table[Any], texts: Sequence[str], column: str | None = None
    ) -> Search:
        """
        Return how the rows of *table* are found that hold all of *texts*.

        The words of a text, letters and digits, are found one after the other in one of the search
        columns (in *column* alone, if that is given), whatever stands between them and whatever
        their case. With a `*` at its end the last word may be the beginning of a longer one.
        Without a word nothing is found.
        """


class KeptViews(Views, Tables, Protocol):
    """Views that are kept from one process to the next, and can be asked."""

    def scratch(self) -> AbstractContextManager[KeptViews]:
        """Lend views of their own, empty, that are gone when the block ends."""

    def close(self) -> None:
        """Let go of them."""
