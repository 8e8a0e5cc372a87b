"""docs/views.md says of every table what it is, and a database holds what it says."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from adapters import open_ledger
from adapters.wiring import open_reader
from ledger.overrides import Overrides
from projections.built_in import BUILT_IN
from projections.columns import columns_of
from projections.projection import Table

DOCUMENT = Path(__file__).parents[1] / "docs" / "views.md"
TABLES = [table for one in BUILT_IN for table in one.tables if table.about is not None]


def sections() -> dict[str, str]:
    """Return the text under each heading of a table."""
    parts = re.split(r"^## (\w+)$", DOCUMENT.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def ticked(text: str) -> tuple[str, ...]:
    """Return the names between ticks."""
    return tuple(re.findall(r"`(\w+)`", text))


def said(section: str, word: str) -> str:
    """Return what a sentence that begins with *word* goes on to say."""
    found = re.search(rf"{word}: (.*?)\.(?:\s|$)", section, re.DOTALL)
    return found[1] if found else ""


def test_every_table_has_its_section_and_no_other_is_there() -> None:
    """Those that say what they are about."""
    assert [table.name for table in TABLES] == list(sections())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_keys_and_indexes_are_the_documented_ones(table: Table[Any]) -> None:
    """In their order, with their types, and what may be NULL."""
    section = sections()[table.name]
    rows = re.findall(r"^\| `(\w+)` \| (\w+)(, never NULL)? \| (.+) \|$", section, re.MULTILINE)
    expected = [
        (one.name, "JSON" if one.form == "json" else one.type, not one.optional)
        for one in columns_of(table.row).all
    ]
    assert expected == [(name, kind, bool(never)) for name, kind, never, _ in rows]
    assert all(what.strip() for _, _, _, what in rows)
    assert table.key == ticked(said(section, "Key"))
    indexes = tuple(filter(None, map(ticked, said(section, "Indexes").split(";"))))
    assert table.indexes == indexes
    assert table.search == ticked(said(section, "Searched"))
    assert table.about is not None
    assert table.about in section


def test_the_database_holds_what_is_documented(home: Path, repository: Path) -> None:
    """Read with nothing but `sqlite3`, after one run."""
    local = Overrides(sandbox="local")
    with open_ledger(home) as ledger:
        with ledger.run(task="T-1", overrides=local, directory=repository) as run:
            run.execute(["sh", "-c", "exit 3"])
        with open_reader(ledger) as reader:
            reader.catch_up()
    database = sqlite3.connect(f"file:{home / 'views.db'}?mode=ro", uri=True)
    for table in TABLES:
        columns = database.execute(f"PRAGMA table_info({table.name})").fetchall()
        expected = [(one.name, one.type) for one in columns_of(table.row).all]
        assert expected == [(name, kind) for _, name, kind, *_ in columns]
        assert database.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0], table.name
        there = {name for _, name, *_ in database.execute(f"PRAGMA index_list({table.name})")}
        wanted = {"_".join((table.name, "by", *index)) for index in table.indexes}
        assert wanted <= there
    query = (
        "SELECT rowid FROM audit_trail_search WHERE audit_trail_search MATCH '\"exited with 3\"'"
    )
    found = database.execute(f"SELECT what FROM audit_trail WHERE position IN ({query})").fetchall()
    assert [True] == [what.startswith("c1 exited with 3") for (what,) in found]
    database.close()
