"""What the kernel counted for a container, read from its control group (cgroup(7)).

Rule 1: a file is opened while the container runs, and read when its streams have ended: the group
is there until the service has cleaned up.
Rule 2: what cannot be read is not known, and `None`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_GROUPS = "/sys/fs/cgroup"
# (controller in version 1, file there, file in version 2)
_FILES = {
    "kills": ("memory", "memory.oom_control", "memory.events"),
    "peak": ("memory", "memory.max_usage_in_bytes", "memory.peak"),
    "cpu": ("cpuacct", "cpuacct.usage", "cpu.stat"),
}


class Accounts:
    """The counters of the container whose first process is *process* on this machine."""

    def __init__(self, process: int, container: str) -> None:
        self._open: dict[str, int] = {}
        groups = _groups(process, container)
        for name, (controller, old, new) in _FILES.items():
            for path in (
                groups.get(controller) and f"{_GROUPS}/{controller}{groups[controller]}/{old}",
                groups.get("") and f"{_GROUPS}{groups['']}/{new}",
                groups.get("") and f"{_GROUPS}/unified{groups['']}/{new}",
            ):
                with contextlib.suppress(OSError):
                    if path and name not in self._open:
                        self._open[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def kills(self) -> int | None:
        """How often the memory limit has killed."""
        return _number(self._read("kills"), "oom_kill")

    @property
    def cpu_us(self) -> int | None:
        """Microseconds of processor time."""
        text = self._read("cpu")
        if text is not None and text.strip().isdigit():
            return int(text) // 1000
        return _number(text, "usage_usec")

    @property
    def peak_kb(self) -> int | None:
        """Kibibytes of memory at its peak."""
        text = self._read("peak")
        return None if text is None or not text.strip().isdigit() else int(text) // 1024

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open = {}

    def _read(self, name: str) -> str | None:
        try:
            return os.pread(self._open[name], 1 << 14, 0).decode("ascii")
        except (KeyError, OSError, UnicodeDecodeError):
            return None


def _groups(process: int, container: str) -> dict[str, str]:
    """Return the group of each controller; that of version 2 has an empty name."""
    found: dict[str, str] = {}
    try:
        lines = Path(f"/proc/{process}/cgroup").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return found
    for line in lines:
        _, controllers, group = line.split(":", 2)
        # The id of a process of some other machine, or one that has ended, leads elsewhere.
        if container in group:
            found.update(dict.fromkeys(controllers.split(","), group))
    return found


def _number(text: str | None, name: str) -> int | None:
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None
