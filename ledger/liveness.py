"""Who is at work in a run, and what a dead process may have left running: the ports for both.

Rule 1: a run is alive while its lock is held. The operating system lets go of it when the process
dies, whatever killed it; nothing else says that a process is dead.
Rule 2: what a lock's file says of processes is a hint. None is ended that is not shown to be ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec

from ledger.outcomes import Unavailable

if TYPE_CHECKING:
    from ledger.hands import Hands


class ProcessMark(msgspec.Struct, frozen=True):
    """One process, whatever takes its id later: *started* in ticks since the boot *boot*."""

    pid: int
    started: int
    boot: str


class Hold(Protocol):
    """A run's lock while it is ours."""

    @property
    def left(self) -> Sequence[ProcessMark]:
        """What the holder before us had noted and, killed, could not end."""

    def note(self, pids: Sequence[int]) -> None:
        """Note the processes that would have to be ended if we died, in place of earlier ones."""

    def remember(self, run: bool) -> None:
        """Say whether `RunLock.known` is to name the run when we have let go of it."""


class RunLock(Protocol):
    """One process at a time works in a run; the operating system lets go when it dies."""

    def hold(self, stream: str) -> AbstractContextManager[Hold]:
        """Hold the run's lock; raises `RunBusy` at once if another process holds it."""

    def state(self, stream: str) -> Literal["free", "held"]:
        """Say whether some process holds it now."""

    def known(self) -> Sequence[str]:
        """
        Return the streams that somebody works in, died working in, or has to come back to.

        It is where to look first; what became of a run is on record.
        """


class Survivors(Protocol):
    """Ends what outlived the process that ran it."""

    def end(self, stream: str, marks: Sequence[ProcessMark]) -> int:
        """
        End what is left of the run's commands and wait for it; return how many would not end.

        That is who *marks* name, if they are still the same, and whoever carries the run's stream
        in the environment that its commands are given.
        """


class Marked(msgspec.Struct, frozen=True):
    """A sandbox that carries a home's mark: which run's it is, and which of them."""

    id: str
    stream: str
    ordinal: str
    home: str


@runtime_checkable
class MarkingSandbox(Protocol):
    """A `Sandbox` of a kind that outlives us, and can be found by what it was marked with."""

    def marked(self, home_id: str | None) -> Sequence[Marked] | Unavailable:
        """Return those that carry the mark of the home *home_id*, or of any home for `None`."""


@contextlib.contextmanager
def holding(hands: Hands, stream: str) -> Iterator[Hold]:
    """Hold the run's lock, and let go of what was reserved for the run with it."""
    with hands.locks.hold(stream) as hold:
        try:
            yield hold
        finally:
            hands.spool.release(stream)
