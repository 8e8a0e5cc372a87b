"""What is erased leaves no byte in the files of the views, in tables, full text, pages and log."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.sqlite import schema
from adapters.sqlite_views import SQLiteViews
from ledger import events as e
from ledger.errors import StoreUnavailable
from ledger.events import Event
from ledger.recorded import Recorded
from ledger.store import Row
from projections.built_in import BUILT_IN
from projections.checking import digests
from projections.criteria import Criteria
from projections.engine import Engine
from projections.projection import Projection, Table, on
from projections.rows import Rows
from projections.views import Standing
from tests.fakes.log import Log, as_store
from tests.fakes.views import MemoryViews
from tests.ledger.samples import SAMPLES
from tests.projections.logs import Happening, mixed, stored
from tests.projections.records import SECOND, ending, executed, opened, requested, sandboxed

# No beginning of it is shared with another word: an index leaves out what two words share.
WORD = "zqxwvkj8f3m1"
STREAM = "s7"


def history(word: str) -> list[Event]:
    """Return a run with *word* in every kind of private text that a view shows."""
    opening: Any = opened().private
    opening = msgspec.structs.replace(
        opening,
        rules=msgspec.structs.replace(opening.rules, profile=f"{word}-profile"),
        directory=f"/home/{word}",
        labels={word: f"of {word}"},
        base=word,
    )
    made_tree: Any = SAMPLES["worktree created"]
    private = msgspec.structs.replace(made_tree.private, path=f"/{word}", branch=word)
    worktree = msgspec.structs.replace(made_tree, private=private)
    taken, made = sandboxed()
    denied = e.CommandDenied(
        command="c3",
        form="argv",
        may_fail=True,
        reason="not_listed",
        private=e.CommandDeniedText(argv=(word, "x"), cwd=f"/{word}", rule=f"exec.{word}"),
    )
    failed = e.CommandNotStarted(
        command="c2", reason="not_found", private=e.MessageText(message=f"no {word} here")
    )
    leaked = e.CleanupFailed(
        ending=False,
        resource="branch",
        ordinal=1,
        reason="failed",
        private=e.CleanupText(name=word, message=f"cannot remove {word}"),
    )
    fallback = msgspec.structs.replace(taken, private=e.FallbackText(messages=(f"{word}!",)))
    commands = [
        event
        for number in range(10, 40)
        for event in (requested(number, word, f"--{number}", word * 3), executed(number))
    ]
    return [
        msgspec.structs.replace(opened(), private=opening),
        worktree,
        fallback,
        made,
        requested(1, "echo", word),
        executed(1),
        requested(2, word),
        failed,
        denied,
        *commands,
        leaked,
        *ending(),
    ]


def rows(count: int = 12) -> list[Row]:
    """Return the log of *count* runs, in turns; the one in `STREAM` is full of the word."""
    stories = []
    for number in range(count):
        stream = f"s{number}"
        word = WORD if stream == STREAM else f"plain{number}"
        stories.append(
            [
                Happening(stream, event, at * SECOND, actor=word)
                for at, event in enumerate(history(word))
            ]
        )
    return stored(mixed(*stories))


def occurrences(directory: Path) -> dict[str, int]:
    """Return how often the word, or most of it, is in the files below *directory*, by name."""
    counts = {}
    for path in sorted(directory.iterdir()):
        data = path.read_bytes().lower()
        counts[path.name] = data.count(WORD[2:].encode()) + data.count(WORD[:-2].encode())
    return counts


class Quoting(Projection):
    """Fails at an event of the run, and says its words."""

    name = "quoting"
    version = 1
    tables = ()

    @on(e.CommandDenied)
    def denied(self, record: Recorded, rows: Rows) -> None:
        """Raise what the event says, if it still says it."""
        if record.actor == WORD:
            raise ValueError(f"what is {record.actor}?")


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who did something."""

    name: str


ACTORS = Table("actors", Actor, key=("name",), about="One row a name.")


