"""Threads that write at the same time share one transaction: group commit.

Rule 1: a caller that finds nobody writing writes, its own job and all that are waiting; the
others wait, and get the outcome of their own job alone.
Rule 2: what is waiting is taken only when it is our process's turn: jobs go on joining the group
while another process writes.
Rule 3: no caller is left waiting, however a writer ended. A job that nobody took is not written.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from ledger.errors import StoreUnavailable

Job = TypeVar("Job")
Result = TypeVar("Result")


class _Ticket(Generic[Job, Result]):
    """A caller's place in the queue; *wake* is held until it leads or its job is done."""

    __slots__ = ("job", "outcome", "wake")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.outcome: Result | Exception | None = None
        self.wake: threading.Lock | None = None


class WriteQueue(Generic[Job, Result]):
    """
    A queue of jobs, written in groups.

    *turn* is entered around each group; *write* takes a group and returns, one to one, a result
    (never `None`) or the exception that its caller gets.
    """

    def __init__(
        self,
        turn: AbstractContextManager[None],
        write: Callable[[Sequence[Job]], Sequence[Result | Exception]],
    ) -> None:
        self._turn = turn
        self._write = write
        self.renew()

    def renew(self) -> None:
        """Begin with an empty queue; in a forked child the parent's callers do not exist."""
        self._mutex = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: list[_Ticket[Job, Result]] = []
        self._leader: _Ticket[Job, Result] | None = None

    def __len__(self) -> int:
        """Return how many jobs are waiting, those being written not among them."""
        return len(self._waiting)

    def submit(self, job: Job) -> Result:
        """Have *job* written and return its result; raises what became of it."""
        ticket: _Ticket[Job, Result] = _Ticket(job)
        with self._mutex:
            self._waiting.append(ticket)
            if self._leader is None:
                self._leader = ticket
            else:
                ticket.wake = threading.Lock()
                ticket.wake.acquire()
        try:
            if ticket.wake is not None:
                ticket.wake.acquire()
            if ticket.outcome is None:
                self._lead(ticket)
        except BaseException:
            self._leave(ticket)
            raise
        if isinstance(ticket.outcome, Exception):
            raise ticket.outcome
        assert ticket.outcome is not None
        return ticket.outcome

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have the turn to write, for what is no job; groups wait meanwhile."""
        with self._writing, self._turn:
            yield

    def pause(self) -> None:
        """Wait for the group that is being written, and let no other begin until `resume`."""
        self._writing.acquire()

    def resume(self) -> None:
        """Let groups be written again."""
        self._writing.release()

    def _lead(self, ticket: _Ticket[Job, Result]) -> None:
        group: list[_Ticket[Job, Result]] = []
        try:
            with self._writing, self._turn:
                with self._mutex:
                    group, self._waiting = self._waiting, []
                outcomes = self._write([one.job for one in group])
            for one, outcome in zip(group, outcomes, strict=True):
                one.outcome = outcome
        finally:
            self._hand_on(ticket, group)

    def _hand_on(self, ticket: _Ticket[Job, Result], group: Sequence[_Ticket[Job, Result]]) -> None:
        """Wake the group, whatever became of it, and let the next one in the queue lead."""
        for one in group:
            if one.outcome is None:
                one.outcome = StoreUnavailable(
                    "cannot append to the ledger: the thread that was writing was interrupted"
                )
            if one.wake is not None and one is not ticket:
                one.wake.release()
        with self._mutex:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            self._leader = self._waiting[0] if self._waiting else None
            if self._leader is not None and self._leader.wake is not None:
                self._leader.wake.release()

    def _leave(self, ticket: _Ticket[Job, Result]) -> None:
        """Withdraw an interrupted caller's job, if nobody took it, and hand on its lead."""
        with self._mutex:
            leads = self._leader is ticket
            if not leads and ticket in self._waiting:
                self._waiting.remove(ticket)
        if leads:
            self._hand_on(ticket, ())
