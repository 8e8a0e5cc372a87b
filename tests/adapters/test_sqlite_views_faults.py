"""Views when the disk, the file or another program is in the way: said in a line, and gone on."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.sqlite import schema
from adapters.sqlite_views import SQLiteViews
from ledger.errors import StoreUnavailable, StoreUnknown
from projections.built_in import BUILT_IN
from projections.checking import Digest, digests
from projections.engine import Engine
from projections.projection import Projection
from tests.fakes.log import Log, as_store
from tests.projections.logs import mixed, stored, story
from tests.projections.records import ending, executed, opened, requested, sandboxed

ROOT = Path(__file__).parents[2]
HISTORY = (opened(), *sandboxed(), requested(1), executed(1, 3), *ending())
ROWS = stored(mixed(*(story(*HISTORY, stream=f"s{number}") for number in range(4))))
KNOWN = 13
# One without and one with a full text.
SOME = BUILT_IN[:1] + tuple(one for one in BUILT_IN if one.name == "audit_trail")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the views are."""
    return tmp_path / "views.db"


@contextlib.contextmanager
def opening(path: Path) -> Iterator[SQLiteViews]:
    """Lend the views at *path*."""
    with contextlib.closing(SQLiteViews(path, "ledger-1")) as views:
        yield views


def engine(
    views: SQLiteViews, projections: Sequence[Projection] = BUILT_IN, *, known: int = len(ROWS)
) -> Engine:
    """Return what moves *projections* over the first *known* events."""
    return Engine(as_store(Log(ROWS[:known])), views, projections)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Digest]:
    """Give the digests of views that nothing happened to."""
    with opening(tmp_path_factory.mktemp("whole") / "views.db") as views:
        engine(views).catch_up()
        return digests(views, BUILT_IN)


class FaultyConnection:
    """A connection whose statement number *fails_at* fails: *before* it is executed, or after."""

    def __init__(self, connection: sqlite3.Connection, fails_at: int, *, before: bool) -> None:
        self.connection = connection
        self.seen: list[str] = []
        self._fails_at = fails_at
        self._is_before = before

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        """Execute a statement, or fail."""
        return self._execute(self.connection.execute, statement, *arguments)

    def executemany(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        """Execute a statement several times, or fail."""
        return self._execute(self.connection.executemany, statement, *arguments)

    def _execute(self, execute: Callable[..., sqlite3.Cursor], *arguments: Any) -> sqlite3.Cursor:
        is_it = len(self.seen) == self._fails_at
        self.seen.append(arguments[0])
        if is_it and self._is_before:
            raise sqlite3.OperationalError("disk I/O error")
        cursor = execute(*arguments)
        if is_it:
            raise sqlite3.OperationalError("disk I/O error")
        return cursor


@contextlib.contextmanager
def failing(
    views: SQLiteViews, monkeypatch: pytest.MonkeyPatch, fails_at: int, *, before: bool
) -> Iterator[FaultyConnection]:
    """Have the writing connection fail at one statement."""
    faulty = FaultyConnection(views.connections.connection_for_writing(), fails_at, before=before)
    with monkeypatch.context() as patch:
        patch.setattr(views.connections, "connection_for_writing", lambda: faulty)
        yield faulty


def statements_of(path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Engine], Any]) -> int:
    """Return how many statements *act* takes when none fails."""
    with opening(path) as views:
        engine(views, SOME, known=KNOWN).catch_up()
        with failing(views, monkeypatch, -1, before=True) as counting:
            act(engine(views, SOME))
        return len(counting.seen)


