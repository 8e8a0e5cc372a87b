"""The processes that descend from one, and their end, where there is no process namespace.

Rule 1: found as descendants of the supervisor, which adopts orphans: a new session, a double fork
or a cleared environment hide nothing.
Rule 2: killing goes on until none is left; a process can fork while it is looked for.
"""

from __future__ import annotations

import os
import time

from .plain_signal import signal

# A type checker knows the name; importing it from `typing` would cost as much as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def processes() -> Iterator[tuple[int, int, int]]:
    """Yield id, parent and session of every process that `/proc` shows (proc(5))."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The command's name is in parentheses and may hold anything.
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            yield int(name), int(fields[1]), int(fields[3])


def descendants(ancestor: int) -> list[int]:
    """Return the ids of every process below *ancestor*."""
    children: dict[int, list[int]] = {}
    for process, parent, _ in processes():
        children.setdefault(parent, []).append(process)
    found = list(children.get(ancestor, ()))
    for process in found:
        found.extend(children.get(process, ()))
    return found


def signal_tree(number: int, group: int | None) -> None:
    """Send a signal to every descendant of ours, and to the process group *group*."""
    if group is not None:
        _send(os.killpg, group, number)
    for process in descendants(os.getpid()):
        _send(os.kill, process, number)


def end_tree(group: int | None, reap: Callable[[], bool], patience_s: float) -> bool:
    """
    Kill every descendant and wait for its end; *reap* says whether there is none.

    Returns whether none is left; false after *patience_s*.
    """
    give_up = time.monotonic() + patience_s
    pause = 0.0005
    while not reap():
        if time.monotonic() > give_up:
            return False
        signal_tree(signal.SIGKILL, group)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    return True


def _send(send: Callable[[int, int], None], target: int, number: int) -> None:
    try:
        send(target, number)
    except (ProcessLookupError, PermissionError):
        # It has ended by itself, or it is a set-user-id program that only root may end.
        return
