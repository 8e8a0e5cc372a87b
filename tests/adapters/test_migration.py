"""Stores of earlier versions are brought to today's: whole, once, and with every byte kept."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.sqlite import migration
from adapters.sqlite.migration import STEPS, migrate_database
from adapters.sqlite.schema import STORE_VERSION
from adapters.sqlite_store import open_store
from ledger.errors import StoreOutdated, StoreUnavailable, StoreUnknown
from ledger.merkle import TreeHead, event_leaf, extend
from tests.adapters.old_stores import contents, make_old_store
from tests.cli.gesta import ROOT, gesta

OLD = tuple(range(1, STORE_VERSION))


def test_every_older_version_has_a_step_and_a_vector():
    """No store that was ever written can be forgotten."""
    assert set(OLD) == set(STEPS)
    assert OLD != ()


@pytest.mark.parametrize("version", OLD)
def test_an_older_store_is_migrated_and_nothing_recorded_is_changed(tmp_path: Path, version: int):
    """Events, private parts, blobs, tree and identity are the same bytes; the ledger opens."""
    path = tmp_path / "ledger.db"
    make_old_store(path, version)
    before = contents(path)
    done = migrate_database(path)
    assert (version, STORE_VERSION) == (done.before, done.after)
    assert before == contents(path)
    with closing(open_store(path, create=False)) as store:
        rows = store.page()
        head = extend(TreeHead(0, ()), [row.leaf for row in rows])
        assert head == store.tree_head()
        assert [row.leaf for row in rows] == [
            event_leaf(row.stream, row.version, row.topic, row.facts) for row in rows
        ]
        assert [5] == [row.position for row in rows if row.private is None]


@pytest.mark.parametrize("version", OLD)
def test_a_migrated_store_is_like_one_that_was_made_new(tmp_path: Path, version: int):
    """Table by table, index by index, the text of the schema is the same."""
    make_old_store(tmp_path / "old.db", version)
    migrate_database(tmp_path / "old.db")
    open_store(tmp_path / "new.db").close()
    found = []
    for name in ("old.db", "new.db"):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
            found.append(connection.execute(query).fetchall())
    assert found[0] == found[1]


@pytest.mark.parametrize("version", OLD)
def test_the_old_store_is_kept_beside_the_new_one(tmp_path: Path, version: int):
    """The copy is the old store, whole, and closed to others."""
    path = tmp_path / "ledger.db"
    make_old_store(path, version)
    before = contents(path)
    kept = migrate_database(path).kept
    assert tmp_path / f"ledger.db.store-{version}" == kept
    assert before == contents(kept)
    assert 0o600 == kept.stat().st_mode & 0o777
    with closing(sqlite3.connect(kept)) as connection:
        assert version == connection.execute("PRAGMA user_version").fetchone()[0]


def test_migrating_twice_does_no_harm(tmp_path: Path):
    """The second time there is nothing to do, and the copy that was kept stays."""
    path = tmp_path / "ledger.db"
    make_old_store(path, 1)
    kept = migrate_database(path).kept
    assert kept is not None
    before = (kept.read_bytes(), contents(path))
    again = migrate_database(path)
    assert (STORE_VERSION, STORE_VERSION, None) == (again.before, again.after, again.kept)
    assert before == (kept.read_bytes(), contents(path))


def test_an_older_store_is_not_opened_and_says_what_to_do(tmp_path: Path):
    """Nothing is migrated in passing."""
    path = tmp_path / "ledger.db"
    make_old_store(path, 1)
    with pytest.raises(StoreOutdated, match=r"\(store 1, this is \d+\); run `gesta store migrate`"):
        open_store(path)


def test_a_store_that_is_in_use_is_not_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An older gesta that has it open would write its rows into the newer tables."""
    monkeypatch.setattr(migration, "_PATIENCE_S", 0.2)
    path = tmp_path / "ledger.db"
    make_old_store(path, 1)
    before = contents(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT count(*) FROM stored_events").fetchone()
        with pytest.raises(StoreUnavailable, match="another program is holding its database"):
            migrate_database(path)
    assert before == contents(path)
    assert 1 == migrate_database(path).before


@pytest.mark.parametrize("at", range(2, 12))
def test_a_migration_that_is_killed_leaves_one_version_or_the_other(tmp_path: Path, at: int):
    """SIGKILL before any of its statements: the store is whole, and migrating again ends it."""
    path = tmp_path / "ledger.db"
    make_old_store(path, 1)
    before = contents(path)
    program = f"""
import os, signal, sys
from pathlib import Path
from adapters.sqlite import migration
inner = migration._alone
seen = 0
def kill(statement):
    global seen
    seen += 1
    if seen == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
def alone(path):
    connection = inner(path)
    connection.set_trace_callback(kill)
    return connection
migration._alone = alone
migration.migrate_database(Path(sys.argv[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert -signal.SIGKILL == done.returncode
    assert migrate_database(path).before in (1, STORE_VERSION)
    assert before == contents(path)
    open_store(path, create=False).close()


def test_a_step_that_fails_leaves_the_old_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What cannot be carried over to the end is not carried over at all."""
    path = tmp_path / "ledger.db"
    make_old_store(path, 1)
    before = contents(path)
    broken = migration.Step(
        STEPS[1].objects, (*STEPS[1].statements, "INSERT INTO nowhere VALUES (1)")
    )
    with monkeypatch.context() as patch:
        patch.setitem(STEPS, 1, broken)
        with pytest.raises(StoreUnavailable, match=r"cannot migrate .*: no such table: nowhere"):
            migrate_database(path)
    assert before == contents(path)
    assert 1 == migrate_database(path).before


def test_an_old_store_with_foreign_objects_is_not_migrated(tmp_path: Path):
    """What its version did not make is named; nothing is changed, and no copy is made."""
    path = tmp_path / "ledger.db"
    make_old_store(path, 1)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER t AFTER INSERT ON private BEGIN DELETE FROM tree; END")
    with pytest.raises(StoreUnknown, match="its trigger 't' is not one of ours"):
        migrate_database(path)
    assert not (tmp_path / "ledger.db.store-1").exists()


def test_the_command_line_migrates_and_refuses_what_is_newer(home: Path, tmp_path: Path):
    """An older store is refused in one line, migrated by one command; a newer one is refused."""
    make_old_store(home / "ledger.db", 1)
    refused = gesta("runs", cwd=tmp_path)
    assert (1, b"", 1) == (refused.code, refused.out, refused.err.count("\n"))
    assert refused.err.endswith("run `gesta store migrate`\n")
    done = gesta("store", "migrate", "--json", cwd=tmp_path)
    kept = str(home / "ledger.db.store-1")
    assert {"before": 1, "after": STORE_VERSION, "kept": kept} == done.json
    assert {"before": STORE_VERSION, "after": STORE_VERSION, "kept": None} == gesta(
        "store", "migrate", "--json", cwd=tmp_path
    ).json
    with open_ledger() as ledger:
        assert "succeeded" == ledger.status("019aa206-61b3-7dac-adc7-7bd036d7d7cf")
    assert 0 == gesta("run", "--sandbox", "local", "--", "true", cwd=tmp_path).code
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        connection.execute(f"PRAGMA user_version = {STORE_VERSION + 1}")
    before = (home / "ledger.db").read_bytes()
    for command in (["runs"], ["store", "migrate"], ["backup", "b.tar"], ["run", "--", "true"]):
        newer = gesta(*command, cwd=tmp_path)
        assert newer.code in (1, 125)
        assert 1 == newer.err.count("\n")
        assert "it was written by a newer version" in newer.err
    assert before == (home / "ledger.db").read_bytes()


def test_a_store_that_is_not_there_is_not_made_by_migrating(home: Path, tmp_path: Path):
    """A mistyped home is said to hold no ledger."""
    done = gesta("store", "migrate", cwd=tmp_path)
    assert (1, 1) == (done.code, done.err.count("\n"))
    assert "there is no ledger in" in done.err
    assert not home.exists()
    assert 0 == gesta("store", "init", cwd=tmp_path).code
    first = gesta("store", "init", "--json", cwd=tmp_path).json
    assert first == gesta("store", "init", "--json", cwd=tmp_path).json
    assert (str(home), STORE_VERSION) == (first["home"], first["version"])
