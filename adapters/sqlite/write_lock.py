"""The turn to write, passed between processes.

Rule 1: who waits is queued by the kernel and woken by it; nobody polls.
Rule 2: the lock goes with the process: whoever dies holding it lets go of it.
Rule 3: the lock file is never removed: two processes could then hold two files of one name.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class WriteLock:
    """
    A lock on the file at *path*, which is made when it is first needed (flock(2)).

    One object serves one thread at a time; its callers see to that.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> None:
        """Wait for the lock and take it; raises `OSError` if the file cannot be made."""
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """
        Let go of the file; the next use opens it again.

        In a forked child that leaves the parent's lock be: it belongs to all copies together.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
