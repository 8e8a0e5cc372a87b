"""A run's machine at E2B once it is set up: commands run in it, the workspace is kept the same.

Rule: what was lost stays lost, whatever the machine says later: nobody can tell any more what a
command there would find.
"""

from __future__ import annotations

import os
from pathlib import Path

from adapters.e2b.account import Facts
from adapters.e2b.errors import E2BError, Trouble
from adapters.e2b.execution import E2BExecution
from adapters.e2b.machine import E2BMachine
from adapters.e2b.request import Exchange, decode_text, encode_request, encode_text, outcome_of
from adapters.e2b.transfer import Transfer
from ledger.isolation import Limits
from ledger.outcomes import Lost, Outcome
from ledger.ports import Cancellation, Command, SandboxWish

# Below the home of the template's ordinary user.
WORKSPACE = "workspace"


class Residence:
    """
    The machine of a run that *wish* describes.

    *transfer* and the machine agree on the workspace once this is made; *facts* are the
    provider's. Raises `E2BError`.
    """

    def __init__(
        self, wish: SandboxWish, machine: E2BMachine, facts: Facts, *, there: bool
    ) -> None:
        self._workspace = wish.workspace
        self._machine = machine
        self._transfer = Transfer(wish.workspace)
        archive = None if there else self._transfer.send(machine)
        greeting = machine.greet(WORKSPACE, archive, listed=there)
        if greeting.listing is not None:
            self._transfer.compare(greeting.listing)
        self._root = greeting.root
        self._number = self._base = 0
        self._memory_mb = 0
        self._lost: str | None = None
        self.limits = self._settle(wish.limits, facts, ordinary=greeting.uid != 0)

    def _settle(self, wanted: Limits, facts: Facts, *, ordinary: bool) -> Limits:
        """
        Return the limits that hold: the machine's own memory, or less of it for each process.

        Processes are limited by RLIMIT_NPROC: what it counts, all of a user's in the whole
        machine, is the run's here. It does not bind root (setrlimit(2)).
        """
        memory = facts.memory_mb
        if wanted.memory_mb is not None and wanted.memory_mb < memory:
            memory = self._memory_mb = wanted.memory_mb
        return Limits(
            memory_mb=memory,
            processes=wanted.processes if ordinary else None,
            # Kept by whoever takes the output, so it holds wherever there is one.
            output_mb=wanted.output_mb,
        )

    @property
    def home(self) -> str:
        """The home directory of commands there."""
        return os.path.dirname(self._root)

    def inside(self, path: Path) -> str:
        """Return where *path* is inside: what is in the workspace is there, the rest stays."""
        if path.is_relative_to(self._workspace):
            return str(self._root / path.relative_to(self._workspace))
        return str(path)

    def resolve(self, name: str, cwd: Path, env: dict[str, str]) -> str | None:
        """
        Return the file that *name* would run inside.

        Where nobody can be asked the name itself is returned, and the machine is lost: the
        command that follows says so.
        """
        if self._lost is not None:
            return name
        path = env.get("PATH")
        try:
            found = self._machine.resolve(
                encode_text(name),
                encode_text(self.inside(cwd)),
                None if path is None else encode_text(path),
            )
            return None if found is None else decode_text(found)
        except E2BError as error:
            self._lost = error.trouble.message
            return name

    def execute(self, command: Command, cancellation: Cancellation | None) -> Outcome:
        """Run one command to its end, and bring back what it changed."""
        if self._lost is not None:
            return Lost(message=f"cannot run a command: the sandbox was lost: {self._lost}")
        try:
            return self._execute(command, cancellation)
        except E2BError as error:
            return self.lose(error)

    def bring_together(self) -> Outcome:
        """Make both workspaces the same, as before and after any command."""

        def ignore(_data: bytes) -> None:
            """`true` prints nothing."""

        nothing = Command(
            argv=["true"],
            executable="/bin/true",
            cwd=self._workspace,
            env={},
            time_limit_s=None,
            stdout=ignore,
            stderr=ignore,
        )
        return self.execute(nothing, None)

    def lose(self, error: E2BError) -> Lost:
        """Give the machine up for *error*, and say so."""
        self._lost = error.trouble.message
        return Lost(message=f"cannot tell how the command ended: {self._lost}")

    @property
    def root(self) -> str:
        """Where the workspace is inside."""
        return self._root

    def _execute(self, command: Command, cancellation: Cancellation | None) -> Outcome:
        self._machine.renew()
        self._number += 1
        exchange = Exchange(
            root=self._root,
            archive=self._transfer.send(self._machine),
            base=self._base,
            number=self._number,
            memory_mb=self._memory_mb,
            processes=self.limits.processes,
        )
        request = encode_request(command, exchange, self.inside)
        execution = E2BExecution(self._machine, request, command, cancellation)
        result = execution.run()
        if result.left:
            self._machine.kill_as_root(result.left)
        if result.trouble is not None:
            message = f"its changes cannot be packed: {result.trouble}"
            raise E2BError(Trouble(reason="failed", message=message))
        if result.changes is not None:
            self._transfer.fetch(self._machine, result.changes)
        self._base = self._number
        return outcome_of(result, execution.ending, cancellation)
