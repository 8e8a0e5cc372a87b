"""The docker sandbox: each command in a container of its own, by docker's or podman's service.

Rule 1: a container lasts for one command: the service's API can end a container, but not what was
started in one beside its first process. What stays between commands is the workspace.
Rule 2: containers carry home id, stream and ordinal as labels, nothing else; what is not marked
as ours is never touched.
Rule 3: the image is the policy's and is never fetched here; the run keeps to the one that the name
meant when it began.
Rule 4: when we are killed a watcher, which no command can reach, removes the run's containers.

What remains: the kernel is shared. The image needs `sh`, `env`, `dd` and `readlink -f`. With the
network of the host its abstract sockets can be reached.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from adapters.bubblewrap.view import is_below_any
from adapters.cancellation import is_requested
from adapters.docker.container import make_container
from adapters.docker.execution import DockerExecution
from adapters.docker.mounts import refused, writable_of
from adapters.docker.service import (
    HOME_LABEL,
    STREAM_LABEL,
    DockerService,
    DockerTrouble,
    find_service,
    is_installed,
    labels_of,
    unavailable,
)
from adapters.docker.starter import FOUND, line_to_become, line_to_find
from adapters.docker.watch import Watch
from ledger.isolation import Isolation
from ledger.liveness import Marked
from ledger.outcomes import (
    Cancelled,
    Lost,
    NotStarted,
    Outcome,
    RemovalFailed,
    Removed,
    SandboxMade,
    Unavailable,
    Usage,
)
from ledger.ports import Cancellation, Command, SandboxWish

__all__ = ["DockerSandbox"]

_LOOK_UP_S = 30.0


class DockerSandbox:
    """
    A `Sandbox` whose commands run in containers.

    *home* is the ledger's, which no command sees; *environment* says where the service is.
    """

    kind = "docker"

    def __init__(self, home: Path | None = None, environment: Mapping[str, str] = os.environ):
        self._home = home
        self._environment = environment
        self._service: DockerService | None = None
        self._wish: SandboxWish | None = None
        self._image = ""
        self._watch: Watch | None = None
        self._found: dict[tuple[str, str, str], str | None] = {}
        self._one_at_a_time = threading.Lock()

    def prepare(self) -> None:
        """Begin to import the SDK; nothing waits for it here."""
        if is_installed():
            threading.Thread(target=_import_sdk, name="import docker", daemon=True).start()

    def offer(self, wish: SandboxWish) -> Isolation | Unavailable:
        """Say what isolation a container would give; the service is asked, nothing is made."""
        if wish.image is None:
            message = "the policy names no image; set sandbox.image to one that the service has"
            return Unavailable(reason="failed", message=message)
        if why := refused(wish, self._home):
            return Unavailable(reason="not_permitted", message=why)
        if self._service is None:
            service = find_service(self._environment)
            if isinstance(service, Unavailable):
                return service
            self._service = service
        try:
            self._image = self._service.image_id(wish.image)
        except DockerTrouble as trouble:
            if not trouble.missing:
                return unavailable(trouble, f"look at image {wish.image}")
            message = f"image {wish.image} is missing; pull it, or name another in sandbox.image"
            return Unavailable(reason="failed", message=message)
        return self._isolation(wish, self._service)

    def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
        """Make ready to run commands: one container is made and removed, to see that it can be."""
        offered = self.offer(wish)
        if isinstance(offered, Unavailable):
            return offered
        assert self._service is not None
        try:
            make_container(self._service, wish, self._image, self._home, {}).remove()
        except DockerTrouble as trouble:
            return unavailable(trouble, "make a container")
        if self._watch is not None:
            self._watch.dismiss()
        self._watch = Watch(self._service.address, labels_of(wish))
        self._wish = wish
        return SandboxMade(
            kind=self.kind,
            id=f"docker-{wish.stream}-{wish.ordinal}",
            isolation=offered,
            lifetime="command",
            persists=("files",),
            image=f"{wish.image}@{self._image}",
        )

    def attach(self, wish: SandboxWish, id: str) -> SandboxMade | Unavailable:
        """Make ready again: between commands there is nothing to take hold of."""
        return self.create(wish)

    def resolve(self, name: str, cwd: Path, env: dict[str, str]) -> str | None:
        """Return the file that *name* would run inside; a container looks, once for each PATH."""
        wish = self._wish
        if wish is None or not name or "\0" in name:
            return None
        key = (name, str(cwd) if "/" in name else "", env.get("PATH", os.defpath))
        if key in self._found:
            return self._found[key]
        found = self._look_up(name, cwd, key[2])
        # What lies in the workspace is another file after the next command.
        if found is not None and not is_below_any(found, writable_of(wish)):
            self._found[key] = found
        return found

    def execute(self, command: Command, cancellation: Cancellation | None) -> Outcome:
        """Run one command to its end, in a container that ends with it."""
        if self._wish is None:
            return Lost(message="cannot run a command in the docker sandbox: it does not exist")
        if cancellation is not None and is_requested(cancellation):
            return Cancelled(usage=Usage(duration_us=0), signal=cancellation.signal)
        try:
            line = line_to_become(command.executable, command.argv, str(command.cwd), command.env)
        except ValueError as error:
            return NotStarted(reason="failed", message=f"cannot start command: {error}")
        with self._one_at_a_time:
            outcome, _ = self._run(line, command, cancellation)
        if isinstance(outcome, Lost):
            # Whoever removes our containers, or has stopped the service, does not want the rest.
            self._wish = None
        return outcome

    def close(self) -> Removed | RemovalFailed:
        """End every container of the run, and check that none is left."""
        self._wish = None
        watch, self._watch = self._watch, None
        if watch is None:
            self._let_go()
            return Removed()
        removed = self._remove_all(watch.labels)
        if isinstance(removed, RemovalFailed):
            # The watcher stays for us: closing again tries again, and our end makes it try.
            self._watch = watch
            return removed
        watch.dismiss()
        self._let_go()
        return removed

    def marked(self, home_id: str | None) -> list[Marked] | Unavailable:
        """Return the containers that carry the mark of a home, or of any for `None`."""
        service = self._service or find_service(self._environment)
        if isinstance(service, Unavailable):
            return service
        self._service = service
        try:
            return service.marked(HOME_LABEL if home_id is None else f"{HOME_LABEL}={home_id}")
        except DockerTrouble as trouble:
            return unavailable(trouble, "list the containers")

    def remove(self, id: str) -> Removed | RemovalFailed:
        """End the container *id*, of whichever of our runs; one that is gone is removed."""
        service = self._service or find_service(self._environment)
        if isinstance(service, Unavailable):
            return RemovalFailed(reason="failed", message=service.message)
        self._service = service
        try:
            service.remove(id)
        except DockerTrouble as trouble:
            message = f"cannot remove container {id}: {trouble}"
            return RemovalFailed(reason="failed", message=message)
        return Removed()

    def _run(
        self, line: bytes, command: Command, cancellation: Cancellation | None
    ) -> tuple[Outcome, bytes]:
        """Return how the command ended, and what the starter said."""
        assert self._service is not None
        assert self._wish is not None
        try:
            container = make_container(
                self._service, self._wish, self._image, self._home, command.env
            )
        except DockerTrouble as trouble:
            if trouble.answered:
                message = f"cannot start command: cannot make a container: {trouble}"
                return NotStarted(reason="failed", message=message), b""
            message = f"cannot run a command in the docker sandbox: {trouble}"
            return Lost(message=message), b""
        execution = DockerExecution(container, line, command, cancellation)
        return execution.run(), execution.said

    def _look_up(self, name: str, cwd: Path, path: str) -> str | None:
        try:
            line = line_to_find(name, str(cwd), path)
        except ValueError:
            return None
        looking = Command(
            argv=[name],
            executable=name,
            cwd=cwd,
            env={},
            time_limit_s=_LOOK_UP_S,
            stdout=lambda _data: None,
            stderr=lambda _data: None,
        )
        with self._one_at_a_time:
            _, said = self._run(line, looking, None)
        return os.fsdecode(said.removeprefix(FOUND)) if said.startswith(FOUND) else None

    def _remove_all(self, labels: Mapping[str, str]) -> Removed | RemovalFailed:
        assert self._service is not None
        wanted = [f"{name}={labels[name]}" for name in (HOME_LABEL, STREAM_LABEL)]
        try:
            for container in self._service.marked(*wanted):
                self._service.remove(container.id)
            left = self._service.marked(*wanted)
        except DockerTrouble as trouble:
            message = f"cannot remove the run's containers: {trouble}"
            return RemovalFailed(reason="failed", message=message)
        if left:
            message = f"cannot remove container {left[0].id}: it is still there"
            return RemovalFailed(reason="failed", message=message)
        return Removed()

    def _let_go(self) -> None:
        if self._service is not None:
            self._service.close()
        self._service = None

    def _isolation(self, wish: SandboxWish, service: DockerService) -> Isolation:
        return Isolation(
            boundary="container",
            filesystem="workspace",
            network=wish.network,
            processes="own",
            limits=service.kept_limits(wish.limits),
            record="reachable" if self._is_home_mounted(wish) else "out_of_reach",
        )

    def _is_home_mounted(self, wish: SandboxWish) -> bool:
        """Say whether the ledger may be within reach: in the workspace it would be."""
        return self._home is None or is_below_any(os.path.realpath(self._home), writable_of(wish))


def _import_sdk() -> None:
    try:
        importlib.import_module("docker")
    except Exception:
        # Whoever needs it meets the same error, and says so.
        return
