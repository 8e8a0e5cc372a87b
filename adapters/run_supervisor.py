"""The supervisor of one run: started when it is first needed, asked what it can do, ended.

Rule 1: one command at a time.
Rule 2: a limit is said to be set only if the supervisor said so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from adapters.execution import Execution
from adapters.supervision import Supervisor, SupervisorGone
from ledger.isolation import Limits, Processes
from ledger.outcomes import Lost, Outcome, RemovalFailed, Removed, Unavailable

_START_S = 20.0


class Abilities(msgspec.Struct, frozen=True):
    """Whose processes a command sees, and which limits can be set."""

    processes: Processes
    memory: bool
    count: bool


class RunSupervisor:
    """
    A supervisor that is not started yet.

    *own_processes* of `False` forgoes a process namespace even where there could be one.
    """

    def __init__(self, *, own_processes: bool = True) -> None:
        self._own_processes = own_processes
        self._supervisor: Supervisor | None = None
        self._abilities: Abilities | None = None
        self._one_at_a_time = threading.Lock()

    def prepare(self) -> None:
        """Start it and do not wait for it; a failure shows at the next call."""
        if self._supervisor is None:
            try:
                self._supervisor = Supervisor(own_processes=self._own_processes)
            except OSError:
                return

    def greet(self) -> Abilities | Unavailable:
        """Return what it can do; it is started if need be."""
        if self._abilities is not None:
            return self._abilities
        try:
            if self._supervisor is None:
                self._supervisor = Supervisor(own_processes=self._own_processes)
            processes, memory, count = self._supervisor.answer(b"hello", 3, _START_S)
        except (OSError, SupervisorGone) as error:
            return self._give_up(error)
        self._abilities = Abilities(
            "own" if processes == b"own" else "host", bool(memory), bool(count)
        )
        return self._abilities

    def set_limits(self, limits: Limits, *, besides: int = 0) -> Limits | Unavailable:
        """
        Limit memory and processes, and return what is really limited.

        *besides* are processes of ours that count too. The output's limit is kept by whoever
        takes the output, so it holds wherever there is one.
        """
        greeted = self.greet()
        if isinstance(greeted, Unavailable):
            return greeted
        memory = count = b""
        if limits.memory_mb is not None or limits.processes is not None:
            wanted = (limits.memory_mb or 0, limits.processes + besides if limits.processes else 0)
            try:
                assert self._supervisor is not None
                self._supervisor.send(b"limit", *(b"%d" % number for number in wanted))
                memory, count, groups = self._supervisor.answer(b"limited", 3, _START_S)
                self._supervisor.note_groups(groups)
            except (OSError, SupervisorGone) as error:
                return self._give_up(error)
        return kept_limits(limits, Abilities("host", bool(memory), bool(count)))

    def execute(self, begin: Callable[[Supervisor], Execution]) -> Outcome:
        """Run the execution that *begin* makes for the supervisor, once no other is running."""
        if self._supervisor is None or self._abilities is None:
            return Lost(message="cannot run a command in the sandbox: it does not exist")
        with self._one_at_a_time:
            return begin(self._supervisor).run()

    def close(self) -> Removed | RemovalFailed:
        """End it and with it whatever still runs; closing twice is closing once."""
        supervisor = self._supervisor
        if supervisor is not None and not supervisor.end():
            message = f"cannot end supervisor {supervisor.process}: it is still there"
            return RemovalFailed(reason="failed", message=message)
        self._supervisor = self._abilities = None
        return Removed()

    def _give_up(self, error: Exception) -> Unavailable:
        supervisor, self._supervisor, self._abilities = self._supervisor, None, None
        if supervisor is not None:
            supervisor.abandon()
        return Unavailable(reason="failed", message=f"cannot start the supervisor: {error}")


def kept_limits(limits: Limits, abilities: Abilities) -> Limits:
    """Return what is left of *limits* with these *abilities*."""
    return Limits(
        memory_mb=limits.memory_mb if abilities.memory else None,
        processes=limits.processes if abilities.count else None,
        output_mb=limits.output_mb,
    )
