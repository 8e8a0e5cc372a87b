"""Reads the one-line files by which git directories point to one another.

Rule: they may have been rewritten by a command. Only a regular file is read, never through a link
and never more than a line's worth; what it says is for the caller to doubt.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_LIMIT = 16 * 1024


def read_line(path: Path) -> str | None:
    """Return what the file *path* says, without the line's end, or `None` if it is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = os.read(descriptor, _LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(content) > _LIMIT:
        return None
    return os.fsdecode(content).removesuffix("\n")
