"""A podman service of the tests' own, with an image that came from no registry.

Its images, containers, locks and configuration are all in one directory, so that it has nothing
to do with a podman that the machine has besides. `runc` and control groups of version 1 and 2
alike are used as they are; no network is set up.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

IMAGE = "gesta-test"
# Under these the service itself looks for what it needs.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE_S = 60.0
_DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "var/tmp")
_CONFIGURATION = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
"""


@contextlib.contextmanager
def running_podman(place: Path) -> Iterator[str]:
    """Give the address of a service that keeps all it has below *place*; nothing of it is left."""
    configuration = place / "containers.conf"
    configuration.write_text(_CONFIGURATION)
    environment = {
        "PATH": _PATH,
        "HOME": str(place),
        "XDG_RUNTIME_DIR": str(place),
        "CONTAINERS_CONF": str(configuration),
        "TMPDIR": str(place),
    }
    podman = ["podman", "--root", f"{place}/images", "--runroot", f"{place}/containers"]
    podman += ["--tmpdir", f"{place}/tmp"]
    podman += ["--storage-driver", "overlay" if os.geteuid() == 0 else "vfs"]
    address = f"unix://{place}/socket"
    with open(place / "log", "wb") as log:
        service = subprocess.Popen(
            [*podman, "system", "service", "--time=0", address],
            # Its container monitor writes a file into the directory it was started in.
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(service, place)
        yield address
    finally:
        remove = [*podman, "rm", "--all", "--force"]
        subprocess.run(remove, env=environment, check=False, capture_output=True)
        # An ordinary user's service is a process below the one that we started.
        os.killpg(service.pid, signal.SIGTERM)
        service.wait(_PATIENCE_S)
        _end_rootless(place)
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            mounted = line.split()[1]
            if mounted.startswith(f"{place}/"):
                subprocess.run(["umount", mounted], check=True)
        for directory, _, _ in os.walk(place):
            # Storage has directories that even their owner is not to write to.
            os.chmod(directory, 0o700)
        shutil.rmtree(place)


def import_image(address: str) -> None:
    """Make the image: a system of busybox and nothing else."""
    import docker

    client = docker.APIClient(base_url=address, version="auto", timeout=60)
    try:
        client.import_image_from_data(_root_file_system(), repository=IMAGE)
    finally:
        client.close()


def _root_file_system() -> bytes:
    busybox = shutil.which("busybox", path=_PATH)
    assert busybox is not None, "install busybox-static"
    names = subprocess.check_output([busybox, "--list"], text=True).split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in _DIRECTORIES:
            _add(archive, name, type=tarfile.DIRTYPE, mode=0o755)
        _add(archive, "bin/busybox", data=Path(busybox).read_bytes(), mode=0o755)
        for name in names:
            if name != "busybox":
                _add(archive, f"bin/{name}", type=tarfile.SYMTYPE, linkname="busybox")
        _add(archive, "etc/passwd", data=b"root:x:0:0::/root:/bin/sh\n", mode=0o644)
    return out.getvalue()


def _add(archive: tarfile.TarFile, name: str, *, data: bytes = b"", **fields: object) -> None:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _wait_for(service: subprocess.Popen[bytes], place: Path) -> None:
    """Wait until the service takes connections; fail with its last words if it ends."""
    give_up = time.monotonic() + _PATIENCE_S
    ended = os.pidfd_open(service.pid)
    try:
        while time.monotonic() < give_up:
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(f"{place}/socket")
                return
            if select.select([ended], [], [], 0.05)[0]:
                break
    finally:
        os.close(ended)
    raise AssertionError(f"podman does not serve: {(place / 'log').read_text()[-2000:]}")


def _end_rootless(place: Path) -> None:
    """End the process that keeps a user's namespaces, if there is one."""
    for file in place.rglob("pause.pid"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(file.read_text()), signal.SIGKILL)
