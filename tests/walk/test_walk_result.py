"""What a caller holds of a command that has ended."""

from __future__ import annotations

import pytest

from ledger.active_run import Result, ending_for
from ledger.closing import CloseRun
from ledger.commands import Finished
from ledger.errors import WorkspaceError
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
from tests.fakes.blobs import MemoryBlobs

USAGE = Usage(duration_us=1)
NOTHING = Captured(0, None, False)


def result_of(outcome: Outcome, stdout: Captured = NOTHING, stderr: Captured = NOTHING) -> Result:
    """Return the result of a command that ended so."""
    blobs = MemoryBlobs({"ff": b"large"}, lambda _: None)
    finished = Finished("c1", outcome, Output(stdout=stdout, stderr=stderr))
    return Result(blobs, ("true",), finished)


@pytest.mark.parametrize(
    ("outcome", "returncode", "exit_code"),
    [
        (Executed(usage=USAGE, exit_code=0), 0, 0),
        (Executed(usage=USAGE, exit_code=3), 3, 3),
        (Executed(usage=USAGE, signal=9), 137, None),
        (TimedOut(usage=USAGE), 124, None),
        (NotStarted(reason="not_found", message=""), 127, None),
        (NotStarted(reason="not_executable", message=""), 126, None),
        (NotStarted(reason="failed", message=""), 126, None),
        (Cancelled(usage=USAGE, signal=15), 143, None),
        (Cancelled(usage=USAGE), 130, None),
        (Lost(message=""), 125, None),
    ],
    ids=["0", "3", "signal", "time", "missing", "mode", "failed", "term", "cancel", "lost"],
)
def test_every_ending_has_one_number(
    outcome: Outcome, returncode: int, exit_code: int | None
) -> None:
    """As a shell has it; only a command that exited has an exit code, and only 0 is success."""
    result = result_of(outcome)
    assert (returncode, exit_code) == (result.returncode, result.exit_code)
    assert (exit_code == 0) == result.success
    assert (("true",), "c1", outcome) == (result.args, result.command, result.outcome)


def test_a_small_output_needs_no_store_and_a_large_one_is_read_from_it() -> None:
    """A row is at hand; a file is read; nothing is nothing."""
    small, large = Captured(2, Blob("aa", 2, b"ab"), False), Captured(9, Blob("ff", 5), True)
    ended = Executed(usage=USAGE, exit_code=0)
    assert (b"ab", b"large") == (
        result_of(ended, small, large).stdout,
        result_of(ended, small, large).stderr,
    )
    assert b"" == result_of(ended).stdout


@pytest.mark.parametrize("truncated", [(False, False), (True, False), (False, True)])
def test_a_result_says_whether_more_was_printed(truncated: tuple[bool, bool]) -> None:
    """Either stream may have been cut off."""
    out, err = (Captured(2, None, cut) for cut in truncated)
    assert any(truncated) == result_of(TimedOut(usage=USAGE), out, err).truncated


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (None, CloseRun()),
        (KeyboardInterrupt(), CloseRun(outcome="cancelled", reason="signal")),
        (
            ValueError("no"),
            CloseRun(outcome="failed", reason="error", message="ValueError: no"),
        ),
        (
            WorkspaceError("cannot make it"),
            CloseRun(outcome="failed", reason="error", message="cannot make it"),
        ),
    ],
    ids=["none", "interrupt", "error", "ours"],
)
def test_a_block_that_is_left_ends_the_run_as_it_was_left(
    error: BaseException | None, ending: CloseRun
) -> None:
    """In order as its commands went, by an interrupt cancelled, by an error failed."""
    assert ending == ending_for(error)
