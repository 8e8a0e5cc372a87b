"""What a run warns of, in one line each."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.cli.cautions import cautions
from ledger import events as e
from ledger.events import UNSET, Event
from tests.projections.records import executed, opened, requested, sandboxed

WHY = "E2B_API_KEY is not set"


def taken(**fields: Any) -> e.FallbackTaken:
    """Return a fallback of the sandbox, from e2b to local."""
    common: dict[str, Any] = {
        "component": "sandbox",
        "wanted": "e2b",
        "cause": "unavailable",
        "attempts": (e.Attempt("e2b", "no_key", "none"), e.Attempt("docker", "outage", "none")),
        "used": "local",
        "lost": ("boundary", "record"),
        "allowed_by": "sandbox.may_lose",
        "private": e.FallbackText(messages=("E2B_API_KEY is not set", "no answer")),
    }
    return e.FallbackTaken(**{**common, **fields})


def skipping(count: int) -> e.WorktreeCreated:
    """Return a worktree that *count* uncommitted files were left out of."""
    return e.WorktreeCreated(kind="linked", detached=True, synced=1, skipped=count, deleted=0)


LEFT = e.CleanupFailed(
    ending=True,
    resource="worktree",
    ordinal=1,
    reason="in_use",
    private=e.CleanupText(name="/w", message="it is in use"),
)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            taken(),
            (
                "e2b is not available (E2B_API_KEY is not set); running in local without boundary, "
                "record"
            ),
        ),
        (taken(lost=()), "e2b is not available (E2B_API_KEY is not set); running in local"),
        (taken(private=UNSET, lost=()), "e2b is not available ((missing)); running in local"),
        (
            taken(attempts=(), cause="override", lost=("network",)),
            "local stands in for e2b, as asked; running without network",
        ),
        (
            taken(attempts=(), cause="machine", wanted="local", lost=("limits",)),
            "local gives less than was asked for here; running without limits",
        ),
        (
            taken(component="worktree", wanted="linked", used="directory", lost=()),
            f"a linked worktree is not available ({WHY}); working in a copy of the directory",
        ),
        (skipping(1), "1 uncommitted file is not in this run"),
        (skipping(3), "3 uncommitted files are not in this run"),
        (LEFT, "cannot clean up worktree /w: it is in use; it is on record as leaked"),
        (
            e.CommandLost(command="c1", reason="process"),
            "command c1 has no recorded outcome; it is now called lost",
        ),
    ],
)
def test_what_was_lost_left_out_or_left_behind_is_one_line(event: Event, line: str):
    """Thing and reason, as they are on record."""
    assert [line] == list(cautions([event]))


def test_what_was_asked_for_or_went_well_is_no_warning():
    """A flag's own effect, a whole worktree, a sandbox and commands give none."""
    by_flag = taken(component="worktree", cause="override", attempts=(), lost=())
    quiet = [opened(), by_flag, skipping(0), sandboxed()[1], requested(1), executed(1, 1)]
    assert [] == list(cautions(quiet))
