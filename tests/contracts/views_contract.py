"""What every place of views must do for the engine; run over each one.

A test class of an adapter inherits from `ViewsContract` and provides the fixture `views`: empty
views.
"""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import InputInvalid
from projections.projection import Projection, Table
from projections.rows import Rows
from projections.views import Failure, Generation, Standing, Views
from tests.projections.projections import (
    COUNTS,
    EXITS,
    TALLIES,
    Count,
    Exit,
    Exits,
    Tallies,
    Tally,
    Unfit,
)

ONE, TWO, THREE = (Tally(stream=name, events=1, last=at) for at, name in enumerate("abc"))
FAILURE = Failure(position=4, stream="a", version=2, topic="a.b.1", message="ValueError: é")


def changes(table: Table[Any], *rows: Any, gone: tuple[tuple[Any, ...], ...] = ()) -> Rows:
    """Return the rows of a page: *rows* put, those with a key in *gone* removed."""
    page = Rows(lambda _table, _key: None)
    for row in rows:
        page.put(table, row)
    for key in gone:
        page.remove(table, *key)
    return page


def at(position: int, failure: Failure | None = None) -> Standing:
    """Return how far the tallies are."""
    return Standing(name="tallies", version=1, position=position, failure=failure)


def fill(views: Views, *rows: Tally, generation: Generation = "live", position: int = 2) -> None:
    """Begin a generation of the tallies with these rows."""
    with views.writing() as writing:
        writing.begin(Tallies(), generation)
        writing.write(changes(TALLIES, *rows), at(position), generation)


def tallies(views: Views) -> list[str]:
    """Return the streams that the live tallies have rows of."""
    with views.snapshot() as snapshot:
        return [str(cells[0]) for cells in snapshot.scan(TALLIES)]


class _Abandoned(Exception):
    """Raised inside a transaction."""


