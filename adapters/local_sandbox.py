"""The local sandbox: commands as processes of this machine, under a supervisor.

Rule 1: it says what it does not give: the same files, the same network and the same user as we
have, the ledger within reach.
Rule 2: `processes` is "own" only where a process namespace was tried and worked here.
Rule 3: a limit is recorded only if it was set. Memory is that of the whole tree where a control
group is ours to make, else of each process's data (RLIMIT_DATA: RLIMIT_AS breaks programs that
reserve more than they use). Processes are limited by a control group or not at all.
"""

from __future__ import annotations

import threading
from pathlib import Path

from adapters.executable_lookup import find_executable
from adapters.execution import Execution
from adapters.supervision import Supervisor, SupervisorGone
from ledger.isolation import Isolation, Limits, Processes
from ledger.outcomes import Lost, Outcome, RemovalFailed, Removed, SandboxMade, Unavailable
from ledger.ports import Cancellation, Command, SandboxWish

_START_S = 20.0


class LocalSandbox:
    """
    A `Sandbox` whose commands run as processes of this machine.

    *own_processes* of `False` forgoes a process namespace even where there could be one: the
    tree is then found and ended by descent.
    """

    kind = "local"

    def __init__(self, *, own_processes: bool = True) -> None:
        self._own_processes = own_processes
        self._supervisor: Supervisor | None = None
        self._hello: list[bytes] | None = None
        self._one_at_a_time = threading.Lock()

    def prepare(self) -> None:
        """
        Start the supervisor and do not wait for it; `offer` and `create` do.

        Called early, its start takes no time from the run. A failure shows at `offer`.
        """
        if self._supervisor is None:
            try:
                self._supervisor = Supervisor(own_processes=self._own_processes)
            except OSError:
                return

    def offer(self, wish: SandboxWish) -> Isolation | Unavailable:
        """Say what isolation this machine would give now."""
        try:
            processes, memory, count = self._greeting()
        except (OSError, SupervisorGone) as error:
            return self._unavailable(error)
        return _isolation(wish, processes, limits_memory=bool(memory), limits_count=bool(count))

    def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
        """Make ready to run commands, with the limits of *wish* as far as they can be set."""
        try:
            processes, _, _ = self._greeting()
            memory, count = self._set_limits(wish.limits)
        except (OSError, SupervisorGone) as error:
            return self._unavailable(error)
        isolation = _isolation(
            wish, processes, limits_memory=bool(memory), limits_count=bool(count)
        )
        return SandboxMade(
            kind=self.kind,
            id=f"local-{wish.stream}-{wish.ordinal}",
            isolation=isolation,
            lifetime="command",
            persists=("files",),
        )

    def resolve(self, name: str, cwd: Path, env: dict[str, str]) -> str | None:
        """Return the file that *name* would run; see `find_executable`."""
        return find_executable(name, cwd, env)

    def execute(self, command: Command, cancellation: Cancellation | None) -> Outcome:
        """Run one command to its end, and end whatever it left running."""
        if self._supervisor is None or self._hello is None:
            return Lost(message="cannot run a command in the local sandbox: it does not exist")
        with self._one_at_a_time:
            return Execution(self._supervisor, command, cancellation).run()

    def close(self) -> Removed | RemovalFailed:
        """End the supervisor and with it whatever still runs."""
        supervisor = self._supervisor
        if supervisor is not None and not supervisor.end():
            message = f"cannot end supervisor {supervisor.process}: it is still there"
            return RemovalFailed(reason="failed", message=message)
        self._supervisor = self._hello = None
        return Removed()

    def _greeting(self) -> list[bytes]:
        """Return what the supervisor can do; it is started if need be."""
        if self._supervisor is None:
            self._supervisor = Supervisor(own_processes=self._own_processes)
        if self._hello is None:
            self._hello = self._supervisor.answer(b"hello", 3, _START_S)
        return self._hello

    def _set_limits(self, limits: Limits) -> list[bytes]:
        if self._supervisor is None or (limits.memory_mb is None and limits.processes is None):
            return [b"", b""]
        wanted = (limits.memory_mb, limits.processes)
        self._supervisor.send(b"limit", *(b"%d" % (limit or 0) for limit in wanted))
        memory, count, groups = self._supervisor.answer(b"limited", 3, _START_S)
        self._supervisor.note_groups(groups)
        return [memory, count]

    def _unavailable(self, error: Exception) -> Unavailable:
        supervisor, self._supervisor, self._hello = self._supervisor, None, None
        if supervisor is not None:
            supervisor.abandon()
        return Unavailable(reason="failed", message=f"cannot start the supervisor: {error}")


def _isolation(
    wish: SandboxWish, processes: bytes, *, limits_memory: bool, limits_count: bool
) -> Isolation:
    own: Processes = "own" if processes == b"own" else "host"
    return Isolation(
        boundary="process",
        filesystem="host",
        network="host",
        processes=own,
        limits=Limits(
            memory_mb=wish.limits.memory_mb if limits_memory else None,
            processes=wish.limits.processes if limits_count else None,
            # Kept by whoever takes the output, so it holds wherever there is one.
            output_mb=wish.limits.output_mb,
        ),
        record="reachable",
    )
