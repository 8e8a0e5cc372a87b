"""The container service of this machine, docker's or podman's, reached through the `docker` SDK.

Rule 1: only a socket of this machine is used: the workspace is mounted, not sent.
Rule 2: containers are looked for by our labels only; what does not carry them is never touched.
Rule 3: every error of the SDK, and of what is below it, comes out as a `DockerTrouble`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from ledger.isolation import Limits
from ledger.liveness import Marked
from ledger.outcomes import Unavailable, UnavailableReason
from ledger.ports import SandboxWish

if TYPE_CHECKING:
    import docker

HOME_LABEL, STREAM_LABEL, ORDINAL_LABEL = "gesta-home", "gesta-stream", "gesta-ordinal"
_PATIENCE_S = 60
_UNIX = "unix://"
_NO_SUCH_CONTAINER, _NOT_RUNNING = 404, 409


class DockerTrouble(Exception):
    """
    The service did not do what was asked.

    *missing*: what was named is not there. *answered* is `False` if it may have been done.
    """

    def __init__(self, message: str, *, missing: bool = False, answered: bool = True) -> None:
        super().__init__(message)
        self.missing = missing
        self.answered = answered


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the service can do here; *rootless* ones run as an ordinary user of this machine."""

    memory: bool
    processes: bool
    rootless: bool


class DockerService:
    """A service that answered, at *address* (`unix://...`)."""

    def __init__(self, client: docker.APIClient, address: str) -> None:
        self._client = client
        self.address = address
        with troubles():
            info = client.info()
        # podman and docker have each their own way to say so.
        words = info.get("SecurityOptions") or ()
        rootless = bool(info.get("Rootless")) or any("rootless" in word for word in words)
        # An ordinary user's service is given no groups of version 1, whatever it says.
        has_groups = not rootless or str(info.get("CgroupVersion")) == "2"
        self.abilities = Abilities(
            memory=has_groups and bool(info.get("MemoryLimit")),
            processes=has_groups and bool(info.get("PidsLimit")),
            rootless=rootless,
        )

    @property
    def client(self) -> docker.APIClient:
        """The SDK's client of the API; calls to it stand inside `troubles`."""
        return self._client

    def image_id(self, name: str) -> str:
        """Return the id of the image *name*; raises `DockerTrouble`."""
        with troubles():
            found = self._client.inspect_image(name)  # type: ignore[no-untyped-call]
            return str(found["Id"])

    def marked(self, *wanted: str) -> list[Marked]:
        """Return the containers, running or not, that carry each `label` or `label=value`."""
        with troubles():
            found = self._client.containers(all=True, filters={"label": list(wanted)})
        return [
            Marked(
                one["Id"],
                one["Labels"].get(STREAM_LABEL, ""),
                one["Labels"].get(ORDINAL_LABEL, ""),
                one["Labels"].get(HOME_LABEL, ""),
            )
            for one in found
        ]

    def remove(self, container: str) -> None:
        """End and remove a container with its anonymous volumes; one that is gone is no trouble."""
        try:
            with troubles():
                self._client.remove_container(container, v=True, force=True)
        except DockerTrouble as trouble:
            if not trouble.missing:
                raise
        finally:
            # The SDK keeps a connection for each URL; those with this id are of no use again.
            self._client.close()

    def kept_limits(self, limits: Limits) -> Limits:
        """Return what is left of *limits* here."""
        return Limits(
            memory_mb=limits.memory_mb if self.abilities.memory else None,
            processes=limits.processes if self.abilities.processes else None,
            output_mb=limits.output_mb,
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def find_service(environment: Mapping[str, str]) -> DockerService | Unavailable:
    """Return the service that $DOCKER_HOST names, else the first usual socket that answers."""
    if not is_installed():
        message = "the package docker is not installed; install gesta[docker]"
        return Unavailable(reason="not_installed", message=message)
    named = environment.get("DOCKER_HOST")
    if named and not named.startswith(_UNIX):
        message = f"DOCKER_HOST is {named}: not a socket of this machine (unix://...)"
        return Unavailable(reason="failed", message=message)
    said: list[str] = []
    for address in [named] if named else _usual_addresses(environment):
        try:
            return _connect(address)
        except DockerTrouble as trouble:
            said.append(f"{address}: {trouble}")
    why = "; ".join(said) or "there is none of the usual sockets"
    message = f"no container service answers: {why}; start docker or podman, or set DOCKER_HOST"
    return Unavailable(reason="outage", message=message)


def _connect(address: str) -> DockerService:
    import docker

    with troubles():
        # The SDK leaves a socket open that it could not connect.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address.removeprefix(_UNIX))
        client = docker.APIClient(base_url=address, version="auto", timeout=_PATIENCE_S)
    try:
        return DockerService(client, address)
    except DockerTrouble:
        client.close()
        raise


def is_installed() -> bool:
    """Say whether the SDK is there, without importing it."""
    return importlib.util.find_spec("docker") is not None


def labels_of(wish: SandboxWish) -> dict[str, str]:
    """Return what a run's containers are marked with."""
    return {
        HOME_LABEL: wish.home_id,
        STREAM_LABEL: wish.stream,
        ORDINAL_LABEL: str(wish.ordinal),
    }


def unavailable(trouble: DockerTrouble, what: str) -> Unavailable:
    """Return why something cannot be had."""
    reason: UnavailableReason = "failed" if trouble.answered else "outage"
    return Unavailable(reason=reason, message=f"cannot {what}: {trouble}")


@contextlib.contextmanager
def troubles() -> Iterator[None]:
    """Turn what the SDK raises into `DockerTrouble`."""
    import docker.errors
    import requests

    try:
        yield
    except docker.errors.APIError as error:
        said = str(error.explanation or error).strip()
        missing = error.status_code == _NO_SUCH_CONTAINER
        raise DockerTrouble(" ".join(said.split()), missing=missing) from error
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise DockerTrouble(_root_of(error), answered=False) from error
    except ValueError as error:
        # An answer that is no JSON: whatever listens there, it is not such a service.
        raise DockerTrouble(f"its answer cannot be read: {error}", answered=False) from error


def _root_of(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _usual_addresses(environment: Mapping[str, str]) -> Iterator[str]:
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    home = environment.get("HOME", "")
    paths = ["/var/run/docker.sock", f"{runtime}/docker.sock", f"{home}/.docker/run/docker.sock"]
    paths += [f"{runtime}/podman/podman.sock", "/run/podman/podman.sock"]
    for path in paths:
        with contextlib.suppress(OSError):
            if os.path.isabs(path) and stat.S_ISSOCK(os.stat(path).st_mode):
                yield _UNIX + path
