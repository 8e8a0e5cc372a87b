"""What moves projections along the log: exactly once, whatever the pages and whatever fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from ledger.errors import InputInvalid
from ledger.store import Row
from projections.checking import check, digests
from projections.engine import Engine
from projections.projection import Projection, Table
from projections.views import Failure, Standing, Views
from tests.fakes.log import Log, as_store
from tests.projections.logs import mixed, stored, story
from tests.projections.projections import (
    COUNTS,
    EXITS,
    TALLIES,
    Exits,
    NewTallies,
    Tallies,
    Unfit,
)
from tests.projections.records import ending, executed, opened, requested, sandboxed

HISTORY = (opened(), *sandboxed(), requested(1), executed(1, 3), *ending())
LAST = 2 * len(HISTORY) - 1


def rows() -> list[Row]:
    """Return the log of two runs, each event of one followed by that of the other."""
    return stored(mixed(story(*HISTORY, stream="s1"), story(*HISTORY, stream="s2")))


def log() -> Log:
    """Return a log of these rows."""
    return Log(rows())


def engine(log: Log, views: Views, *projections: Projection, page: int = 5) -> Engine:
    """Return what moves *projections*, a few events at a time."""
    return Engine(as_store(log), views, projections, page=page)


def cells(views: Views, table: Table[Any]) -> list[tuple[Any, ...]]:
    """Return all that is in a live table."""
    with views.snapshot() as snapshot:
        return list(snapshot.scan(table))


def tallied(views: Views) -> int:
    """Return how many events the tallies have counted."""
    return sum(events for _, events, _ in cells(views, TALLIES))


@pytest.mark.parametrize("page", [1, 2, 3, 7, LAST, LAST + 1, 1000])
def test_every_event_counts_exactly_once_whatever_the_pages(views: Views, page: int) -> None:
    """Each stream has as many events as it has, and the standing is the end of the log."""
    standings = engine(log(), views, Tallies(), page=page).catch_up()
    assert [Standing(name="tallies", version=1, position=LAST)] == standings
    count = len(HISTORY)
    assert [("s1", count, LAST - 1), ("s2", count, LAST)] == cells(views, TALLIES)


def test_what_comes_later_is_added_to_what_is_there(views: Views) -> None:
    """A view brought up to date as the log grows counts each event once."""
    whole, growing = rows(), Log()
    moving = engine(growing, views, Tallies(), Exits())
    for row in whole:
        growing.add(row)
        moving.catch_up()
        assert len(growing.rows) == tallied(views)
    assert [(3, 2)] == cells(views, EXITS)


def test_with_an_empty_log_there_is_an_empty_view(views: Views) -> None:
    """A reader of a new ledger finds the tables, and nothing in them."""
    assert [-1] == [one.position for one in engine(Log(), views, Tallies()).catch_up()]
    assert [] == cells(views, TALLIES)


def test_progress_ends_at_the_size_of_the_log(views: Views) -> None:
    """Whoever watches is told how far it is, of how much, and at last that it is done."""
    told: list[tuple[int, int]] = []
    engine(log(), views, Tallies()).catch_up(lambda done, size: told.append((done, size)))
    assert (LAST + 1, LAST + 1) == told[-1]
    assert sorted(told) == told


# ---- a handler that raises ----


@pytest.mark.parametrize("at", [0, 4, 5, LAST])
def test_a_handler_that_raises_stops_its_own_projection_just_before(views: Views, at: int) -> None:
    """The event is named by position, stream, version and type; the others go on."""
    failing, others = Tallies(fails_at=at), Exits()
    stopped, done = engine(log(), views, failing, others).catch_up()
    row = rows()[at]
    failure = Failure(
        position=at,
        stream=row.stream,
        version=row.version,
        topic=row.topic,
        message="ArithmeticError: no more than this",
    )
    assert Standing(name="tallies", version=1, position=at - 1, failure=failure) == stopped
    assert Standing(name="exits", version=1, position=LAST) == done
    assert [(3, 2)] == cells(views, EXITS)


def test_nothing_that_a_failing_handler_put_is_seen(views: Views) -> None:
    """The rows are those of the events before the one that could not be folded."""
    engine(log(), views, Tallies(fails_at=7)).catch_up()
    assert 7 == tallied(views)


def test_a_projection_that_stopped_goes_on_where_it_stopped_when_it_is_mended(
    views: Views,
) -> None:
    """The next time it is tried again, by itself, and then it is where the others are."""
    failing, growing = Tallies(fails_at=3), Log(rows()[:10])
    moving = engine(growing, views, failing, Exits())
    moving.catch_up()
    growing.add(*rows()[10:])
    assert [2, LAST] == [standing.position for standing in moving.catch_up()]
    assert 3 == tallied(views)
    failing.fails_at = None
    assert [LAST, LAST] == [standing.position for standing in moving.catch_up()]
    assert [None, None] == [standing.failure for standing in views.standings()]
    assert LAST + 1 == tallied(views)
    assert [(3, 2)] == cells(views, EXITS)


def test_a_projection_that_fails_again_elsewhere_says_so(views: Views) -> None:
    """What is said is the newest failure, and never that all is well."""
    failing = Tallies(fails_at=3)
    moving = engine(log(), views, failing)
    moving.catch_up()
    failing.fails_at = 12
    (standing,) = moving.catch_up()
    assert 11 == standing.position
    assert standing.failure is not None
    assert 12 == standing.failure.position
    assert 12 == tallied(views)


def test_a_rebuild_that_stops_earlier_does_not_take_the_place_of_what_is_there(
    views: Views,
) -> None:
    """Readers keep the view that knows more."""
    projection = Tallies()
    moving = engine(log(), views, projection)
    moving.catch_up()
    projection.fails_at = 5
    assert [LAST] == [standing.position for standing in moving.rebuild()]
    assert LAST + 1 == tallied(views)


@pytest.mark.parametrize("value", [None, 2**63, float("nan"), "\udc80", [7]])
def test_a_row_that_does_not_fit_its_table_stops_its_own_projection(
    views: Views, value: Any
) -> None:
    """The event that gave the row is named with the column, and no other projection notices."""
    stopped, done = engine(log(), views, Unfit(8, value), Tallies()).catch_up()
    assert (7, LAST) == (stopped.position, done.position)
    assert stopped.failure is not None
    assert 8 == stopped.failure.position
    assert f"ValueError: cannot keep {value!r} in column number: " in stopped.failure.message
    assert list(range(8)) == [position for position, _ in cells(views, COUNTS)]
    assert LAST + 1 == tallied(views)


class _Unreadable(Exception):
    """The place of the views cannot be read."""


def test_a_view_that_cannot_be_read_is_nobodys_failure(
    views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised, also past a handler that hides it; nothing is noted, and it goes on later."""
    moving = engine(log(), views, Tallies(), Exits())
    moving.catch_up()

    def load(*arguments: Any) -> Any:
        raise _Unreadable

    writing = views.writing

    @contextlib.contextmanager
    def broken() -> Iterator[Any]:
        with writing() as one:
            monkeypatch.setattr(one, "load", load)
            yield one

    moving._store.add(  # type: ignore[attr-defined]  # it is a Log
        *stored(story(*HISTORY, stream="s3"), first=LAST + 1)
    )
    with monkeypatch.context() as patch:
        patch.setattr(views, "writing", broken)
        with pytest.raises(_Unreadable):
            moving.catch_up()
    assert [(LAST, None)] * 2 == [(one.position, one.failure) for one in views.standings()]
    moving.catch_up()
    assert LAST + 1 + len(HISTORY) == tallied(views)