class Actors(Projection):
    """Somebody's own projection, which nobody has to hand when a run is erased."""

    name = "actors"
    version = 1
    tables = (ACTORS,)

    @on()
    def every(self, record: Recorded, rows: Rows) -> None:
        """Note who did it."""
        rows.put(ACTORS, Actor(name=record.actor or "(missing)"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the views are, with nothing beside them."""
    (tmp_path / "views").mkdir()
    return tmp_path / "views" / "views.db"


@pytest.fixture
def views(path: Path) -> Iterator[SQLiteViews]:
    """Give views whose database does not write over what it frees, as SQLite by itself does not."""
    with contextlib.closing(SQLiteViews(path, "ledger-1")) as kept:
        carelessly(kept)
        yield kept


def carelessly(views: SQLiteViews) -> None:
    """Have the writing connection leave deleted bytes where they are."""
    views.connections.connection_for_writing().execute("PRAGMA secure_delete = OFF")


def fill(views: SQLiteViews, log: Log, *more: Projection) -> Engine:
    """Build the views as a long life does: bit by bit, then anew, with pages freed on the way."""
    growing = Log()
    engine = Engine(as_store(growing), views, (*BUILT_IN, *more), page=50)
    for row in log.rows:
        growing.add(row)
        if row.position % 40 == 0:
            engine.catch_up()
    engine.rebuild()
    for number in range(3):
        growing.add(*more_rows(growing, number))
        engine.catch_up()
    log.rows[:] = growing.rows
    return Engine(as_store(log), views, BUILT_IN)


def more_rows(log: Log, number: int) -> list[Row]:
    """Return one more run, as it is appended to *log*."""
    happenings = [Happening(f"m{number}", event, 0) for event in history("plain")]
    return stored(happenings, first=len(log.rows))


def erase(log: Log) -> None:
    """Let the private parts of the run go."""
    log.erase(row.position for row in log.rows if row.stream == STREAM)


def test_no_byte_of_what_is_erased_stays_in_any_file(views: SQLiteViews, path: Path) -> None:
    """Scanned raw: tables, full text, free pages, the write-ahead log, what failures quoted."""
    log = Log(rows())
    engine = fill(views, log, Quoting(), Actors())
    before = occurrences(path.parent)
    assert 100 < before["views.db"]
    figures = digests(views, BUILT_IN)
    erase(log)
    engine.refold(STREAM)
    assert set() == {name for name, count in occurrences(path.parent).items() if count}
    views.close()
    assert set() == {name for name, count in occurrences(path.parent).items() if count}

    rebuilt = MemoryViews()
    Engine(as_store(log), rebuilt, BUILT_IN).catch_up()
    after = digests(views, BUILT_IN)
    assert digests(rebuilt, BUILT_IN) == after
    unchanged = {one.name for one in after if one in figures}
    assert {"dashboard", "sandbox_metrics"} <= unchanged
    assert not {"run_status", "audit_trail", "commands", "workspaces"} & unchanged


def test_the_others_words_are_still_found(views: SQLiteViews) -> None:
    """Erasing one run takes nothing from the rest, in tables and in the full text."""
    log = Log(rows())
    engine = fill(views, log)
    table = next(one for one in BUILT_IN if one.name == "audit_trail").tables[0]

    def count(word: str) -> int:
        criteria = Criteria(table).found(views.matching(table, [word]), by="position")
        return len(criteria.read(views, order="t.position"))

    others = count("plain3")
    assert count(WORD) == others
    erase(log)
    engine.refold(STREAM)
    assert (0, others) == (count(WORD), count("plain3"))


def test_what_is_appended_after_erasing_is_folded_as_ever(views: SQLiteViews) -> None:
    """The views go on, and are those of a rebuild."""
    log = Log(rows(4))
    engine = fill(views, log)
    engine.refold("s1")
    log.add(*more_rows(log, 8))
    engine.catch_up()
    rebuilt = MemoryViews()
    Engine(as_store(log), rebuilt, BUILT_IN).catch_up()
    assert digests(rebuilt, BUILT_IN) == digests(views, BUILT_IN)


def test_a_view_that_cannot_be_folded_anew_in_part_is_dropped(views: SQLiteViews) -> None:
    """One of another version, of nobody's projection, half built: gone, with their words."""
    log = Log(rows())
    engine = fill(views, log, Actors())
    with views.writing() as writing:
        writing.begin(BUILT_IN[0], "next")
        writing.begin(Actors(), "next")
    assert "actors" in [standing.name for standing in views.standings()]
    engine.refold(STREAM)
    assert [one.name for one in sorted(BUILT_IN, key=lambda one: one.name)] == [
        standing.name for standing in views.standings()
    ]
    with views.writing() as writing:
        assert [] == [name for name in writing.names() if writing.standing(name, "next")]
    with contextlib.closing(sqlite3.connect(views.path)) as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert not {"actors", "actors__next", "run_status__next"} & found


def test_what_a_handler_said_of_an_erased_event_goes_too(views: SQLiteViews) -> None:
    """The failure is noted anew at the next attempt, of what is left then."""
    log = Log(rows())
    fill(views, log, Quoting())
    both = Engine(as_store(log), views, (*BUILT_IN, Quoting()))
    standings = {one.name: one for one in both.catch_up()}
    assert standings["quoting"].failure is not None
    assert WORD in standings["quoting"].failure.message
    erase(log)
    both.refold(STREAM)
    noted = {one.name: one for one in views.standings()}["quoting"]
    assert standings["quoting"].position == noted.position
    assert noted.failure is None
    done = {one.name: one for one in both.catch_up()}["quoting"]
    assert Standing(name="quoting", version=1, position=len(log.rows) - 1) == done


def test_a_reader_in_the_way_of_erasing_is_said_and_later_nothing_stays(
    views: SQLiteViews, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody is reading cannot be written over; whoever erases is told to come again."""
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    log = Log(rows())
    engine = fill(views, log)
    views.connections.drop_writer()
    erase(log)
    with contextlib.closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM audit_trail").fetchone()
        with pytest.raises(StoreUnavailable, match=r"^cannot erase from .*; try again when it "):
            engine.refold(STREAM)
        reader.execute("ROLLBACK")
    engine.refold(STREAM)
    assert set() == {name for name, count in occurrences(path.parent).items() if count}
