"""The statements that make, fill and search the tables of views in SQLite.

Rule 1: a table that is built anew has no index but its key until it takes the live one's place:
a load into a bare table, then each index in one go, is several times as fast.
Rule 2: full text is an FTS5 table over the live table's own columns, without a copy of them. Its
entries are taken out with the very words that were put in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections.columns import Column, columns_of
from projections.projection import Table
from projections.views import Generation

_SUFFIX: dict[Generation, str] = {"live": "", "next": "__next"}


def table_name(table: Table[Any], generation: Generation) -> str:
    """Return the name of a table of a generation, quoted."""
    return quoted(table.name + _SUFFIX[generation])


def search_name(table: Table[Any]) -> str:
    """Return the name of a table's full text, quoted."""
    return quoted(f"{table.name}_search")


def quoted(name: str) -> str:
    """Return a name as SQL takes it, whatever it is."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: tuple[str, ...]) -> str:
    """Return a list of columns."""
    return ", ".join(map(quoted, columns))


def create(table: Table[Any], generation: Generation) -> str:
    """Return what makes a table, empty and without its indexes."""
    lines = [_definition(column) for column in columns_of(table.row).all]
    lines.append(f"PRIMARY KEY ({names(table.key)})")
    # An integer key is the row's own number; any other is best the tree that the rows lie in.
    is_integer = columns_of(table.row).is_integer(table.key)
    without = "" if is_integer else " WITHOUT ROWID"
    body = ",\n    ".join(lines)
    return f"CREATE TABLE {table_name(table, generation)} (\n    {body}\n){without}"


def indexes(table: Table[Any]) -> list[str]:
    """Return what makes a live table's indexes and its full text, filled."""
    statements = [
        f"CREATE INDEX {quoted('_'.join((table.name, 'by', *columns)))}"
        f" ON {table_name(table, 'live')} ({names(columns)})"
        for columns in table.indexes
    ]
    if table.search:
        name = search_name(table)
        content = f"content={table_name(table, 'live')}, content_rowid={quoted(table.key[0])}"
        words = "columnsize=0, tokenize='unicode61 remove_diacritics 2'"
        statements += [
            f"CREATE VIRTUAL TABLE {name} USING fts5({names(table.search)}, {content}, {words})",
            f"INSERT INTO {name}({name}) VALUES ('rebuild')",
        ]
    return statements


def select(table: Table[Any], generation: Generation, where: str = "") -> str:
    """Return what reads whole rows."""
    columns = names(columns_of(table.row).names)
    return f"SELECT {columns} FROM {table_name(table, generation)} {where}".rstrip()


def by_key(table: Table[Any]) -> str:
    """Return the condition that a row has a key."""
    return " AND ".join(f"{quoted(column)} = ?" for column in table.key)


def put(table: Table[Any], generation: Generation) -> str:
    """Return what puts a row in the place of the one with its key."""
    marks = ", ".join("?" * len(columns_of(table.row).names))
    return f"INSERT OR REPLACE INTO {table_name(table, generation)} VALUES ({marks})"


def search_put(table: Table[Any]) -> str:
    """Return what puts the words of a row into the full text: its key, then its words."""
    marks = ", ".join("?" * (len(table.search) + 1))
    return f"INSERT INTO {search_name(table)}(rowid, {names(table.search)}) VALUES ({marks})"


def search_delete(table: Table[Any]) -> str:
    """Return what takes the words of a row out of the full text again."""
    name, marks = search_name(table), ", ".join("?" * (len(table.search) + 1))
    return f"INSERT INTO {name}({name}, rowid, {names(table.search)}) VALUES ('delete', {marks})"


def search_merge(table: Table[Any]) -> str:
    """Return what merges the full text into one, without a trace of what was taken out."""
    name = search_name(table)
    return f"INSERT INTO {name}({name}) VALUES ('optimize')"


def drop(table: str, generation: Generation) -> list[str]:
    """Return what removes the table of this name, and its full text, if they are there."""
    statements = [f"DROP TABLE IF EXISTS {quoted(table + _SUFFIX[generation])}"]
    if generation == "live":
        statements.append(f"DROP TABLE IF EXISTS {quoted(table + '_search')}")
    return statements


def match(texts: Iterable[str], column: str | None = None) -> str:
    """Return what FTS5 takes for all of *texts*, the words of each one after the other."""
    wanted = " AND ".join(map(_phrase, texts))
    return f"{{{quoted(column)}}} : ({wanted})" if column else wanted


def _phrase(text: str) -> str:
    # A quotation mark would end the phrase, and a NUL the whole query.
    words = text.translate({ord('"'): " ", 0: " "})
    if not any(map(str.isalnum, words)):
        # An empty phrase is in no row.
        return '""'
    return f'"{words}"{"*" if words.rstrip().endswith("*") else ""}'


def _definition(column: Column) -> str:
    return f"{quoted(column.name)} {column.type}{'' if column.optional else ' NOT NULL'}"
