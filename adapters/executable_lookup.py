"""Finds the file that a command's name would run."""

from __future__ import annotations

import os
from pathlib import Path


def find_executable(name: str, cwd: Path, env: dict[str, str]) -> str | None:
    """
    Return the file that *name* runs in *cwd* with *env*, with no symbolic link left, or `None`.

    A name with a slash is taken from *cwd*; any other is looked up in the PATH of *env*, or in the
    system's default where it has none. Entries of PATH that are empty or relative are passed over:
    what a run's own directory happens to hold never stands in for a program.
    """
    if not name or "\0" in name:
        return None
    if "/" in name:
        return _real_file(os.path.join(cwd, name))
    found = None
    for directory in env.get("PATH", os.defpath).split(os.pathsep):
        if os.path.isabs(directory):
            there = _real_file(os.path.join(directory, name))
            if there is not None and os.access(there, os.X_OK):
                return there
            # As a shell has it: what is there and may not be executed is better than nothing.
            found = found or there
    return found


def _real_file(path: str) -> str | None:
    try:
        real = os.path.realpath(path, strict=True)
    except OSError:
        return None
    return real if os.path.isfile(real) else None
