"""Views in SQLite: the contracts, the tables as they lie in the file, and what happens to files."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from adapters.sqlite_views import SQLiteViews
from projections.projection import Projection
from projections.rows import Rows
from projections.views import Standing, Tables
from tests.contracts.tables_contract import Searched, TablesContract, numbers
from tests.contracts.views_contract import ViewsContract
from tests.projections.projections import WORDS, Word, Words


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the views are."""
    return tmp_path / "views.db"


@pytest.fixture
def views(path: Path) -> Iterator[SQLiteViews]:
    """Give empty views."""
    with contextlib.closing(SQLiteViews(path, "ledger-1")) as kept:
        yield kept


def put(views: SQLiteViews, *words: Word, position: int = 0, gone: Sequence[int] = ()) -> None:
    """Put *words* into the live view, and remove those with a number in *gone*."""
    rows = Rows(lambda table, key: None)
    for word in words:
        rows.put(WORDS, word)
    for number in gone:
        rows.remove(WORDS, number)
    with views.writing() as writing:
        writing.write(rows, Standing(name="words", version=1, position=position), "live")


def begin(views: SQLiteViews, projection: Projection) -> None:
    """Build an empty live view."""
    with views.writing() as writing:
        writing.begin(projection, "next")
        writing.swap(projection)


@pytest.fixture
def searched(views: SQLiteViews) -> Searched:
    """Put rows of words into the views, one by one."""

    def fill(words: Sequence[Word]) -> Tables:
        begin(views, Words())
        for word in words:
            put(views, word)
        return views

    return fill


class TestSQLiteViews(ViewsContract):
    """SQLite keeps the contract of every place of views."""


class TestSQLiteTables(TablesContract):
    """SQLite keeps the contract of tables that are asked."""


class TestSQLiteTablesBuiltInOneGo(TablesContract):
    """The same is found where the full text was made after the rows."""

    @pytest.fixture
    def searched(self, views: SQLiteViews) -> Searched:
        """Put rows of words into the next generation, and swap it in."""

        def fill(words: Sequence[Word]) -> Tables:
            rows = Rows(lambda table, key: None)
            for word in words:
                rows.put(WORDS, word)
            with views.writing() as writing:
                writing.begin(Words(), "next")
                writing.write(rows, Standing(name="words", version=1, position=0), "next")
                writing.swap(Words())
            return views

        return fill


def found(views: SQLiteViews, text: str) -> list[int]:
    """Return the numbers of the rows that hold *text*."""
    return numbers(views, [text])


def test_words_go_with_their_row(views: SQLiteViews) -> None:
    """A row that is replaced or removed is not found by what it said."""
    begin(views, Words())
    put(views, *(Word(number=n, stream="s", text=f"old {n}") for n in range(3)))
    put(views, Word(number=1, stream="s", text="new", note="newer"), gone=[2, 9])
    assert ([0], [1], [1]) == (found(views, "old"), found(views, "new"), found(views, "newer"))
    with contextlib.closing(sqlite3.connect(views.path)) as connection:
        check = "INSERT INTO words_search(words_search, rank) VALUES ('integrity-check', 1)"
        connection.execute(check)
        connection.execute("UPDATE words SET text = 'forged' WHERE number = 0")
        with pytest.raises(sqlite3.DatabaseError):
            # The check that the others rely on does find an entry that is not the table's.
            connection.execute(check)
