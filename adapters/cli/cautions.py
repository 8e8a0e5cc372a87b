"""The warnings that a run gives while it runs: what was lost, what was left out, what stayed.

Rule: each is one line, and says no more than what is on record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.cli.times import plural
from ledger import events as e
from ledger.events import Event
from ledger.ostext import to_os

MISSING = "(missing)"


def cautions(events: Sequence[Event]) -> Iterator[str]:
    """Yield the lines that *events* are worth."""
    for event in events:
        match event:
            case e.FallbackTaken(component="sandbox"):
                yield _sandbox(event)
            case e.FallbackTaken() if event.cause != "override":
                yield f"{_not_had(event)}; working in a copy of the directory"
            case e.WorktreeCreated() if event.skipped:
                files = plural(event.skipped, "uncommitted file")
                verb = "is" if event.skipped == 1 else "are"
                yield f"{files} {verb} not in this run"
            case e.CleanupFailed():
                yield _left(event)
            case e.ProtectedPathChanged():
                paths = plural(event.count, "protected path")
                yield f"command {event.command} changed {paths}; it is on record"
            case e.CommandLost(reason="process"):
                yield f"command {event.command} has no recorded outcome; it is now called lost"
            case _:
                continue


def _sandbox(event: e.FallbackTaken) -> str:
    without = f" without {', '.join(event.lost)}" if event.lost else ""
    if event.attempts:
        return f"{_not_had(event)}; running in {event.used}{without}"
    if event.used == event.wanted:
        return f"{event.used} gives less than was asked for here; running{without}"
    return f"{event.used} stands in for {event.wanted}, as asked; running{without}"


def _not_had(event: e.FallbackTaken) -> str:
    text = event.private if isinstance(event.private, e.FallbackText) else None
    why = text.messages[0] if text and text.messages else MISSING
    thing = event.wanted if event.component == "sandbox" else f"a {event.wanted} worktree"
    return f"{thing} is not available ({why})"


def _left(event: e.CleanupFailed) -> str:
    text = event.private if isinstance(event.private, e.CleanupText) else None
    name, why = (to_os(text.name), text.message) if text else (MISSING, MISSING)
    return f"cannot clean up {event.resource} {name}: {why}; it is on record as leaked"
