"""How much room a file system has left for us."""

from __future__ import annotations

import os
from pathlib import Path


def free_bytes(path: Path) -> int:
    """Return the bytes that who we are may still write where *path* is (statvfs(3))."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