# ---- events that cannot be read ----


def unknown(row: Row) -> Row:
    """Return *row* as a newer version's event."""
    return msgspec.structs.replace(row, topic="moon.landed.1")


def damaged(row: Row) -> Row:
    """Return *row* with facts that are none."""
    return msgspec.structs.replace(row, facts=b"{")


def test_an_unknown_event_type_stops_only_projections_that_need_it(views: Views) -> None:
    """Those that fold every event stop just before it; those of certain types pass over it."""
    strange = rows()
    strange[6] = unknown(strange[6])
    stopped, done = engine(Log(strange), views, Tallies(), Exits()).catch_up()
    assert (5, LAST, None) == (stopped.position, done.position, done.failure)
    assert stopped.failure is not None
    assert ("moon.landed.1", 6) == (stopped.failure.topic, stopped.failure.position)
    assert "cannot read event moon.landed.1: this version does not know it" in str(stopped.failure)


def test_a_damaged_event_stops_those_that_need_its_type(views: Views) -> None:
    """It is named, nothing else of the ledger is in its way, and nobody passes over it."""
    broken = rows()
    at = next(row.position for row in broken if row.topic == "command.executed.1")
    broken[at], broken[2] = damaged(broken[at]), damaged(broken[2])
    tallies, exits = engine(Log(broken), views, Tallies(), Exits()).catch_up()
    assert (1, at - 1) == (tallies.position, exits.position)
    assert exits.failure is not None
    assert "command.executed.1" == exits.failure.topic


# ---- rebuilding ----


def test_a_changed_version_rebuilds_itself(views: Views) -> None:
    """Whoever catches up has the new version's rows, all of them."""
    engine(log(), views, Tallies()).catch_up()
    assert [Standing(name="tallies", version=2, position=LAST)] == list(
        engine(log(), views, NewTallies()).catch_up()
    )
    assert LAST + 1 == tallied(views)


def test_a_view_that_is_ahead_of_the_log_is_rebuilt(views: Views) -> None:
    """A view of events that the log does not have is not believed; neither is one half built."""
    engine(log(), views, Tallies()).catch_up()
    shorter = rows()[:9]
    assert [8] == [one.position for one in engine(Log(shorter), views, Tallies()).catch_up()]
    assert 9 == tallied(views)
    interrupted(log(), views, page=4, after=3)
    assert [8] == [one.position for one in engine(Log(shorter), views, Tallies()).rebuild()]
    assert 9 == tallied(views)


class _Interrupted(Exception):
    """What a test raises in the middle of a rebuild."""


