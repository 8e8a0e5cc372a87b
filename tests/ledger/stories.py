"""Histories of a run in few words, for tests that say: given these events."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger import events as e
from ledger.events import Event
from ledger.replay import fold
from ledger.run import Run
from tests.ledger.samples import SAMPLES

OPENED: Any = SAMPLES["run opened"]
WORKTREE: Any = SAMPLES["worktree created"]
SANDBOX: Any = SAMPLES["sandbox created, and how soon"]
REQUESTED: Any = SAMPLES["command requested"]
EXECUTED: Any = msgspec.structs.replace(SAMPLES["command executed"], exit_code=0)
COMPLETED: Any = SAMPLES["run completed, nothing said"]
CAPTURED: Any = SAMPLES["patch captured"]
READY: tuple[Event, ...] = (OPENED, WORKTREE, SANDBOX)


def changed(event: Any, **fields: Any) -> Any:
    """Return *event* with other *fields*."""
    return msgspec.structs.replace(event, **fields)


def requested(number: int, *, may_fail: bool = False) -> e.CommandRequested:
    """Return the request of command number *number*."""
    event: e.CommandRequested = changed(REQUESTED, command=f"c{number}", may_fail=may_fail)
    return event


def executed(number: int, exit_code: int | None = 0, signal: int | None = None) -> Any:
    """Return the ordinary ending of command number *number*."""
    return changed(EXECUTED, command=f"c{number}", exit_code=exit_code, signal=signal)


def lost(number: int) -> e.CommandLost:
    """Return the loss of command number *number*."""
    return e.CommandLost(command=f"c{number}", reason="process")


def cleaned(resource: e.Resource, ordinal: int = 1, *, ending: bool = True) -> e.CleanedUp:
    """Return the cleaning up of one thing."""
    return e.CleanedUp(ending=ending, resource=resource, ordinal=ordinal)


def not_cleaned(resource: e.Resource, ordinal: int = 1, *, ending: bool = True) -> e.CleanupFailed:
    """Return the failing to clean up of one thing."""
    return e.CleanupFailed(ending=ending, resource=resource, ordinal=ordinal, reason="failed")


def given_that(*history: Event) -> Run:
    """Return the state of a run with this *history*."""
    return fold(history)


def governed(run: Run, **facts: Any) -> Run:
    """Return *run* under rules with other *facts*."""
    assert run.rules is not None
    return msgspec.structs.replace(run, rules=msgspec.structs.replace(run.rules, **facts))
