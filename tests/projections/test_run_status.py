"""One row a run, from its events alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger import events as e
from ledger.events import Event
from ledger.replay import fold
from projections.run_status import RunStatus, fold_run_status
from tests.ledger.samples import ASKED, HAD
from tests.projections.records import (
    SECOND,
    ending,
    executed,
    histories,
    opened,
    recorded,
    requested,
    sandboxed,
)


def status_of(*history: Event, missing: frozenset[int] = frozenset()) -> RunStatus:
    """Return the row of a history."""
    row = fold_run_status(recorded(*history, missing=missing))
    assert row is not None
    return row


def test_a_run_from_opening_to_seal_is_one_row():
    """Status, times, counts, isolation and patch are all there."""
    row = status_of(opened(), *sandboxed(), requested(1), executed(1), *ending())
    assert ("T-1", "R-1", "succeeded", "clean") == (row.task, row.run, row.status, row.cleanliness)
    assert (0, 7 * SECOND, 7 * SECOND) == (row.opened_at, row.ended_at, row.duration_us)
    assert (1, 0, 0, 1) == (row.commands, row.failed, row.denied, row.fallbacks)
    assert ("e2b", "local", ASKED, HAD) == (row.sandbox_wanted, row.sandbox, row.asked, row.had)
    assert ("boundary", "filesystem", "network", "processes", "limits", "record") == row.lost
    assert (1, 2, 3) == (row.files_changed, row.insertions, row.deletions)
    assert (9, 0, "RunSealed", 8) == (row.events, row.missing, row.last_event, row.last_position)
    assert ("ada", "here", "default", {"ticket": "7"}) == (
        row.actor,
        row.host,
        row.profile,
        row.labels,
    )


def test_every_ending_but_exit_0_is_a_failed_command():
    """Also that of a command which may fail: the row says how many did, not what it meant."""
    row = status_of(
        opened(),
        requested(1),
        executed(1, 3),
        requested(2),
        e.CommandTimedOut(command="c2"),
        requested(3, may_fail=True),
        e.CommandNotStarted(command="c3", reason="not_found"),
        requested(4),
        executed(4, None, 9),
        requested(5),
        executed(5),
        e.CommandDenied(command="c6", form="argv", may_fail=True, reason="not_listed"),
    )
    assert ("open", 5, 4, 1) == (row.status, row.commands, row.failed, row.denied)


def test_a_lost_command_that_is_found_to_have_succeeded_has_not_failed():
    """The late outcome takes back what its loss had counted."""
    lost = (opened(), requested(1), e.CommandLost(command="c1", reason="process"))
    found = e.CommandOutcomeFound(
        command="c1", outcome="executed", exit_code=0, signal=None, killed_by_memory_limit=False
    )
    assert 1 == status_of(*lost).failed
    assert 0 == status_of(*lost, found).failed


def test_without_private_parts_facts_stand_and_texts_are_none():
    """What became of the run is known; who, where and under which profile is not."""
    history = (opened(), *sandboxed(), requested(1), executed(1, 3), *ending("failed"))
    whole, bare = status_of(*history), status_of(*history, missing=frozenset(range(20)))
    for name in ("status", "cleanliness", "commands", "failed", "had", "lost", "files_changed"):
        assert getattr(whole, name) == getattr(bare, name), name
    assert (9, None, None, None, None) == (
        bare.missing,
        bare.actor,
        bare.profile,
        bare.labels,
        bare.directory,
    )


def test_a_stream_that_no_run_opened_has_no_row():
    """The ledger's own stream is no run."""
    assert fold_run_status(recorded(e.LedgerCreated(ledger="l", home="h"))) is None
    assert fold_run_status([]) is None


@given(histories(), st.frozensets(st.integers(0, 12)))
def test_no_history_and_no_missing_part_ever_fails(history: list[Event], missing: frozenset[int]):
    """The row's status is the fold's, whatever is on record and whatever of it is gone."""
    row = status_of(*history, missing=missing)
    assert fold(history).status == row.status
    assert (len(history), len(history) - 1) == (row.events, row.last_position)
