"""The bubblewrap sandbox: commands in namespaces of their own, with the workspace and little else.

Rule 1: what is offered was tried: bwrap was started with the very flags that a command gets.
Rule 2: the ledger is out of reach: neither its home nor its keys are visible inside, except where
the policy lets a command write to the whole machine, and then that is said.
Rule 3: a sandbox lasts for one command. Whatever it started dies with it, with the supervisor
that started bwrap, and with us.

What remains: the kernel is shared, and files that are shown can be read. With the host's network
its abstract sockets can be reached too. A terminal that is handed over can be typed into.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from adapters.bubblewrap.arguments import bubblewrap_arguments
from adapters.bubblewrap.execution import BubblewrapExecution
from adapters.bubblewrap.view import (
    SYSTEM,
    Places,
    View,
    find_inside,
    is_below_any,
    kept_in,
    prefix_of,
    refusal,
    view_of,
)
from adapters.executable_lookup import find_executable
from adapters.run_supervisor import RunSupervisor, kept_limits
from ledger.isolation import Filesystem, Isolation, Limits, Network, Record
from ledger.outcomes import (
    Executed,
    Lost,
    Outcome,
    RemovalFailed,
    Removed,
    SandboxMade,
    Unavailable,
)
from ledger.ports import Cancellation, Command, SandboxWish

# bwrap itself, and the starter inside.
_OURS = 2
_PROBE_S = 20.0
_USER_NAMESPACES = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns=0, or give bwrap an AppArmor profile",
    ),
)


class BubblewrapSandbox:
    """
    A `Sandbox` whose commands run under bwrap(1).

    *home* is the ledger's, which no command sees. bwrap is looked up on the PATH of
    *environment*, which is ours and never a command's.
    """

    kind = "bubblewrap"

    def __init__(self, home: Path | None = None, environment: Mapping[str, str] = os.environ):
        self._home = home
        self._program = find_executable("bwrap", Path("/"), dict(environment))
        self._supervisor = RunSupervisor()
        self._wish: SandboxWish | None = None
        self._places = self._places_of(None)
        self._views: dict[tuple[str | None, str | None], View] = {}
        self._probed: dict[tuple[Filesystem, Network], Unavailable | None] = {}
        self._nested_users = False

    def prepare(self) -> None:
        """Start the supervisor and do not wait for it."""
        if self._program is not None:
            self._supervisor.prepare()

    def offer(self, wish: SandboxWish) -> Isolation | Unavailable:
        """Say what isolation this machine would give now; bwrap is started once to find out."""
        abilities = self._supervisor.greet() if self._program is not None else None
        if self._program is None or abilities is None:
            return _not_installed()
        if isinstance(abilities, Unavailable):
            return abilities
        refused = self._refused(wish) or self._probe(wish.filesystem, wish.network)
        if refused is not None:
            return refused
        return self._isolation(wish, kept_limits(wish.limits, abilities))

    def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
        """Make ready to run commands in the workspace of *wish*, with what limits can be set."""
        offered = self.offer(wish)
        if isinstance(offered, Unavailable):
            return offered
        limits = self._supervisor.set_limits(wish.limits, besides=_OURS)
        if isinstance(limits, Unavailable):
            return limits
        self._wish, self._places = wish, self._places_of(wish)
        self._views = {}
        return SandboxMade(
            kind=self.kind,
            id=f"bubblewrap-{wish.stream}-{wish.ordinal}",
            isolation=self._isolation(wish, limits),
            lifetime="command",
            persists=("files",),
        )

    def attach(self, wish: SandboxWish, id: str) -> SandboxMade | Unavailable:
        """Make one like it: nothing of a sandbox outlasts its command."""
        return self.create(wish)

    def remove(self, id: str) -> Removed | RemovalFailed:
        """Say that it is gone: nothing of one outlives the process that made it."""
        return Removed()

    def resolve(self, name: str, cwd: Path, env: dict[str, str]) -> str | None:
        """Return the file that *name* would run inside, or `None` if it is not to be seen there."""
        if self._wish is not None and self._wish.filesystem == "host":
            return find_executable(name, cwd, env)
        return find_inside(self._view(env), name, cwd, env)

    def execute(self, command: Command, cancellation: Cancellation | None) -> Outcome:
        """Run one command to its end, in a sandbox that ends with it."""
        wish = self._wish
        if wish is None:
            return Lost(message="cannot run a command in the bubblewrap sandbox: it does not exist")
        return self._run(
            command, cancellation, self._view(command.env), wish.filesystem, wish.network
        )

    def close(self) -> Removed | RemovalFailed:
        """End the supervisor and with it whatever still runs."""
        self._wish = None
        return self._supervisor.close()

    def _run(
        self,
        command: Command,
        cancellation: Cancellation | None,
        view: View,
        filesystem: Filesystem,
        network: Network,
    ) -> Outcome:
        assert self._program is not None
        options = bubblewrap_arguments(
            view,
            list(kept_in(self._places)),
            filesystem=filesystem,
            network=network,
            terminal=command.stdin is not None and command.stdin.terminal,
            nested_users=self._nested_users,
        )
        arguments = [self._program, *options]
        return self._supervisor.execute(
            lambda supervisor: BubblewrapExecution(supervisor, command, cancellation, arguments)
        )

    def _view(self, env: dict[str, str]) -> View:
        key = (env.get("PATH"), env.get("HOME"))
        if key not in self._views:
            self._views[key] = view_of(self._places, env)
        return self._views[key]

    def _places_of(self, wish: SandboxWish | None) -> Places:
        interpreter = prefix_of(sys.executable)
        always = () if is_below_any(interpreter, SYSTEM) else (interpreter,)
        if wish is None:
            return Places(hidden=self._home, always=always)
        return Places(
            workspace=wish.workspace,
            hidden=self._home,
            always=always,
            read_only=wish.read_only,
            git_dirs=wish.git_dirs,
            protected=wish.protected,
        )

    def _refused(self, wish: SandboxWish) -> Unavailable | None:
        """Say which directory cannot be shown that the policy or the starter needs."""
        places = self._places_of(wish)
        for path in (*places.always, *(path for path in wish.read_only if path != "auto")):
            why = refusal(path, places, {})
            if why is not None:
                message = f"cannot show {path} read-only: {why}; remove it from sandbox.read_only"
                if path in places.always:
                    message = f"cannot show the interpreter's {path} read-only: {why}"
                return Unavailable(reason="not_permitted", message=message)
        return None

    def _probe(self, filesystem: Filesystem, network: Network) -> Unavailable | None:
        """Run a program that does nothing, with no workspace, and say why it did not run."""
        key = (filesystem, network)
        if key not in self._probed:
            message = self._try(filesystem, network)
            if message is not None and not self._nested_users:
                # Versions before 0.8, and a setuid bwrap, cannot forbid namespaces inside.
                self._nested_users = True
                still = self._try(filesystem, network)
                self._nested_users = still is None
                message = still and message
            self._probed[key] = None if message is None else _not_permitted(message)
        return self._probed[key]

    def _try(self, filesystem: Filesystem, network: Network) -> str | None:
        program = find_executable("true", Path("/"), {"PATH": os.defpath})
        nothing = Command(
            argv=["true"],
            executable=program or "true",
            cwd=Path("/"),
            env={},
            time_limit_s=_PROBE_S,
            stdout=lambda _data: None,
            stderr=lambda _data: None,
        )
        view = view_of(self._places_of(None), {})
        outcome = self._run(nothing, None, view, filesystem, network)
        if isinstance(outcome, Executed) and outcome.exit_code == 0:
            return None
        return getattr(outcome, "message", f"bwrap ran, and it ended so: {outcome}")

    def _isolation(self, wish: SandboxWish, limits: Limits) -> Isolation:
        return Isolation(
            boundary="namespace",
            filesystem=wish.filesystem,
            network=wish.network,
            processes="own",
            limits=limits,
            record=self._record(wish),
        )

    def _record(self, wish: SandboxWish) -> Record:
        """Say whether the ledger can be reached: by who may write anything, it can."""
        if wish.filesystem == "host" or self._home is None:
            return "reachable"
        home, workspace = os.path.realpath(self._home), os.path.realpath(wish.workspace)
        return "reachable" if is_below_any(home, (workspace,)) else "out_of_reach"


def _not_installed() -> Unavailable:
    if sys.platform != "linux":
        return Unavailable(reason="not_installed", message="bubblewrap is for Linux only")
    message = "bwrap is not on PATH; install the package bubblewrap"
    return Unavailable(reason="not_installed", message=message)


def _not_permitted(message: str) -> Unavailable:
    for path, forbidding, remedy in _USER_NAMESPACES:
        try:
            found = Path(path).read_text().strip()
        except OSError:
            continue
        if found == forbidding and os.geteuid() != 0:
            said = f"user namespaces are forbidden here ({message}); set sysctl {remedy}"
            return Unavailable(reason="not_permitted", message=said)
    forbidden = any(word in message for word in ("ermission", "ermitted", "No space left"))
    return Unavailable(reason="not_permitted" if forbidden else "failed", message=message)
