"""Replay: a state is the fold of its events, wherever one begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.events import Event
from ledger.replay import fold
from ledger.run import Run
from tests.strategies import events

histories = st.lists(events(), max_size=12)


def test_nothing_on_record_is_the_first_state() -> None:
    """Folding no events gives the state of a run that nobody opened."""
    assert Run() == fold([])
    assert (-1, "new", None) == (Run().version, Run().status, Run().cleanliness)


@given(history=histories, at=st.integers(0, 12))
def test_a_fold_can_be_taken_up_anywhere(history: list[Event], at: int) -> None:
    """Folding the rest from a state on is folding the whole."""
    assert fold(history) == fold(history[at:], fold(history[:at]))


@given(history=histories)
def test_the_version_is_the_place_of_the_last_event(history: list[Event]) -> None:
    """Versions begin at 0 and have no gaps."""
    assert len(history) - 1 == fold(iter(history)).version
