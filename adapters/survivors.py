"""Ends what a killed process left running of a run's command.

Rule 1: a process is ours if it is the very one that was noted (id, start time, boot), or carries
the run's stream in the environment that commands are given and either belongs to the session of
one that was noted or was orphaned since. Neither we nor those who called us are ever touched.
Rule 2: who ends by itself is let: the supervisor undoes what it did to the machine.
Rule 3: a signal goes to the process that was judged, not to what has its id by then
(pidfd_open(2)).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.process_marks import ProcessFacts, all_processes, boot_id, facts_of
from ledger.liveness import ProcessMark

_BY_ITSELF_S = 1.0
_KILLED_S = 5.0
_INIT = 1


class ProcSurvivors:
    """Finds processes in `/proc`; it satisfies `ledger.liveness.Survivors`."""

    def end(self, stream: str, marks: Sequence[ProcessMark]) -> int:
        """End what is left of the run's commands; return how many would not end."""
        noted = [mark for mark in marks if mark.boot == boot_id()]
        if not noted:
            return 0
        left = _wait(stream, noted, _BY_ITSELF_S) and _kill(stream, noted)
        return len(left)


def _kill(stream: str, noted: Sequence[ProcessMark]) -> list[ProcessFacts]:
    give_up = time.monotonic() + _KILLED_S
    # One that is killed may just have started another.
    while (found := survivors_of(stream, noted)) and time.monotonic() < give_up:
        for process in found:
            _end(process)
        _wait(stream, noted, 0.05)
    return found


def _wait(stream: str, noted: Sequence[ProcessMark], patience_s: float) -> list[ProcessFacts]:
    give_up = time.monotonic() + patience_s
    while (found := survivors_of(stream, noted)) and time.monotonic() < give_up:
        time.sleep(0.005)
    return found


def survivors_of(stream: str, noted: Sequence[ProcessMark]) -> list[ProcessFacts]:
    """Return the processes that are shown to be left of the run of *stream*."""
    processes = {process.pid: process for process in all_processes()}
    exact = {(mark.pid, mark.started) for mark in noted}
    sessions = {mark.pid for mark in noted}
    first = min(mark.started for mark in noted)
    spared = _callers(processes)
    word = b"GESTA_RUN=" + os.fsencode(stream)
    marked = {
        process.pid
        for process in processes.values()
        if process.started >= first and _is_marked(process.pid, word)
    }
    return [
        process
        for pid, process in processes.items()
        if pid not in spared
        and (
            (pid, process.started) in exact
            or (
                pid in marked
                and (process.session in sessions or _is_orphan(process, processes, marked))
            )
        )
    ]


def _callers(processes: dict[int, ProcessFacts]) -> set[int]:
    callers, pid = set(), os.getpid()
    while pid in processes and pid not in callers:
        callers.add(pid)
        pid = processes[pid].parent
    return callers


def _is_orphan(process: ProcessFacts, processes: dict[int, ProcessFacts], marked: set[int]) -> bool:
    """Say whether the first of its line that carries the mark has lost its parent."""
    while process.parent in marked:
        process = processes[process.parent]
    return process.parent == _INIT or process.parent not in processes or _adopts(process.parent)


def _adopts(pid: int) -> bool:
    """Say whether it is a user's service manager, which orphans are given to (prctl(2))."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_bytes().strip() == b"systemd"
    return False


def _is_marked(pid: int, word: bytes) -> bool:
    try:
        return word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        # Another user's, or it has ended: not shown to be ours.
        return False


def _end(process: ProcessFacts) -> None:
    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        return
    try:
        # It is the one that was judged if it is so now that the handle is ours.
        if _is_same(process):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
    finally:
        os.close(handle)


def _is_same(process: ProcessFacts) -> bool:
    found = facts_of(process.pid)
    return found is not None and found.started == process.started
