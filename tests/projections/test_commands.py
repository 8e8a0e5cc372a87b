"""One row a command, and the one word for how it ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import events as e
from ledger.events import Event
from projections.commands import CommandRow, StreamRow, fold_commands
from tests.projections.records import SECOND, executed, histories, opened, recorded, requested


def only(*history: Event, missing: frozenset[int] = frozenset()) -> CommandRow:
    """Return the row of the one command of a history."""
    (row,) = fold_commands(recorded(*history, missing=missing))
    return row


def found(outcome: str, exit_code: int | None = None, signal: int | None = None) -> Event:
    """Return a late outcome of the first command."""
    return e.CommandOutcomeFound(
        command="c1",
        outcome=outcome,  # type: ignore[arg-type]  # one of its literals
        exit_code=exit_code,
        signal=signal,
        killed_by_memory_limit=False,
    )


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (executed(1), "succeeded"),
        (executed(1, 3), "failed"),
        (executed(1, None, 9), "signalled"),
        (e.CommandTimedOut(command="c1"), "timed_out"),
        (e.CommandCancelled(command="c1", signal=2), "cancelled"),
        (e.CommandLost(command="c1", reason="process"), "lost"),
        (e.CommandNotStarted(command="c1", reason="not_found"), "not_started"),
        (found("executed", 0), "succeeded"),
        (found("executed", 2), "failed"),
        (found("executed", None, 15), "signalled"),
        (found("timed_out"), "timed_out"),
        (found("cancelled"), "cancelled"),
        (found("not_started"), "not_started"),
    ],
)
def test_every_ending_has_its_word(ending: Event, status: str):
    """No two endings that mean different things share one."""
    row = only(opened(), requested(1), ending)
    assert (status, 2 * SECOND) == (row.status, row.ended_at)


def test_a_command_without_an_ending_has_no_recorded_outcome():
    """Nothing is claimed of it: not that it failed, not that it runs."""
    row = only(opened(), requested(1, "make", "all"))
    assert ("no_recorded_outcome", None, None) == (row.status, row.ended_at, row.exit_code)
    assert (("make", "all"), "build", 1 * SECOND) == (row.argv, row.step, row.requested_at)


def test_what_it_took_and_printed_is_in_its_row():
    """Durations, memory, streams and their blobs."""
    row = only(opened(), requested(1), executed(1))
    assert (2_500, 1_000, 6_000) == (row.duration_us, row.cpu_us, row.peak_memory_kb)
    assert StreamRow(total=4, stored=4, truncated=False, sha256="d" * 64) == row.stdout
    assert StreamRow(total=0, stored=0, truncated=False, sha256=None) == row.stderr
    assert (None, False) == (row.stdin, row.missing)


def test_a_denied_command_has_the_rule_that_denied_it():
    """It never was requested, and has no usage."""
    text = e.CommandDeniedText(argv=("rm",), cwd="/w", rule="exec.allowlist")
    row = only(
        opened(),
        e.CommandDenied(
            command="c1", form="argv", may_fail=False, reason="not_listed", private=text
        ),
    )
    assert ("denied", "not_listed", "exec.allowlist", ("rm",)) == (
        row.status,
        row.reason,
        row.rule,
        row.argv,
    )


@pytest.mark.parametrize("missing", [frozenset({1}), frozenset({2}), frozenset({1, 2})])
def test_a_missing_private_part_is_marked_and_facts_stand(missing: frozenset[int]):
    """What was run or where its output is may be gone; how it ended is not."""
    row = only(opened(), requested(1), executed(1, 3), missing=missing)
    assert (True, "failed", 3) == (row.missing, row.status, row.exit_code)
    assert (1 in missing) == (row.argv is None)
    assert row.stdout is not None
    assert (4, 2 in missing) == (row.stdout.total, row.stdout.sha256 is None)


@given(histories(), st.frozensets(st.integers(0, 12)))
def test_no_history_and_no_missing_part_ever_fails(history: list[Event], missing: frozenset[int]):
    """As many rows as commands that were asked for, with or without their private parts."""
    asked = {
        event.command
        for event in history
        if isinstance(event, e.CommandRequested | e.CommandDenied)
    }
    rows = fold_commands(recorded(*history, missing=missing))
    assert asked == {row.command for row in rows}
    assert len(asked) == len(rows)