class ViewsContract:
    """The rules of `projections.views.Views`."""

    def test_there_is_nothing_at_first(self, views: Views) -> None:
        """No projection has a standing, in any generation."""
        assert [] == list(views.standings())
        with views.writing() as writing:
            assert [] == list(writing.names())
            assert writing.standing("tallies", "live") is None
            assert writing.standing("tallies", "next") is None
        with views.snapshot() as snapshot:
            assert snapshot.standing("tallies") is None

    def test_what_begins_has_no_row_and_stands_before_the_first_event(self, views: Views) -> None:
        """Its standing says so, and only the generation that was begun is there."""
        with views.writing() as writing:
            begun = writing.begin(Tallies(), "next")
            assert at(-1) == begun
            assert begun == writing.standing("tallies", "next")
            assert writing.standing("tallies", "live") is None
            assert writing.load(TALLIES, ("a",), "next") is None
            assert ["tallies"] == list(writing.names())
        assert [] == list(views.standings())

    def test_rows_and_position_are_written_together(self, views: Views) -> None:
        """Both are there when the block has ended."""
        fill(views, ONE, TWO)
        assert [at(2)] == list(views.standings())
        assert ["a", "b"] == tallies(views)
        with views.writing() as writing:
            assert writing.load(TALLIES, ("b",), "live") == TWO

    def test_a_block_that_raises_has_written_nothing(self, views: Views) -> None:
        """Rows, position, beginnings, removals: all is as it was, and the next block works."""
        fill(views, ONE)

        def write_and_raise() -> None:
            with views.writing() as writing:
                writing.write(changes(TALLIES, TWO), at(7), "live")
                writing.begin(Exits(), "live")
                writing.drop("tallies", "live")
                raise _Abandoned

        with pytest.raises(_Abandoned):
            write_and_raise()
        assert [at(2)] == list(views.standings())
        assert ["a"] == tallies(views)
        with views.writing() as writing:
            writing.write(changes(TALLIES, TWO), at(3), "live")
        assert ["a", "b"] == tallies(views)

    def test_a_row_takes_the_place_of_the_one_with_its_key(self, views: Views) -> None:
        """There is never more than one, and one that is removed is gone."""
        fill(views, ONE, TWO, THREE)
        newer = Tally(stream="b", events=9, last=9)
        with views.writing() as writing:
            writing.write(changes(TALLIES, newer, gone=(("a",), ("zz",))), at(9), "live")
        with views.snapshot() as snapshot:
            assert [("b", 9, 9), ("c", 1, 2)] == list(snapshot.scan(TALLIES))

    def test_a_failure_is_kept_with_the_standing(self, views: Views) -> None:
        """It is there with every word, until a later standing has none."""
        fill(views, ONE)
        with views.writing() as writing:
            writing.write(changes(TALLIES), at(3, FAILURE), "live")
        assert [at(3, FAILURE)] == list(views.standings())
        with views.writing() as writing:
            assert at(3, FAILURE) == writing.standing("tallies", "live")
            writing.write(changes(TALLIES), at(5), "live")
        assert [at(5)] == list(views.standings())

    def test_generations_know_nothing_of_each_other(self, views: Views) -> None:
        """What is written into the next one is not in the live one, nor the other way round."""
        fill(views, ONE)
        fill(views, TWO, generation="next", position=0)
        assert ["a"] == tallies(views)
        assert [at(2)] == list(views.standings())
        with views.writing() as writing:
            assert writing.load(TALLIES, ("a",), "next") is None
            assert writing.load(TALLIES, ("b",), "next") == TWO
            assert at(0) == writing.standing("tallies", "next")

    def test_the_next_generation_takes_the_place_of_the_live_one(self, views: Views) -> None:
        """After it there is one generation: its rows, its standing; it can be written to."""
        fill(views, ONE, THREE)
        fill(views, TWO, generation="next", position=5)
        with views.writing() as writing:
            writing.swap(Tallies())
        assert ["b"] == tallies(views)
        assert [at(5)] == list(views.standings())
        with views.writing() as writing:
            assert writing.standing("tallies", "next") is None
            writing.write(changes(TALLIES, ONE), at(6), "live")
        assert ["a", "b"] == tallies(views)

    def test_the_first_generation_can_be_swapped_in_too(self, views: Views) -> None:
        """There need not have been a live one."""
        fill(views, TWO, generation="next")
        with views.writing() as writing:
            writing.swap(Tallies())
        assert ["b"] == tallies(views)

    def test_beginning_anew_forgets_what_was_there(self, views: Views) -> None:
        """The rows of that generation are gone, those of the other one are not."""
        fill(views, ONE)
        fill(views, TWO, generation="next")
        with views.writing() as writing:
            writing.begin(Tallies(), "next")
            assert writing.load(TALLIES, ("b",), "next") is None
        assert ["a"] == tallies(views)

    def test_what_is_dropped_is_gone(self, views: Views) -> None:
        """Rows and standing; dropping what is not there is nothing."""
        fill(views, ONE)
        fill(views, TWO, generation="next")
        with views.writing() as writing:
            writing.drop("tallies", "next")
            writing.drop("tallies", "next")
            writing.drop("nobody", "live")
        assert ["a"] == tallies(views)
        with views.writing() as writing:
            writing.drop("tallies", "live")
            assert [] == list(writing.names())
        assert [] == list(views.standings())

    def test_a_table_of_another_projection_is_refused(self, views: Views) -> None:
        """The error names both, and the table; the first one keeps what it has."""

        class Impostor(Projection):
            name = "impostor"
            version = 1
            tables = (EXITS, TALLIES)

        fill(views, ONE)
        with views.writing() as writing, pytest.raises(InputInvalid, match=r"^cannot build "):
            writing.begin(Impostor(), "next")
        assert ["a"] == tallies(views)

    @pytest.mark.parametrize("number", [None, 2**63, -(2**63) - 1, float("nan"), "\udcff", {1}])
    def test_a_row_that_does_not_fit_is_refused(self, views: Views, number: Any) -> None:
        """The error says whose row it is, and the block must not end well."""
        with views.writing() as writing:
            writing.begin(Unfit(0, 1), "live")

        def write() -> None:
            with views.writing() as writing:
                rows = changes(COUNTS, Count(position=1, number=number))
                writing.write(rows, Standing(name="unfit", version=1, position=1), "live")

        with pytest.raises(InputInvalid, match=r"^cannot write the rows of projection unfit: "):
            write()
        with views.snapshot() as snapshot:
            assert [] == list(snapshot.scan(COUNTS))

    def test_rows_are_scanned_in_the_order_of_their_keys(self, views: Views) -> None:
        """Text by its bytes in UTF-8, numbers by what they are worth."""
        names = ("é", "a", "ab", "B", "ï¿½", "😀", "\x00", "")
        fill(views, *(Tally(stream=name, events=1, last=1) for name in names))
        assert sorted(names, key=str.encode) == tallies(views)
        with views.writing() as writing:
            writing.begin(Exits(), "live")
            rows = changes(EXITS, *(Exit(code=code, times=1) for code in (10, 9, -1, 2**62)))
            writing.write(rows, Standing(name="exits", version=1, position=0), "live")
        with views.snapshot() as snapshot:
            assert [-1, 9, 10, 2**62] == [code for code, _ in snapshot.scan(EXITS)]

    def test_a_snapshot_stays_as_it_is_while_others_write(self, views: Views) -> None:
        """Rows and standing are those of one moment, even when the view is replaced."""
        fill(views, ONE)
        with views.snapshot() as snapshot:
            assert at(2) == snapshot.standing("tallies")
            fill(views, TWO, THREE, generation="next", position=9)
            with views.writing() as writing:
                writing.swap(Tallies())
            assert ["a"] == [str(cells[0]) for cells in snapshot.scan(TALLIES)]
            assert at(2) == snapshot.standing("tallies")
        assert ["b", "c"] == tallies(views)

    def test_scratch_views_are_of_their_own(self, views: Views) -> None:
        """They begin empty, and what is written there is nowhere else."""
        fill(views, ONE)
        with views.scratch() as scratch:
            assert [] == list(scratch.standings())
            fill(scratch, TWO)
            assert ["b"] == tallies(scratch)
        assert ["a"] == tallies(views)

    def test_streams_are_deleted_by_name(self, views: Views) -> None:
        """Their live rows are gone, the others and the standing are not."""
        fill(views, ONE, TWO, THREE)
        with views.writing() as writing:
            writing.erase()
            writing.delete_streams(Tallies(), ["a", "c", "zz"])
        assert ["b"] == tallies(views)
        assert [at(2)] == list(views.standings())