def interrupted(log: Log, views: Views, *, page: int, after: int, projection: Any = None) -> None:
    """Begin a rebuild, and break it off *after* so many pages."""
    pages = 0

    def stop(done: int, size: int) -> None:
        nonlocal pages
        pages += 1
        if pages == after:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        engine(log, views, projection or Tallies(), page=page).rebuild(stop)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_rebuild_that_was_interrupted_goes_on_where_it_was(views: Views, after: int) -> None:
    """No page is folded twice, and the view is the whole one."""
    interrupted(log(), views, page=4, after=after)
    resumed = log()
    told: list[int] = []
    engine(resumed, views, Tallies(), page=4).rebuild(lambda done, _: told.append(done))
    assert 4 * after + 4 == told[0]
    assert LAST + 1 == tallied(views)
    assert [None] == [one.difference for one in check(as_store(resumed), views, [Tallies()])]


def test_readers_have_the_old_view_whole_until_they_have_the_new_one(views: Views) -> None:
    """At no moment of a rebuild is the view empty or half, whatever the rebuild has done yet."""
    early, whole = Log(rows()[:11]), log()
    engine(early, views, Tallies()).catch_up()
    seen: list[int] = []
    engine(whole, views, NewTallies(), page=2).rebuild(lambda done, _: seen.append(tallied(views)))
    # Every page was folded beside the live view, which knew 11 events until it was replaced.
    assert [11] * 9 == seen
    assert LAST + 1 == tallied(views)


def meddling(other: Callable[[], object], *, at: int) -> Callable[[int, int], None]:
    """Return a progress that lets *other* happen once, when *at* events are folded."""

    def progress(done: int, size: int) -> None:
        nonlocal at
        if 0 <= at <= done:
            at = -1
            other()

    return progress


def test_two_rebuilds_at_once_share_the_work(views: Views) -> None:
    """The second one goes on where the first one is; together they read the log once."""
    first, second = log(), log()
    other = engine(second, views, Tallies(), page=2)
    engine(first, views, Tallies(), page=2).rebuild(meddling(other.rebuild, at=6))
    assert LAST + 1 == tallied(views)
    assert 9 + 2 >= first.pages_read + second.pages_read - 2


def test_a_rebuild_that_another_began_anew_is_not_swapped_in_half(views: Views) -> None:
    """Whoever shared a rebuild that was finished leaves the next one, just begun, alone."""
    projection = Tallies()
    engine(log(), views, projection).catch_up()

    def finish_and_begin_again() -> None:
        engine(log(), views, projection, page=2).rebuild()
        interrupted(log(), views, page=2, after=2)

    sharing = engine(log(), views, projection, page=2)
    # At the end of its way the next generation is another one, which has come to event 3.
    sharing._advance = lambda way, progress: finish_and_begin_again()  # type: ignore[method-assign]
    sharing._rebuild([projection], None)
    assert LAST + 1 == tallied(views)
    with views.writing() as writing:
        standing = writing.standing("tallies", "next")
    assert standing is not None
    assert 3 == standing.position


def test_programs_of_two_versions_do_not_fold_into_each_others_tables(views: Views) -> None:
    """One that finds the other's view in the place of its own touches nothing of it."""
    old = engine(log(), views, Tallies(), page=2)
    new = engine(log(), views, NewTallies(), page=2)
    old.rebuild(meddling(new.catch_up, at=6))
    assert LAST + 1 == tallied(views)
    engine(log(), views, Tallies()).catch_up()
    assert LAST + 1 == tallied(views)


def test_a_table_of_another_projection_is_refused(views: Views) -> None:
    """Two projections that claim one table are told so, and the first one keeps its rows."""

    class Impostor(Tallies):
        name = "impostor"

    engine(log(), views, Tallies()).catch_up()
    with pytest.raises(InputInvalid, match=r"^cannot build projection impostor: "):
        engine(log(), views, Impostor()).catch_up()
    assert LAST + 1 == tallied(views)


def test_through_stops_at_the_event_that_was_named(views: Views) -> None:
    """A view as of a position knows the events up to it, and none after it."""
    for position in (0, 4, 9, LAST):
        with views.scratch() as scratch:
            engine(log(), scratch, Tallies(), page=3).through(position)
            assert position + 1 == tallied(scratch)


def test_check_names_the_first_row_that_is_not_as_a_rebuild_has_it(views: Views) -> None:
    """Both rows are shown, and a view that is as it should be has no difference."""
    engine(log(), views, Tallies()).catch_up()
    assert [None] == [one.difference for one in check(as_store(log()), views, [Tallies()])]
    shorter = Log(stored(mixed(story(*HISTORY, stream="s1"), story(*HISTORY, stream="s3"))))
    (checked,) = check(as_store(shorter), views, [Tallies()])
    assert checked.difference is not None
    assert ("tallies", "s2", "s3") == (
        checked.difference.table,
        (checked.difference.live or ("",))[0],
        (checked.difference.rebuilt or ("",))[0],
    )
    assert [checked.digest] == digests(views, [Tallies()])
