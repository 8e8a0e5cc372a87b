"""One container, for one command: made, fed, listened to, ended, removed.

Rule 1: nothing is granted that a command does not need: no capability, no new privilege, a root
that cannot be written to, the workspace's owner as user.
Rule 2: we listen before it is started, so that nothing of its output is lost; the service keeps
none of it.
Rule 3: its files belong to who owns the workspace.
"""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapters.docker.mounts import fresh_of, read_only_of, writable_of
from adapters.docker.service import DockerService, DockerTrouble, labels_of, troubles
from adapters.docker.starter import SHELL
from ledger.ports import SandboxWish

_MEBIBYTE = 1 << 20
# The service's init, which reaps and passes signals on.
_OURS = 1
_END_S = 10.0
_PAUSE_S = 0.01
_MOST_PROCESSES = Path("/proc/sys/kernel/pid_max")


class DockerContainer:
    """A container of *image* that waits for the starter's line; `start` it, then `remove` it."""

    def __init__(self, service: DockerService, id: str) -> None:
        self._service = service
        self.id = id

    def listen(self) -> socket.socket:
        """Return the connection to all three streams; raises `DockerTrouble`."""
        wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        with troubles():
            stream = self._service.client.attach_socket(self.id, params=wanted)
        # The SDK hands out a file around the socket, with its answer: both have to be let go.
        theirs: socket.socket = stream._sock
        connection = theirs.dup()
        stream._response.close()
        theirs.close()
        stream.close()
        connection.setblocking(False)
        return connection

    def start(self) -> None:
        """Start it; raises `DockerTrouble`."""
        with troubles():
            self._service.client.start(self.id)

    def signal(self, name: str) -> None:
        """Send a signal to its init; to one that has ended, nothing."""
        try:
            with troubles():
                self._service.client.kill(self.id, signal=name)
        except DockerTrouble as trouble:
            if not trouble.answered:
                raise

    def process(self) -> int:
        """Return its first process's id on this machine, or 0; raises `DockerTrouble`."""
        return int(self._state().get("Pid") or 0)

    def ended(self) -> dict[str, Any]:
        """Return its state once it has ended; raises `DockerTrouble`, also if it never does."""
        give_up = time.monotonic() + _END_S
        while (state := self._state())["Running"]:
            if time.monotonic() > give_up:
                raise DockerTrouble("its streams ended, and it goes on", answered=False)
            time.sleep(_PAUSE_S)
        return state

    def remove(self) -> None:
        """End it, if it has not ended, and remove it; raises `DockerTrouble`."""
        self._service.remove(self.id)

    def _state(self) -> dict[str, Any]:
        with troubles():
            state: dict[str, Any] = self._service.client.inspect_container(self.id)["State"]
        return state


def make_container(
    service: DockerService, wish: SandboxWish, image: str, home: Path | None, env: dict[str, str]
) -> DockerContainer:
    """Make a container, not yet started; raises `DockerTrouble`."""
    with troubles():
        from docker.types import Healthcheck

        config = service.client.create_container_config(
            image,
            command=[],
            entrypoint=list(SHELL),
            user=_user(service, wish),
            working_dir="/",
            stdin_open=True,
            labels=labels_of(wish),
            network_disabled=wish.network == "none",
            healthcheck=Healthcheck(test=["NONE"]),
            host_config=_host_config(service, wish, home, env),
        )
        made = service.client.create_container_from_config(config)  # type: ignore[no-untyped-call]
    return DockerContainer(service, made["Id"])


def _host_config(
    service: DockerService, wish: SandboxWish, home: Path | None, env: dict[str, str]
) -> Any:
    from docker.types import LogConfig, Mount, Ulimit

    limits = service.kept_limits(wish.limits)
    memory = None if limits.memory_mb is None else limits.memory_mb * _MEBIBYTE
    writable = [(path, False) for path in writable_of(wish)]
    read_only = [(path, True) for path in read_only_of(wish, home)]
    return service.client.create_host_config(
        network_mode="none" if wish.network == "none" else "host",
        mem_limit=memory,
        memswap_limit=memory,
        pids_limit=None if limits.processes is None else limits.processes + _OURS,
        read_only=True,
        tmpfs=fresh_of(wish, env),
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        init=True,
        ipc_mode="private",
        # A mount, unlike a volume, never makes a directory that was not there.
        mounts=[
            Mount(path, path, type="bind", read_only=closed)
            for path, closed in (*writable, *read_only)
        ],
        log_config=LogConfig(type="none"),
        ulimits=[Ulimit(name=name, soft=soft, hard=hard) for name, soft, hard in _rlimits()],
    )


def _rlimits() -> Iterator[tuple[str, int, int]]:
    """
    Yield what a process of ours is limited to.

    Left to itself podman asks for more than a service without CAP_SYS_RESOURCE may give; what it
    has itself is no more than the machine has process ids.
    """
    if not _MOST_PROCESSES.exists():
        # Not Linux: the service is in a machine of its own, with limits of its own.
        return
    most = {"nofile": 1 << 20, "nproc": int(_MOST_PROCESSES.read_text())}
    for name, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        soft, hard = (
            most[name] if value == resource.RLIM_INFINITY else min(value, most[name])
            for value in resource.getrlimit(number)
        )
        yield name, soft, hard


def _user(service: DockerService, wish: SandboxWish) -> str:
    if service.abilities.rootless:
        # Its root is the user who runs the service, and nobody else on this machine.
        return "0:0"
    owner = wish.workspace.stat()
    return f"{owner.st_uid}:{owner.st_gid}"
