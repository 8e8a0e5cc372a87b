"""A lock that many share while they write, and one has alone while nobody does (flock(2)).

Rule 1: threads of one process share one descriptor; it is let go when the last of them is done.
Rule 2: the lock goes with the process, and a forked child does not keep its parent's.
Rule 3: nothing is locked, and no file is made, before there is something to protect.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.forks import ForkAware, watch_forks

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class SharedLock(ForkAware):
    """The lock on the file at *path*, whose directory is made when it is first taken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._users = 0
        self._descriptor: int | None = None
        watch_forks(self)

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the lock, if it is taken within the block, to the block's end; may be nested."""
        with self._guard:
            self._users += 1
        try:
            yield
        finally:
            with self._guard:
                # In a child that was forked within the block nobody is counted.
                self._users = max(self._users - 1, 0)
                if self._users == 0:
                    self._let_go()

    def take(self) -> None:
        """Share the lock, within `keeping`; waits for who has it alone. Raises `OSError`."""
        with self._guard:
            if self._descriptor is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(self._path, _FLAGS, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH)
                except BaseException:
                    os.close(descriptor)
                    raise
                self._descriptor = descriptor

    def renew_child(self) -> None:
        """Let go in a forked child: what is being written is the parent's."""
        self._guard = threading.Lock()
        self._users = 0
        self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@contextlib.contextmanager
def alone(path: Path, patience_s: float) -> Iterator[bool]:
    """Have the lock alone within the block; `False` if it was shared all the time."""
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        give_up = time.monotonic() + patience_s
        while not (taken := _try(descriptor)) and time.monotonic() < give_up:
            time.sleep(0.01)
        yield taken
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
