"""The life of a run: what is legal when, and the state that events amount to."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, NoReturn, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import events as e
from ledger import run as law
from ledger.errors import MoveIllegal
from ledger.events import Event
from ledger.replay import fold
from ledger.run import LEGAL, Phase, Run, Status, check_legal, evolve
from tests.ledger.samples import SAMPLES
from tests.ledger.stories import (
    CAPTURED,
    COMPLETED,
    READY,
    changed,
    cleaned,
    given_that,
    not_cleaned,
    requested,
)
from tests.strategies import RUN_EVENTS, erased, events

# The law, written out by hand: which events may be recorded in which phase, and where they lead.
STAYS_OPEN: list[type[Event]] = [
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
    e.ProtectedPathChanged,
    e.PatchCaptured,
    e.ArtifactStored,
    e.CleanedUp,
    e.CleanupFailed,
]
ENDS_A_COMMAND: list[type[Event]] = [
    e.CommandExecuted,
    e.CommandNotStarted,
    e.CommandTimedOut,
    e.CommandCancelled,
    e.CommandLost,
]
GOES_ON_ENDING: list[type[Event]] = [
    e.PatchCaptured,
    e.ArtifactStored,
    e.CleanedUp,
    e.CleanupFailed,
    e.SandboxLost,
    e.CommandOutcomeFound,
]
TABLE: dict[Phase, dict[type[Event], Phase]] = {
    Phase.NEW: {e.RunOpened: Phase.OPEN, e.LegacyEventImported: Phase.IMPORTED},
    Phase.OPEN: {
        e.CommandRequested: Phase.RUNNING,
        e.RunCompleted: Phase.ENDED,
        e.RunAbandoned: Phase.ENDED,
        **dict.fromkeys(STAYS_OPEN, Phase.OPEN),
    },
    Phase.RUNNING: {
        **dict.fromkeys(ENDS_A_COMMAND, Phase.OPEN),
        e.SandboxLost: Phase.RUNNING,
        e.CommandOutcomeFound: Phase.RUNNING,
    },
    Phase.ENDING: {
        e.RunCompleted: Phase.ENDED,
        e.RunAbandoned: Phase.ENDED,
        **dict.fromkeys(GOES_ON_ENDING, Phase.ENDING),
    },
    Phase.ENDED: {
        e.RunSealed: Phase.ENDED,
        **dict.fromkeys(GOES_ON_ENDING, Phase.ENDED),
    },
    Phase.IMPORTED: {e.LegacyEventImported: Phase.IMPORTED},
}
IN_PHASE = {
    Phase.NEW: Run(),
    Phase.OPEN: given_that(*READY),
    Phase.RUNNING: given_that(*READY, requested(1)),
    Phase.ENDING: given_that(*READY, CAPTURED),
    Phase.ENDED: given_that(*READY, COMPLETED),
    Phase.IMPORTED: given_that(SAMPLES["legacy event imported"]),
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
        (Phase.IMPORTED, "cannot do it in run T-1/R-1: it is an imported journal"),
    ],
)
def test_a_refusal_says_what_run_and_why(phase: Phase, message: str) -> None:
    """The message names the run, and the state that stands against it."""
    kind = e.RunSealed if phase is not Phase.ENDED else e.RunOpened
    with pytest.raises(MoveIllegal) as caught:
        check_legal(IN_PHASE[phase], kind, "do it")
    assert message == str(caught.value)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.NEW])
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


@given(history=st.lists(events(), max_size=15))
def test_whatever_is_on_record_has_a_state(history: list[Event]) -> None:
    """`evolve` refuses nothing: any events in any order fold, and every question has an answer."""
    run = fold(history)
    assert len(history) - 1 == run.version
    assert run.status in get_args(Status)
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
