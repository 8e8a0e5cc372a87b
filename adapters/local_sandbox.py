"""The local sandbox: commands as processes of this machine, under a supervisor.

Rule 1: it says what it does not give: the same files, the same network and the same user as we
have, the ledger within reach.
Rule 2: `processes` is "own" only where a process namespace was tried and worked here.
Rule 3: a limit is recorded only if it was set. Memory is that of the whole tree where a control
group is ours to make, else of each process's data (RLIMIT_DATA: RLIMIT_AS breaks programs that
reserve more than they use). Processes are limited by a control group or not at all.
"""

from __future__ import annotations

from pathlib import Path

from adapters.executable_lookup import find_executable
from adapters.execution import Execution
from adapters.run_supervisor import RunSupervisor, kept_limits
from ledger.isolation import Isolation, Limits, Processes
from ledger.outcomes import Outcome, RemovalFailed, Removed, SandboxMade, Unavailable
from ledger.ports import Cancellation, Command, SandboxWish


class LocalSandbox:
    """
    A `Sandbox` whose commands run as processes of this machine.

    *own_processes* of `False` forgoes a process namespace even where there could be one: the
    tree is then found and ended by descent.
    """

    kind = "local"

    def __init__(self, *, own_processes: bool = True) -> None:
        self._supervisor = RunSupervisor(own_processes=own_processes)

    def prepare(self) -> None:
        """
        Start the supervisor and do not wait for it; `offer` and `create` do.

        Called early, its start takes no time from the run. A failure shows at `offer`.
        """
        self._supervisor.prepare()

    def offer(self, wish: SandboxWish) -> Isolation | Unavailable:
        """Say what isolation this machine would give now."""
        abilities = self._supervisor.greet()
        if isinstance(abilities, Unavailable):
            return abilities
        return _isolation(abilities.processes, kept_limits(wish.limits, abilities))

    def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
        """Make ready to run commands, with the limits of *wish* as far as they can be set."""
        abilities = self._supervisor.greet()
        if isinstance(abilities, Unavailable):
            return abilities
        limits = self._supervisor.set_limits(wish.limits)
        if isinstance(limits, Unavailable):
            return limits
        return SandboxMade(
            kind=self.kind,
            id=f"local-{wish.stream}-{wish.ordinal}",
            isolation=_isolation(abilities.processes, limits),
            lifetime="command",
            persists=("files",),
        )

    def attach(self, wish: SandboxWish, id: str) -> SandboxMade | Unavailable:
        """Make ready again: nothing of another process's is left, and nothing is missed."""
        return self.create(wish)

    def remove(self, id: str) -> Removed | RemovalFailed:
        """Say that it is gone: nothing of one outlives the process that made it."""
        return Removed()

    def resolve(self, name: str, cwd: Path, env: dict[str, str]) -> str | None:
        """Return the file that *name* would run; see `find_executable`."""
        return find_executable(name, cwd, env)

    def execute(self, command: Command, cancellation: Cancellation | None) -> Outcome:
        """Run one command to its end, and end whatever it left running."""
        return self._supervisor.execute(
            lambda supervisor: Execution(supervisor, command, cancellation)
        )

    def close(self) -> Removed | RemovalFailed:
        """End the supervisor and with it whatever still runs."""
        return self._supervisor.close()


def _isolation(processes: Processes, limits: Limits) -> Isolation:
    return Isolation(
        boundary="process",
        filesystem="host",
        network="host",
        processes=processes,
        limits=limits,
        record="reachable",
    )
