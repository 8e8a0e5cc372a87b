"""The front door of the package, and a run as the replaced system named it."""

from __future__ import annotations

from pathlib import Path

import pytest

import ledger
from ledger.context import RunContext


def test_everything_at_the_front_door_is_there_and_sorted() -> None:
    """Each exported name is found, imported when it is asked for."""
    assert sorted(ledger.__all__) == ledger.__all__
    assert ledger.__all__ == [getattr(ledger, name).__name__ for name in ledger.__all__]
    assert RunContext is ledger.RunContext


def test_what_is_not_at_the_front_door_is_not_found() -> None:
    """Any other name is an attribute error, as for every module."""
    with pytest.raises(AttributeError, match="module 'ledger' has no attribute 'Nothing'"):
        _ = ledger.Nothing


def test_a_context_says_where_a_run_keeps_what() -> None:
    """Artifacts and journal lie in the run's own directory."""
    context = RunContext(task_id="T-1", run_id="R-1", run_path=Path("/w/R-1"))
    assert Path("/w/R-1/artifacts") == context.artifacts_dir
    assert Path("/w/R-1/journal") == context.journal_dir
    assert Path("/w/R-1/journal/events.jsonl") == context.journal_path
    assert context.trace_id is None
