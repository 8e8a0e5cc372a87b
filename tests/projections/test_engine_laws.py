"""Laws of the views, over any legal history of several runs: however they came, they agree."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite_views import SQLiteViews
from ledger.codec import decode
from ledger.recorded import Recorded
from ledger.store import Row
from projections.audit_trail import TRAIL, fold_audit_trail
from projections.built_in import BUILT_IN
from projections.checking import Digest, digests
from projections.columns import columns_of
from projections.commands import COMMANDS, fold_commands
from projections.engine import Engine
from projections.projection import Table
from projections.run_status import RUNS, fold_run_status
from projections.views import Views
from tests.fakes.log import Log, as_store
from tests.fakes.views import MemoryViews
from tests.projections.logs import logs

PAGES = (1, 2, 3, 5, 8, 1000)


@contextmanager
def views_in_sqlite() -> Iterator[SQLiteViews]:
    """Lend empty views in a directory of their own."""
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(SQLiteViews(Path(directory, "views.db"), "ledger-1")) as views,
    ):
        yield views


def catch_up(rows: Sequence[Row], views: Views, *, page: int) -> None:
    """Bring every built-in view to the end of a log."""
    Engine(as_store(Log(rows)), views, BUILT_IN, page=page).catch_up()


def rebuilt(rows: Sequence[Row]) -> list[Digest]:
    """Return the digests of views that were built in one go, in memory."""
    views = MemoryViews()
    catch_up(rows, views, page=1000)
    return digests(views, BUILT_IN)


def live(views: Views, table: Table[Any]) -> list[Any]:
    """Return the rows of a live table."""
    with views.snapshot() as snapshot:
        return list(map(columns_of(table.row).decode, snapshot.scan(table)))


def by_stream(rows: Sequence[Row]) -> dict[str, list[Recorded]]:
    """Return the events of each stream."""
    streams: dict[str, list[Recorded]] = {}
    for row in rows:
        streams.setdefault(row.stream, []).append(decode(row))
    return streams


@given(rows=logs(), data=st.data())
def test_added_to_bit_by_bit_is_rebuilt_is_folded(rows: list[Row], data: st.DataObject) -> None:
    """However the log came, in whatever pages: the same digests, and the rows of the pure folds."""
    views = MemoryViews()
    ends = data.draw(st.sets(st.integers(1, len(rows)), max_size=4)) | {len(rows)}
    for end in sorted(ends):
        catch_up(rows[:end], views, page=data.draw(st.sampled_from(PAGES)))
    assert rebuilt(rows) == digests(views, BUILT_IN)
    assert [None] * len(BUILT_IN) == [one.failure for one in views.standings()]

    streams = by_stream(rows)
    statuses = [fold_run_status(history) for _, history in sorted(streams.items())]
    assert [row for row in statuses if row] == live(views, RUNS)
    assert list(fold_audit_trail(map(decode, rows))) == live(views, TRAIL)
    commands = [row for history in streams.values() for row in fold_commands(history)]
    assert sorted(commands, key=lambda row: (row.stream, row.command)) == live(views, COMMANDS)


@settings(max_examples=25)
@given(rows=logs(), data=st.data())
def test_sqlite_keeps_the_same_rows_as_memory(rows: list[Row], data: st.DataObject) -> None:
    """In tables or in memory, bit by bit or at once: the same cells, by digest."""
    with views_in_sqlite() as views:
        ends = data.draw(st.sets(st.integers(1, len(rows)), max_size=2)) | {len(rows)}
        for end in sorted(ends):
            catch_up(rows[:end], views, page=data.draw(st.sampled_from(PAGES)))
        assert rebuilt(rows) == digests(views, BUILT_IN)
        check_search(views)
        Engine(as_store(Log(rows)), views, BUILT_IN, page=3).rebuild()
        assert rebuilt(rows) == digests(views, BUILT_IN)
        check_search(views)


def check_search(views: SQLiteViews) -> None:
    """Assert that the full text is that of the table, entry for entry."""
    with views.writing() as writing:
        writing._connection.execute(
            "INSERT INTO audit_trail_search(audit_trail_search, rank) VALUES ('integrity-check', 1)"
        )


@settings(max_examples=25)
@given(rows=logs(), data=st.data())
def test_what_is_erased_and_folded_anew_is_as_if_it_had_never_been(
    rows: list[Row], data: st.DataObject
) -> None:
    """Private rows that go leave views as a rebuild without them has them; no figure moves."""
    streams = sorted({row.stream for row in rows})
    erased = data.draw(st.sets(st.sampled_from(streams), min_size=1))
    log = Log(rows)
    with views_in_sqlite() as views:
        engine = Engine(as_store(log), views, BUILT_IN, page=data.draw(st.sampled_from(PAGES)))
        engine.catch_up()
        before = {one.name: one for one in digests(views, BUILT_IN)}
        log.erase(row.position for row in rows if row.stream in erased)
        engine.refold(*sorted(erased))
        after = digests(views, BUILT_IN)
        assert rebuilt(log.rows) == after
        assert {"dashboard", "sandbox_metrics"} <= {
            one.name for one in after if before[one.name] == one
        }
        check_search(views)


@settings(max_examples=25)
@given(rows=logs(), data=st.data())
def test_folding_a_stream_anew_in_the_middle_of_the_log_changes_nothing_else(
    rows: list[Row], data: st.DataObject
) -> None:
    """What is appended before, between and after is folded once, wherever a view stands."""
    middle = data.draw(st.integers(1, len(rows)))
    log, views = Log(rows[:middle]), MemoryViews()
    engine = Engine(as_store(log), views, BUILT_IN, page=4)
    engine.catch_up()
    # Appended, not yet folded, when the stream is folded anew.
    log.add(*rows[middle:])
    engine.refold(data.draw(st.sampled_from([row.stream for row in rows])))
    engine.catch_up()
    assert rebuilt(rows) == digests(views, BUILT_IN)


def test_the_logs_are_of_every_kind_of_event() -> None:
    """The strategy draws what the law permits: otherwise the laws above would say little."""
    seen: set[str] = set()

    @settings(max_examples=120, database=None)
    @given(rows=logs())
    def look(rows: list[Row]) -> None:
        seen.update(row.topic for row in rows)

    look()
    assert {"run.completed.1", "command.executed.1", "sandbox.created.3", "cleanup.failed.1"} < seen
    assert 20 < len(seen)