@pytest.mark.parametrize("before", [True, False], ids=["not persisted", "but persisted"])
@pytest.mark.parametrize("act", [Engine.catch_up, Engine.rebuild], ids=["catch up", "rebuild"])
def test_whatever_statement_fails_the_next_attempt_makes_it_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: list[Digest],
    act: Callable[[Engine], Any],
    before: bool,
) -> None:
    """Each one in turn: one line is said, no handler is blamed, nothing counts twice or never."""
    template = tmp_path / "template"
    template.mkdir()
    with opening(template / "views.db") as views:
        engine(views, SOME, known=KNOWN).catch_up()
    count = statements_of(tmp_path / "counted.db", monkeypatch, act)
    assert 20 < count
    names = [one.name for one in SOME]
    for fails_at in range(count):
        path = tmp_path / f"{fails_at}" / "views.db"
        shutil.copytree(template, path.parent)
        with opening(path) as views:
            with (
                failing(views, monkeypatch, fails_at, before=before),
                pytest.raises(StoreUnavailable) as raised,
            ):
                act(engine(views, SOME))
            assert f"cannot write the views in {path}: disk I/O error" == str(raised.value)
            assert [None] * len(SOME) == [one.failure for one in views.standings()]
            engine(views, SOME).catch_up()
            assert [one for one in whole if one.name in names] == digests(views, SOME), fails_at


def test_a_full_disk_is_said_and_what_was_there_stays(path: Path, whole: list[Digest]) -> None:
    """Without room for a page its transaction is undone; with room it goes on."""
    with opening(path) as views:
        engine(views, known=KNOWN).catch_up()
        before = digests(views, BUILT_IN)
        connection = views.connections.connection_for_writing()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailable, match=r"^cannot write the views in .* is full$"):
            engine(views).rebuild()
        assert before == digests(views, BUILT_IN)
        engine(views).catch_up()
        assert whole == digests(views, BUILT_IN)


# ---- the file ----


def test_views_that_were_removed_are_made_again(path: Path, whole: list[Digest]) -> None:
    """Also with a log of theirs left behind, and while another process still has them open."""
    with opening(path) as old:
        engine(old).catch_up()
        path.unlink()
        with opening(path) as new:
            assert [] == list(new.standings())
            engine(new).catch_up()
            engine(old).rebuild()
            old.close()
            # What the old one did when it let go is nothing to the new one.
            with opening(path) as newest:
                assert whole == digests(newest, BUILT_IN)
            assert whole == digests(new, BUILT_IN)


def test_two_that_make_the_views_at_once_make_them_once(path: Path) -> None:
    """A draft that a crash has left is in nobody's way."""
    for suffix in ("", "-journal"):
        Path(f"{path}.new{suffix}").write_bytes(b"half")
    with opening(path) as one, opening(path) as other:
        engine(one).catch_up()
        assert digests(one, BUILT_IN) == digests(other, BUILT_IN)
    assert [] == list(path.parent.glob("*.new*"))


def garbage(path: Path) -> None:
    """Put what is no database in the place of the views."""
    path.write_bytes(b"these are not views\n" * 500)


def cut_off(path: Path) -> None:
    """Take the last pages away."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def scribbled_over(path: Path) -> None:
    """Write over the pages in the middle."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (path.stat().st_size - 4096))


def emptied(path: Path) -> None:
    """Leave a file without a byte."""
    path.write_bytes(b"")


def newer(path: Path) -> None:
    """Have them made by a newer version."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")


def anothers(path: Path) -> None:
    """Put another program's database in their place."""
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name)")


def other_ledgers(path: Path) -> None:
    """Put another ledger's views in their place."""
    path.unlink()
    SQLiteViews(path, "ledger-2").close()


@pytest.mark.parametrize(
    "spoil", [garbage, cut_off, scribbled_over, emptied, newer, anothers, other_ledgers]
)
def test_a_file_that_is_not_these_views_is_refused_and_left_alone(
    path: Path, spoil: Callable[[Path], None], whole: list[Digest]
) -> None:
    """One line says which file, why, and what to do; doing that makes the views again."""
    with opening(path) as views:
        engine(views, known=KNOWN).catch_up()
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(StoreUnknown) as raised, opening(path) as views:  # noqa: PT012  # either
        engine(views).catch_up()
        digests(views, BUILT_IN)
    assert f"the views in {path}: " in str(raised.value)
    assert str(raised.value).endswith("; remove the file and run `gesta rebuild`")
    assert "\n" not in str(raised.value)
    assert before == path.read_bytes()
    path.unlink()
    with opening(path) as views:
        engine(views).rebuild()
        assert whole == digests(views, BUILT_IN)


