"""Memory and process limits: by a control group where one is ours to divide, else per process.

Rule 1: a group is made only below our own, and only where that is the top of the hierarchy or
belongs to our ordinary user; a group that something else manages is left as it is.
Rule 2: no file of a group that we did not make is written, except to go back into it at the end.
Rule 3: the number of a user's processes is never limited by RLIMIT_NPROC: it counts those of the
whole machine.

Both versions are known (cgroups(7)). The supervisor joins its group once, so that commands are
born in it; `processes` therefore has room for the supervisor and the namespace's first process.
"""

from __future__ import annotations

import os

from .plain_signal import signal

_OURS = 2


class ControlGroup:
    """
    A group below *parent*, a directory of one hierarchy, for one controller.

    *path* is where it is once it was made.
    """

    def __init__(self, parent: str, controller: str, version: int) -> None:
        self._parent = parent
        self._controller = controller
        self._version = version
        self.path = ""

    def is_possible(self) -> bool:
        """Say whether a group can be made; changes nothing."""
        try:
            state = os.stat(self._parent)
            if self._version != 1:
                enabled = _read(f"{self._parent}/cgroup.subtree_control").split()
                if self._controller not in enabled:
                    return False
        except OSError:
            return False
        ours = os.geteuid() == 0 or state.st_uid == os.geteuid()
        return ours and os.access(self._parent, os.W_OK)

    def join(self, limit: int) -> bool:
        """Make the group, set its *limit* and enter it; nothing is left if that fails."""
        path = f"{self._parent}/gesta-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            os.mkdir(path)
            self.path = path
            self._set(limit)
            _write(f"{path}/cgroup.procs", str(os.getpid()))
        except OSError:
            self.leave()
            return False
        return True

    def _set(self, limit: int) -> None:
        if self._controller == "pids":
            _write(f"{self.path}/pids.max", str(limit + _OURS))
            return
        names = (
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            if self._version == 1
            else ("memory.max", "memory.swap.max")
        )
        _write(f"{self.path}/{names[0]}", str(limit))
        if os.path.exists(f"{self.path}/{names[1]}"):
            _write(f"{self.path}/{names[1]}", str(limit if self._version == 1 else 0))

    def kills(self) -> int:
        """Return how many processes the memory limit has killed so far."""
        name = "memory.oom_control" if self._version == 1 else "memory.events"
        try:
            lines = _read(f"{self.path}/{name}").splitlines()
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def leave(self) -> None:
        """Go back and remove the group."""
        path, self.path = self.path, ""
        if path:
            try:
                _write(f"{self._parent}/cgroup.procs", str(os.getpid()))
                os.rmdir(path)
            except OSError:
                # Whoever started us looks for it again.
                return


def find_group(controller: str) -> ControlGroup | None:
    """Return the group that could be made for *controller*, or `None`."""
    try:
        own = [line.split(":", 2) for line in _read("/proc/self/cgroup").splitlines()]
        mounts = [line.split() for line in _read("/proc/self/mountinfo").splitlines()]
    except OSError:
        return None
    for version in (1, 2):
        below = _own_path(own, controller if version == 1 else "")
        root = _mounted_at(mounts, controller if version == 1 else None)
        if below is None or root is None:
            continue
        if below != "/" and os.geteuid() == 0:
            continue
        group = ControlGroup(root + below.rstrip("/"), controller, version)
        if group.is_possible():
            return group
    return None


def _own_path(lines: list[list[str]], controller: str) -> str | None:
    return next((path for _, names, path in lines if controller in names.split(",")), None)


def _mounted_at(mounts: list[list[str]], controller: str | None) -> str | None:
    """Return where the whole of a hierarchy is mounted; *controller* of `None` is version 2."""
    for fields in mounts:
        kind = fields[fields.index("-") + 1]
        options = fields[-1].split(",")
        wanted = kind == "cgroup2" if controller is None else kind == "cgroup"
        if wanted and fields[3] == "/" and (controller is None or controller in options):
            return fields[4]
    return None


def remove_group(path: str) -> bool:
    """End what is in a group that a supervisor made, and remove it; say whether it is gone."""
    try:
        for process in _read(f"{path}/cgroup.procs").split():
            os.kill(int(process), signal.SIGKILL)
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        # Busy until the last of its processes is reaped.
        return False
    return True


def spare_supervisor() -> bytes | None:
    """Ask the kernel to kill a command before us; return what a command is to have instead."""
    try:
        before = _read("/proc/self/oom_score_adj").encode()
        _write("/proc/self/oom_score_adj", "-1000")
    except OSError:
        return None
    return before


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
