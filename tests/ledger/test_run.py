"""The life of a run: what is legal when, and the state that events amount to."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import events as e
from ledger import run as law
from ledger.errors import MoveIllegal
from ledger.events import Event
from ledger.replay import fold
from ledger.run import LEGAL, Phase, Run, check_legal, evolve
from tests.ledger.stories import (
    CAPTURED,
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
from tests.strategies import RUN_EVENTS, erased, events

# The law, written out by hand: which events may be recorded in which phase, and where they lead.
STAYS_OPEN = [
    e.WorktreeCreated,
    e.SandboxCreated,
    e.SandboxLost,
    e.FallbackTaken,
    e.FallbackRefused,
    e.CommandDenied,
    e.CommandOutcomeFound,
    e.FileWriteRequested,
    e.FileWritten,
    e.FileRead,
    e.FileDenied,
    e.PatchCaptured,
    e.ArtifactStored,
    e.CleanedUp,
    e.CleanupFailed,
]
ENDS_A_COMMAND = [
    e.CommandExecuted,
    e.CommandNotStarted,
    e.CommandTimedOut,
    e.CommandCancelled,
    e.CommandLost,
]
GOES_ON_ENDING = [
    e.PatchCaptured,
    e.ArtifactStored,
    e.CleanedUp,
    e.CleanupFailed,
    e.SandboxLost,
    e.CommandOutcomeFound,
]
TABLE: dict[Phase, dict[type[Event], Phase]] = {
    Phase.NEW: {e.RunOpened: Phase.OPEN},
    Phase.OPEN: {
        e.CommandRequested: Phase.RUNNING,
        e.RunCompleted: Phase.ENDED,
        e.RunAbandoned: Phase.ENDED,
        **{kind: Phase.OPEN for kind in STAYS_OPEN},
    },
    Phase.RUNNING: {
        **{kind: Phase.OPEN for kind in ENDS_A_COMMAND},
        e.SandboxLost: Phase.RUNNING,
        e.CommandOutcomeFound: Phase.RUNNING,
    },
    Phase.ENDING: {
        e.RunCompleted: Phase.ENDED,
        e.RunAbandoned: Phase.ENDED,
        **{kind: Phase.ENDING for kind in GOES_ON_ENDING},
    },
    Phase.ENDED: {
        e.RunSealed: Phase.ENDED,
        **{kind: Phase.ENDED for kind in GOES_ON_ENDING},
    },
}
IN_PHASE = {
    Phase.NEW: Run(),
    Phase.OPEN: given_that(*READY),
    Phase.RUNNING: given_that(*READY, requested(1)),
    Phase.ENDING: given_that(*READY, CAPTURED),
    Phase.ENDED: given_that(*READY, COMPLETED),
}
of_every_phase = pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.value)


def test_the_law_is_the_table() -> None:
    """What may be recorded in which phase, and where that leads, is exactly this."""
    assert TABLE == LEGAL


def test_every_phase_has_its_law() -> None:
    """The law is total: no phase is left out, and what it leads to is a phase."""
    assert set(Phase) == set(LEGAL)
    assert {phase: run.phase for phase, run in IN_PHASE.items()} == {p: p for p in Phase}


def test_every_event_may_be_recorded_at_some_time() -> None:
    """No event of the union is illegal always."""
    assert set(RUN_EVENTS) == {kind for table in LEGAL.values() for kind in table}


@of_every_phase
def test_what_is_illegal_raises_and_changes_nothing(phase: Phase) -> None:
    """In every phase each event is either in the table or refused, and asking changes nothing."""
    run = IN_PHASE[phase]
    before = msgspec.structs.replace(run)
    for kind in RUN_EVENTS:
        if kind in TABLE[phase]:
            check_legal(run, kind, "do it")
        else:
            with pytest.raises(MoveIllegal):
                check_legal(run, kind, "do it")
    assert before == run


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (Phase.NEW, "cannot do it in run a run that was never opened: it was never opened"),
        (Phase.OPEN, "cannot do it in run T-1/R-1: it is open"),
        (Phase.RUNNING, "cannot do it in run T-1/R-1: command c1 has no recorded outcome yet"),
        (Phase.ENDING, "cannot do it in run T-1/R-1: it is being closed"),
        (Phase.ENDED, "cannot do it in run T-1/R-1: it has ended (succeeded)"),
    ],
)
def test_a_refusal_says_what_run_and_why(phase: Phase, message: str) -> None:
    """The message names the run, and the state that stands against it."""
    kind = e.RunSealed if phase is not Phase.ENDED else e.RunOpened
    with pytest.raises(MoveIllegal) as caught:
        check_legal(IN_PHASE[phase], kind, "do it")
    assert message == str(caught.value)


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.RUNNING, Phase.ENDING, Phase.ENDED])
def test_a_second_opening_is_illegal_whatever_has_happened(phase: Phase) -> None:
    """A run is opened once."""
    with pytest.raises(MoveIllegal):
        check_legal(IN_PHASE[phase], e.RunOpened, "open it again")


@pytest.mark.parametrize(
    "event",
    [CAPTURED, cleaned("sandbox"), not_cleaned("worktree")],
    ids=["captured", "cleaned", "not cleaned"],
)
def test_the_first_event_of_the_ending_ends_accepting(event: Any) -> None:
    """From an event marked *ending* on a run takes no command; the same event unmarked is none."""
    assert Phase.ENDING is given_that(*READY, event).phase
    assert Phase.OPEN is given_that(*READY, changed(event, ending=False)).phase


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


@given(history=st.lists(events(), max_size=15))
def test_whatever_is_on_record_has_a_state(history: list[Event]) -> None:
    """`evolve` refuses nothing: any events in any order fold, and every question has an answer."""
    run = fold(history)
    assert len(history) - 1 == run.version
    assert run.status in {"new", "open", "running", "succeeded", "failed", "cancelled", "abandoned"}
    assert run.cleanliness in {None, "clean", "kept", "leaked"}
    assert (run.phase is Phase.ENDED) == (run.cleanliness is not None)


@given(history=st.lists(events(), max_size=15))
def test_erasing_changes_no_state(history: list[Event]) -> None:
    """With every private part erased the state is the same."""
    assert fold(history) == fold(map(erased, history))


class Untouchable:
    """A private part that cannot be looked at."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise AssertionError(f"a private part was asked for {name}")

    def __bool__(self) -> NoReturn:
        raise AssertionError("a private part was looked at")

    __eq__ = __hash__ = None  # type: ignore[assignment]


@given(event=events(), run=st.sampled_from([*IN_PHASE.values()]))
def test_a_private_part_is_never_looked_at(event: Any, run: Run) -> None:
    """The state follows even where looking at the private part raises."""
    if hasattr(event, "private"):
        event = msgspec.structs.replace(event, private=Untouchable())
    assert run.version + 1 == evolve(run, event).version


def test_the_law_has_no_word_for_private_parts() -> None:
    """No line of `ledger/run.py` reads an attribute called private."""
    tree = ast.parse(Path(str(law.__file__)).read_text(encoding="utf-8"))
    words = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert "private" not in words
    assert "private" not in texts