def test_a_directory_in_their_place_is_said(path: Path) -> None:
    """It is not removed, and the line names it."""
    path.mkdir()
    with pytest.raises(StoreUnavailable, match=r"^cannot open the views in .*/views.db: "):
        SQLiteViews(path, "ledger-1")


def test_a_place_that_is_not_there_is_said(path: Path) -> None:
    """No directory is made for them."""
    with pytest.raises(StoreUnavailable, match=r"^cannot open the views in .*/views.db: "):
        SQLiteViews(path / "views.db", "ledger-1")


READER = """
import sys
from pathlib import Path
from ledger.errors import StoreUnavailable
from projections.checking import digests
from tests.adapters.test_sqlite_views_faults import BUILT_IN, engine, opening
with opening(Path(sys.argv[1])) as views:
    print(len(digests(views, BUILT_IN)))
    try:
        engine(views).catch_up()
    except StoreUnavailable as error:
        print(error)
"""


def test_read_only_views_can_be_read_and_writing_is_refused_in_a_line(path: Path) -> None:
    """Whoever may only read has the views as they stand."""
    with opening(path) as views:
        engine(views, known=KNOWN).catch_up()
    path.chmod(0o400)
    command = [sys.executable, "-c", READER, str(path)]
    if os.geteuid() == 0:
        # Root that may not pass over the permissions of files.
        command = ["setpriv", "--bounding-set=-dac_override", *command]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [
        str(len(BUILT_IN)),
        f"cannot write the views in {path}: attempt to write a readonly database",
    ] == done.stdout.splitlines()


def test_another_program_that_holds_the_database_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, whole: list[Digest]
) -> None:
    """After waiting long enough the line says so; when it lets go all is well."""
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    with opening(path) as views, contextlib.closing(sqlite3.connect(path)) as other:
        engine(views, known=KNOWN).catch_up()
        other.execute("BEGIN IMMEDIATE")
        views.connections.drop_writer()
        expected = rf"^cannot write the views in {path}: another program is holding its database$"
        with pytest.raises(StoreUnavailable, match=expected):
            engine(views).catch_up()
        other.execute("ROLLBACK")
        engine(views).catch_up()
        assert whole == digests(views, BUILT_IN)


# ---- what it costs ----


def traced(views: SQLiteViews, act: Callable[[], object]) -> list[str]:
    """Return the statements that *act* has the database execute."""
    seen: list[str] = []
    views.close()
    views.connections.trace = seen.append
    act()
    views.close()
    views.connections.trace = None
    return [one for one in seen if not one.startswith("--") and not one.startswith("PRAGMA")]


def test_with_nothing_to_do_nothing_is_written(path: Path) -> None:
    """Views at the end of the log cost two readings of their standings, and no transaction."""
    with opening(path) as views:
        engine(views).catch_up()
        seen = traced(views, engine(views).catch_up)
    assert 2 == len(seen)
    assert all(one.startswith("SELECT name, version, position, failure") for one in seen)


def test_a_page_is_a_fixed_number_of_statements_beside_its_rows(path: Path) -> None:
    """One transaction; to find, to load and to put each row once, however often it changed."""
    with opening(path) as views:
        engine(views, known=1).catch_up()
        seen = traced(views, engine(views).catch_up)
    kinds = [one.partition(" ")[0] for one in seen]
    # One page with something in it, and one look that finds the end of the log.
    assert (2, 2) == (kinds.count("BEGIN"), kinds.count("COMMIT"))
    moves = [one for one in seen if one.startswith("UPDATE gesta_standings")]
    assert len(BUILT_IN) == len(moves)
    puts = [one for one in seen if one.startswith("INSERT OR REPLACE")]
    assert len(puts) == len(set(puts))
    loads = [one for one in seen if one.startswith("SELECT") and "FROM gesta_" not in one]
    assert len(loads) == len(set(loads))
    words = [one for one in seen if one.startswith('INSERT INTO "audit_trail_search"')]
    assert len(ROWS) - 1 == len(words)
    others = len(kinds) - len(puts) - len(loads) - len(words) - len(moves) - 4
    # How far each projection is, for both transactions, and all of them before and after.
    assert 2 * len(BUILT_IN) + 2 == others
