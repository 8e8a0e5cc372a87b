"""The state that events amount to, event by event."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import events as e
from ledger.events import Event
from ledger.replay import fold
from tests.ledger.stories import (
    COMPLETED,
    OPENED,
    READY,
    SANDBOX,
    WORKTREE,
    changed,
    cleaned,
    executed,
    given_that,
    governed,
    lost,
    not_cleaned,
    requested,
)


# The law, written out by hand: which events may be recorded in which phase, and where they lead.
def test_opening_gives_a_run_its_name_and_its_rules() -> None:
    """The state takes task, run, mode, home, rules and isolation from the first event."""
    run = given_that(OPENED)
    assert ("T-1", "R-1", "held", "home-1") == (run.task, run.run, run.mode, run.home)
    assert (OPENED.rules, OPENED.asked) == (run.rules, run.asked)
    assert ("open", 0) == (run.status, run.version)


def test_a_command_runs_until_it_ends() -> None:
    """A request makes the run *running*, any ending makes it *open* again."""
    running = given_that(*READY, requested(1))
    assert ("running", "c1") == (running.status, running.open_command)
    ended = given_that(*READY, requested(1), executed(1))
    assert ("open", None) == (ended.status, ended.open_command)
    assert (1, 1, 0) == (ended.requests, ended.commands, ended.failures)


@pytest.mark.parametrize(
    ("ending", "failures"),
    [
        (executed(1, 0), 0),
        (executed(1, 1), 1),
        (executed(1, None, signal=9), 1),
        (lost(1), 1),
        (e.CommandTimedOut(command="c1"), 1),
        (e.CommandCancelled(command="c1", signal=2), 1),
        (e.CommandNotStarted(command="c1", reason="failed"), 1),
    ],
    ids=["exit 0", "exit 1", "signal 9", "lost", "timed out", "cancelled", "not started"],
)
def test_every_ending_but_exit_code_0_is_a_failure(ending: Any, failures: int) -> None:
    """Only a command that may fail fails without consequence."""
    assert failures == given_that(*READY, requested(1), ending).failures
    assert 0 == given_that(*READY, requested(1, may_fail=True), ending).failures


@pytest.mark.parametrize(("may_fail", "failures"), [(True, 0), (False, 1)])
def test_a_denied_command_has_a_number_and_fails_the_run(may_fail: bool, failures: int) -> None:
    """A denial takes a number but is no command that ran; one that may fail does no harm."""
    denied = e.CommandDenied(command="c1", form="argv", may_fail=may_fail, reason="not_listed")
    run = given_that(*READY, denied)
    assert (1, 0, failures) == (run.requests, run.commands, run.failures)


def test_a_refused_fallback_fails_the_run() -> None:
    """Where nothing permitted could be had, the run has failed."""
    refused = e.FallbackRefused(
        component="sandbox", wanted="e2b", cause="unavailable", attempts=(), lost=(),
        forbidden_by="sandbox.fallback",
    )  # fmt: skip
    assert 1 == given_that(OPENED, WORKTREE, refused).failures


def test_a_late_outcome_takes_a_command_off_the_lost() -> None:
    """A lost command is remembered until its outcome is found; that undoes no failure."""
    found = e.CommandOutcomeFound(
        command="c1", outcome="executed", exit_code=0, signal=None, killed_by_memory_limit=False
    )
    run = given_that(*READY, requested(1), lost(1))
    assert {"c1"} == run.lost_commands
    later = given_that(*READY, requested(1), lost(1), found)
    assert (frozenset(), 1) == (later.lost_commands, later.failures)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("succeeded", "succeeded"), ("failed", "failed"), ("cancelled", "cancelled")],
)
def test_a_completed_run_has_the_status_of_its_outcome(outcome: str, status: str) -> None:
    """The last word is that of `RunCompleted`."""
    assert status == given_that(*READY, changed(COMPLETED, outcome=outcome)).status


def test_an_abandoned_run_is_called_so() -> None:
    """Recovery's end is a status of its own."""
    assert "abandoned" == given_that(*READY, e.RunAbandoned(lost=())).status


def test_a_seal_is_remembered_by_its_count() -> None:
    """A later seal takes the place of an earlier one."""
    seals = [e.RunSealed(count=count, root="00", log_size=9) for count in (4, 7)]
    assert 7 == given_that(*READY, COMPLETED, *seals).sealed


def test_resources_are_numbered_in_the_order_made() -> None:
    """Worktrees and sandboxes are counted apart, from 1."""
    run = given_that(OPENED, WORKTREE, SANDBOX, SANDBOX)
    assert [("worktree", 1), ("sandbox", 1), ("sandbox", 2)] == [
        (holding.resource, holding.ordinal) for holding in run.holdings
    ]
    assert (1, 2, 0) == (run.made("worktree"), run.made("sandbox"), run.made("branch"))
    assert SANDBOX.had == run.had


def test_the_newest_resource_that_is_not_gone_is_held() -> None:
    """What was cleaned up is not held any more; what was made after it is."""
    gone = given_that(*READY, cleaned("sandbox", ending=False))
    assert gone.holding("sandbox") is None
    again = given_that(*READY, cleaned("sandbox", ending=False), SANDBOX)
    held = again.holding("sandbox")
    assert held is not None
    assert (2, "live") == (held.ordinal, held.state)


@pytest.mark.parametrize(
    ("tail", "cleanup", "expected"),
    [
        ([], "always", None),
        ([COMPLETED], "always", "leaked"),
        ([cleaned("sandbox"), COMPLETED], "always", "leaked"),
        ([cleaned("sandbox"), cleaned("worktree"), COMPLETED], "always", "clean"),
        ([cleaned("sandbox"), not_cleaned("worktree"), COMPLETED], "always", "leaked"),
        ([cleaned("sandbox"), COMPLETED], "never", "kept"),
        ([not_cleaned("sandbox"), COMPLETED], "never", "leaked"),
        ([cleaned("sandbox"), not_cleaned("worktree"), COMPLETED], "never", "leaked"),
        ([cleaned("sandbox"), COMPLETED], "on_success", "leaked"),
        ([cleaned("sandbox"), changed(COMPLETED, outcome="failed")], "on_success", "kept"),
        ([e.SandboxLost(ordinal=1), cleaned("worktree"), COMPLETED], "always", "clean"),
    ],
)
def test_cleanliness_says_what_is_left(tail: list[Event], cleanup: str, expected: str) -> None:
    """Nothing left is clean; what policy keeps is kept; anything else has leaked."""
    run = governed(given_that(*READY), cleanup=cleanup)
    assert expected == fold(tail, run).cleanliness


def test_a_leak_cleaned_after_the_end_is_clean() -> None:
    """Cleaning up goes on after the end, and counts."""
    history = (*READY, cleaned("sandbox"), not_cleaned("worktree"), COMPLETED)
    assert "leaked" == given_that(*history).cleanliness
    assert "clean" == given_that(*history, cleaned("worktree", ending=False)).cleanliness
