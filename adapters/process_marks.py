"""What tells one process from whatever has its id later (proc(5)).

Where there is no `/proc` no process can be told from another, and none is.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import msgspec

from ledger.liveness import ProcessMark

_GONE = (b"Z", b"X")


class ProcessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel says of a process: *started* in ticks since the boot."""

    pid: int
    parent: int
    session: int
    started: int


def facts_of(pid: int) -> ProcessFacts | None:
    """Return the facts of a process, or `None` if it has ended, waited for or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The second field is the program's name in brackets, which may hold anything.
    fields = stat.rpartition(b")")[2].split()
    if fields[0] in _GONE:
        return None
    return ProcessFacts(
        pid=pid, parent=int(fields[1]), session=int(fields[3]), started=int(fields[19])
    )


def mark_of(pid: int) -> ProcessMark | None:
    """Return what the process can be known by, or `None` if that cannot be said."""
    facts, boot = facts_of(pid), boot_id()
    return None if facts is None or boot is None else ProcessMark(pid, facts.started, boot)


def all_processes() -> list[ProcessFacts]:
    """Return the facts of every process that can be seen."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    found = (facts_of(int(name)) for name in names if name.isdigit())
    return [facts for facts in found if facts is not None]


@cache
def boot_id() -> str | None:
    """Return the id of this boot of the machine, or `None` if it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
