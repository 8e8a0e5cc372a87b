"""Deciding what a command may do, and how it ended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import events as e
from ledger.allowlist import Denial
from ledger.decide import (
    CommandWanted,
    begin_command,
    lose_command,
    record_outcome,
    request_command,
)
from ledger.errors import MoveIllegal
from ledger.events import UNSET, BlobName
from ledger.outcomes import (
    Blob,
    Cancelled,
    Captured,
    Executed,
    Lost,
    NotStarted,
    Outcome,
    Output,
    TimedOut,
    Usage,
)
from ledger.run import Run
from tests.ledger.samples import ASKED, HAD
from tests.ledger.stories import (
    CAPTURED,
    COMPLETED,
    READY,
    executed,
    given_that,
    lost,
    requested,
)

TEXT = e.CommandText(argv=("ls", "-l"), cwd="/w", executable="/bin/ls", env={"A": "b"}, step="s")
WANTED = CommandWanted(
    form="argv",
    may_fail=True,
    uid=1000,
    stdin="none",
    time_limit=2.5,
    sandbox=1,
    had=HAD,
    text=TEXT,
)
USAGE = Usage(duration_us=7, cpu_us=5, peak_memory_kb=3)
OUTPUT = Output(
    stdout=Captured(10, Blob("aa", 4, b"abcd"), True),
    stderr=Captured(0, None, False),
    stdin=Captured(2, Blob("bb", 2, b"xy"), False),
)
SEEN: dict[str, Any] = {
    "duration_us": 7,
    "cpu_us": 5,
    "peak_memory_kb": 3,
    "stdout": e.StreamFacts(10, 4, True),
    "stderr": e.StreamFacts(0, 0, False),
    "stdin": e.StreamFacts(2, 2, False),
    "private": e.StreamsText(stdout=BlobName("aa", 4), stdin=BlobName("bb", 2)),
}
STREAMS = {name: SEEN[name] for name in ("stdout", "stderr", "stdin", "private")}
RUNNING = given_that(*READY, requested(1))
OUTCOMES: list[tuple[Outcome, e.RunEvent, e.RunEvent | None]] = [
    (
        Executed(usage=USAGE, exit_code=3),
        e.CommandExecuted(
            command="c1", exit_code=3, signal=None, killed_by_memory_limit=False, **SEEN
        ),
        e.CommandOutcomeFound(
            command="c1",
            outcome="executed",
            exit_code=3,
            signal=None,
            killed_by_memory_limit=False,
            **SEEN,
        ),
    ),
    (
        Executed(usage=USAGE, signal=9, killed_by_memory_limit=True),
        e.CommandExecuted(
            command="c1", exit_code=None, signal=9, killed_by_memory_limit=True, **SEEN
        ),
        e.CommandOutcomeFound(
            command="c1",
            outcome="executed",
            exit_code=None,
            signal=9,
            killed_by_memory_limit=True,
            **SEEN,
        ),
    ),
    (
        TimedOut(usage=USAGE),
        e.CommandTimedOut(command="c1", **SEEN),
        e.CommandOutcomeFound(
            command="c1",
            outcome="timed_out",
            exit_code=None,
            signal=None,
            killed_by_memory_limit=False,
            **SEEN,
        ),
    ),
    (
        Cancelled(usage=USAGE, signal=15),
        e.CommandCancelled(command="c1", signal=15, **SEEN),
        e.CommandOutcomeFound(
            command="c1",
            outcome="cancelled",
            exit_code=None,
            signal=15,
            killed_by_memory_limit=False,
            **SEEN,
        ),
    ),
    (
        NotStarted(reason="not_found", message="cannot find it"),
        e.CommandNotStarted(
            command="c1",
            reason="not_found",
            private=e.MessageText(message="cannot find it"),
        ),
        e.CommandOutcomeFound(
            command="c1",
            outcome="not_started",
            exit_code=None,
            signal=None,
            killed_by_memory_limit=False,
            **STREAMS,
        ),
    ),
    (Lost(message="it vanished"), e.CommandLost(command="c1", reason="sandbox", **STREAMS), None),
]
of_every_outcome = pytest.mark.parametrize(
    ("outcome", "ending", "late"),
    OUTCOMES,
    ids=["exited", "killed", "timed out", "cancelled", "not started", "lost"],
)


def test_a_request_is_the_whole_intent() -> None:
    """Given an open run, a request has the next number and says both isolations."""
    expected = e.CommandRequested(
        command="c1",
        form="argv",
        sandbox=1,
        may_fail=True,
        uid=1000,
        stdin="none",
        time_limit=2.5,
        asked=ASKED,
        had=HAD,
        private=TEXT,
    )
    assert expected == request_command(given_that(*READY), WANTED, None)


def test_a_denial_says_the_rule_instead() -> None:
    """Given a denial, the command gets a number, no isolation, and the rule that denied it."""
    expected = e.CommandDenied(
        command="c1",
        form="argv",
        may_fail=True,
        reason="argument",
        private=e.CommandDeniedText(
            argv=("ls", "-l"),
            cwd="/w",
            rule="exec.allowlist: ls: arguments",
            executable="/bin/ls",
            step="s",
        ),
    )
    denial = Denial("exec.allowlist: ls: arguments", "argument")
    assert expected == request_command(given_that(*READY), WANTED, denial)


def test_commands_and_denials_are_numbered_together() -> None:
    """Numbers are c1, c2, … in the order asked for, whatever came of them."""
    denied = e.CommandDenied(command="c2", form="argv", may_fail=True, reason="not_listed")
    run = given_that(*READY, requested(1), executed(1), denied)
    assert "c3" == request_command(run, WANTED, None).command


@pytest.mark.parametrize(
    "run",
    [Run(asked=ASKED), RUNNING, given_that(*READY, CAPTURED), given_that(*READY, COMPLETED)],
)
def test_no_command_is_taken_but_by_an_open_run(run: Run) -> None:
    """Neither a request nor a denial is recorded before, beside another, or from the ending on."""
    for denial in (None, Denial("exec.allowlist", "not_listed")):
        with pytest.raises(MoveIllegal, match="cannot execute a command in run"):
            request_command(run, WANTED, denial)
    with pytest.raises(MoveIllegal, match="cannot execute a command in run"):
        begin_command(run)


def test_an_open_run_takes_a_command() -> None:
    """Given an open run, beginning a command is accepted in silence."""
    begin_command(given_that(*READY))


@of_every_outcome
def test_each_outcome_is_its_own_ending(
    outcome: Outcome, ending: e.RunEvent, late: e.RunEvent | None
) -> None:
    """Given a running command, its outcome is recorded whole, with output and usage."""
    assert (ending,) == record_outcome(RUNNING, "c1", outcome, OUTPUT)


@of_every_outcome
def test_an_outcome_after_a_loss_is_a_late_one(
    outcome: Outcome, ending: e.RunEvent, late: e.RunEvent | None
) -> None:
    """Given a lost command, its outcome is found, also after the end; a loss says nothing new."""
    expected = () if late is None else (late,)
    run = given_that(*READY, requested(1), lost(1))
    assert expected == record_outcome(run, "c1", outcome, OUTPUT)
    ended = given_that(*READY, requested(1), lost(1), COMPLETED)
    assert expected == record_outcome(ended, "c1", outcome, OUTPUT)


@of_every_outcome
def test_an_outcome_on_record_is_not_recorded_again(
    outcome: Outcome, ending: e.RunEvent, late: e.RunEvent | None
) -> None:
    """Given the ending of a command, a second one is nothing."""
    run = given_that(*READY, requested(1), executed(1))
    assert () == record_outcome(run, "c1", outcome, OUTPUT)


@given(
    run=st.sampled_from(
        [
            Run(),
            given_that(*READY),
            RUNNING,
            given_that(*READY, requested(1), lost(1)),
            given_that(*READY, CAPTURED),
            given_that(*READY, COMPLETED),
        ]
    ),
    outcome=st.sampled_from([outcome for outcome, _, _ in OUTCOMES]),
    command=st.sampled_from(["c1", "c2"]),
    output=st.sampled_from([OUTPUT, None]),
)
def test_an_outcome_is_never_refused(
    run: Run, outcome: Outcome, command: str, output: Output | None
) -> None:
    """Whatever the state, recording an outcome gives at most one event and never raises."""
    assert len(record_outcome(run, command, outcome, output)) <= 1


def test_without_output_nothing_is_said_of_it() -> None:
    """Where no stream is known, no size is claimed and the private part is unset."""
    (ending,) = record_outcome(RUNNING, "c1", Executed(usage=USAGE, exit_code=0), None)
    assert isinstance(ending, e.CommandExecuted)
    assert (None, None, None) == (ending.stdout, ending.stderr, ending.stdin)
    assert UNSET is ending.private


def test_an_open_command_is_lost_with_its_process() -> None:
    """Given a running command whose process is gone, it is lost; otherwise nothing is."""
    assert (e.CommandLost(command="c1", reason="process"),) == lose_command(RUNNING)
    assert () == lose_command(given_that(*READY))
    assert () == lose_command(given_that(*READY, requested(1), executed(1)))
