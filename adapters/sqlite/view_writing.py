"""One transaction of the one writer of views: rows and position together.

Rule 1: what is written here is committed by whoever opened the transaction, or none of it is.
Rule 2: a table belongs to one projection; another that claims its name is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from adapters.sqlite import view_tables as sql
from ledger.errors import InputInvalid
from projections.columns import Cell, RowT, columns_of
from projections.projection import Projection, Table
from projections.rows import Key, Rows
from projections.views import Failure, Generation, Standing

STANDINGS = """CREATE TABLE gesta_standings (
    name TEXT NOT NULL,
    generation TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    failure TEXT,
    tables TEXT NOT NULL,
    PRIMARY KEY (name, generation)
)"""
_FIND = "SELECT name, version, position, failure FROM gesta_standings"
_MOVE = "UPDATE gesta_standings SET position = ?, failure = ? WHERE name = ? AND generation = ?"
# What says that a row does not fit its table, and nothing about the database.
_OF_A_ROW = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    AttributeError,
    OverflowError,
    TypeError,
    ValueError,
)


class SQLiteWriting:
    """The transaction that is open on *connection*; see `projections.views.Writing`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.is_erasing = False
        self._loads: dict[tuple[str, Generation], str] = {}

    def standing(self, name: str, generation: Generation) -> Standing | None:
        """Return how far a generation of a projection has come; `None` if there is none."""
        return find_standing(self._connection, name, generation)

    def begin(self, projection: Projection, generation: Generation) -> Standing:
        """Make the tables of a generation, empty, in place of whatever was there."""
        self._refuse_foreign_tables(projection)
        self.drop(projection.name, generation)
        for table in projection.tables:
            self._connection.execute(sql.create(table, generation))
        self._insert(projection, generation, -1, None)
        return Standing(name=projection.name, version=projection.version)

    def names(self) -> list[str]:
        """Return the names of all projections that there is any generation of."""
        found = self._connection.execute("SELECT DISTINCT name FROM gesta_standings ORDER BY name")
        return [name for (name,) in found.fetchall()]

    def drop(self, name: str, generation: Generation) -> None:
        """Remove a generation of a projection, with its tables and its standing."""
        for table in self._tables_of(name, generation):
            for statement in sql.drop(table, generation):
                self._connection.execute(statement)
        self._connection.execute(
            "DELETE FROM gesta_standings WHERE name = ? AND generation = ?", (name, generation)
        )

    def load(self, table: Table[RowT], key: Key, generation: Generation) -> RowT | None:
        """Return one row."""
        place = (table.name, generation)
        statement = self._loads.get(place)
        if statement is None:
            statement = sql.select(table, generation, f"WHERE {sql.by_key(table)}")
            self._loads[place] = statement
        cells = self._connection.execute(statement, key).fetchone()
        return None if cells is None else columns_of(table.row).decode(cells)

    def write(self, rows: Rows, standing: Standing, generation: Generation) -> None:
        """Put what changed in its place, and say how far that brings the projection."""
        try:
            for table, changed in rows.changes():
                self._write_table(table, changed, generation)
        except _OF_A_ROW as error:
            raise InputInvalid(
                f"cannot write the rows of projection {standing.name}: {error}"
            ) from error
        failure = None if standing.failure is None else msgspec.json.encode(standing.failure)
        said = None if failure is None else failure.decode()
        self._connection.execute(_MOVE, (standing.position, said, standing.name, generation))

    def erase(self) -> None:
        """Let no byte of what is deleted from here on stay in the files after the commit."""
        self.is_erasing = True
        self._connection.execute("PRAGMA secure_delete = ON")

    def delete_streams(self, projection: Projection, streams: Sequence[str]) -> None:
        """Delete the live rows of *streams*."""
        for table in projection.tables:
            for stream in streams:
                if table.search:
                    found = self._connection.execute(
                        sql.select(table, "live", "WHERE stream = ?"), (stream,)
                    ).fetchall()
                    self._connection.executemany(sql.search_delete(table), _words(table, found))
                name = sql.table_name(table, "live")
                self._connection.execute(f"DELETE FROM {name} WHERE stream = ?", (stream,))
            if table.search:
                # Only merged into one, the index has no trace of entries that were taken out.
                self._connection.execute(sql.search_merge(table))

    def swap(self, projection: Projection) -> None:
        """Let the next generation take the place of the live one, with all its indexes."""
        made = self.standing(projection.name, "next")
        assert made is not None
        self.drop(projection.name, "live")
        for table in projection.tables:
            old, new = sql.table_name(table, "next"), sql.table_name(table, "live")
            self._connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
            for statement in sql.indexes(table):
                self._connection.execute(statement)
        self._connection.execute(
            "UPDATE gesta_standings SET generation = 'live' WHERE name = ? AND generation = 'next'",
            (projection.name,),
        )

    def _write_table(
        self,
        table: Table[Any],
        changed: Mapping[Key, msgspec.Struct | None],
        generation: Generation,
    ) -> None:
        is_searched = bool(table.search) and generation == "live"
        if is_searched:
            self._take_out_words(table, changed)
        gone = [key for key, row in changed.items() if row is None]
        if gone:
            name = sql.table_name(table, generation)
            self._connection.executemany(f"DELETE FROM {name} WHERE {sql.by_key(table)}", gone)
        encode = columns_of(table.row).encode
        cells = [encode(row) for row in changed.values() if row is not None]
        self._connection.executemany(sql.put(table, generation), cells)
        if is_searched:
            self._connection.executemany(sql.search_put(table), _words(table, cells))

    def _insert(
        self, projection: Projection, generation: Generation, position: int, failure: str | None
    ) -> None:
        tables = msgspec.json.encode([table.name for table in projection.tables]).decode()
        self._connection.execute(
            "INSERT INTO gesta_standings VALUES (?, ?, ?, ?, ?, ?)",
            (projection.name, generation, projection.version, position, failure, tables),
        )

    def _tables_of(self, name: str, generation: Generation) -> list[str]:
        row = self._connection.execute(
            "SELECT tables FROM gesta_standings WHERE name = ? AND generation = ?",
            (name, generation),
        ).fetchone()
        return [] if row is None else msgspec.json.decode(row[0], type=list[str])

    def _refuse_foreign_tables(self, projection: Projection) -> None:
        wanted = {table.name for table in projection.tables}
        found = self._connection.execute(
            "SELECT name, tables FROM gesta_standings WHERE name != ?", (projection.name,)
        )
        for name, tables in found.fetchall():
            if taken := wanted & set(msgspec.json.decode(tables, type=list[str])):
                raise InputInvalid(
                    f"cannot build projection {projection.name}: table {min(taken)} is one of "
                    f"projection {name}; give it another name"
                )

    def _take_out_words(self, table: Table[Any], changed: Iterable[Key]) -> None:
        columns = sql.names((*table.key, *table.search))
        name = sql.table_name(table, "live")
        last = self._connection.execute(f"SELECT max({sql.names(table.key)}) FROM {name}")
        newest = last.fetchone()[0]
        for key in changed:
            if newest is None or key[0] > newest:
                continue
            statement = f"SELECT {columns} FROM {name} WHERE {sql.by_key(table)}"
            found = self._connection.execute(statement, key).fetchall()
            self._connection.executemany(sql.search_delete(table), found)


def find_standing(
    connection: sqlite3.Connection, name: str, generation: Generation
) -> Standing | None:
    """Return how far a generation of a projection has come; `None` if there is none."""
    found = connection.execute(f"{_FIND} WHERE name = ? AND generation = ?", (name, generation))
    row = found.fetchone()
    return None if row is None else _standing(*row)


def live_standings(connection: sqlite3.Connection) -> list[Standing]:
    """Return how far each live projection has come."""
    found = connection.execute(f"{_FIND} WHERE generation = 'live' ORDER BY name")
    return [_standing(*row) for row in found.fetchall()]


def _standing(name: str, version: int, position: int, failure: str | None) -> Standing:
    why = None if failure is None else msgspec.json.decode(failure, type=Failure)
    return Standing(name=name, version=version, position=position, failure=why)


def _words(table: Table[Any], rows: Sequence[Sequence[Cell]]) -> Iterator[tuple[Cell, ...]]:
    names = columns_of(table.row).names
    places = [names.index(name) for name in (*table.key, *table.search)]
    return (tuple(cells[at] for at in places) for cells in rows)
