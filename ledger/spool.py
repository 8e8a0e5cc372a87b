"""How a command ended, kept beside a store that would not take it, until it does.

Rule 1: what is kept is the outcome as it was seen, not an event: it is decided again on the state
that the run has by then. A command that was called lost meanwhile gets `CommandOutcomeFound`.
Rule 2: it is kept without secrets, like everything; large blobs are files already, small ones are
kept with it.
Rule 3: draining twice is draining once: what is on record is not recorded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import msgspec

from ledger import decide
from ledger.capture import blobs_of
from ledger.errors import StoreError, StoreUnavailable
from ledger.events import RunEvent
from ledger.outcomes import Lost, NotStarted, Outcome, Output
from ledger.recorded import Provenance
from ledger.run import Phase, Run

if TYPE_CHECKING:
    from ledger.session import Session


class Spooled(msgspec.Struct, frozen=True, kw_only=True):
    """
    The outcome of a command that is on record as requested.

    *cause* is the id of the request, *occurred* when the outcome was seen (µs, UTC), *changed* the
    protected paths that the command changed.
    """

    stream: str
    command: str
    cause: str
    occurred: int
    who: Provenance
    outcome: Outcome
    output: Output
    changed: tuple[str, ...] = ()


class Spool(Protocol):
    """Keeps outcomes on disk, synced, for nobody else to read."""

    def reserve(self, stream: str) -> None:
        """Set room aside for one outcome of the run; raises `StoreUnavailable` if there is none."""

    def release(self, stream: str) -> None:
        """Give back what was set aside; often nothing."""

    def keep(self, spooled: Spooled) -> str:
        """
        Keep it whole or not at all, in the room set aside if there is no other; return its place.

        Raises `StoreUnavailable`.
        """

    def streams(self) -> Sequence[str]:
        """Return the streams of which something is kept."""

    def kept(self, stream: str) -> Sequence[tuple[str, Spooled]]:
        """Return what is kept of a run with its place, oldest first; what is damaged is left."""

    def remove(self, place: str) -> None:
        """Forget what is kept at *place*; removing twice is removing once."""


def spool(session: Session, spooled: Spooled, error: StoreError) -> StoreUnavailable:
    """Keep an outcome that the store refused with *error*; return what the user is told."""
    try:
        place = session.hands.spool.keep(_clean(session, spooled))
    except StoreUnavailable as second:
        return StoreUnavailable(
            f"{error}; how {spooled.command} ended is not kept either: {second}"
        )
    return StoreUnavailable(
        f"{error}; how {spooled.command} ended is kept in {place}, and `gesta recover` records it"
    )


def drain(session: Session) -> None:
    """Record what is kept of the session's run, each as of when it occurred."""
    for place, spooled in session.hands.spool.kept(session.stream):
        output = spooled.output
        session.record(
            partial(_decide, spooled),
            cause=spooled.cause,
            occurred=spooled.occurred,
            who=spooled.who,
            blobs=[*blobs_of(output), *(result.blob for result in output.results)],
        )
        # A crash here leaves it to be drained again, which records nothing.
        session.hands.spool.remove(place)


def _decide(spooled: Spooled, run: Run) -> Sequence[RunEvent]:
    events = decide.record_outcome(run, spooled.command, spooled.outcome, spooled.output)
    if not events or run.phase is not Phase.RUNNING:
        return events
    changed = spooled.changed
    return (
        *events,
        *(decide.lose_sandbox(run) if isinstance(spooled.outcome, Lost) else ()),
        *([decide.record_protected_change(spooled.command, changed)] if changed else ()),
    )


def _clean(session: Session, spooled: Spooled) -> Spooled:
    outcome = spooled.outcome
    if isinstance(outcome, NotStarted | Lost):
        said = session.redactor.text(outcome.message).value
        outcome = msgspec.structs.replace(outcome, message=said)
        return msgspec.structs.replace(spooled, outcome=outcome)
    return spooled
