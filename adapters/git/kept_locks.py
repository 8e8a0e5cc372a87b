"""Locks that outlive us in the git that we have started.

Git goes on when we are killed. What must not be touched before it has ended is locked, and every
git that is started meanwhile has a part in the lock: the kernel lets go of it with the last of them
(flock(2)).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_descriptors: ContextVar[tuple[int, ...]] = ContextVar("descriptors", default=())


def kept_locks() -> tuple[int, ...]:
    """Return the descriptors that a git which is started now is given."""
    return _descriptors.get()


@contextlib.contextmanager
def keeping_lock(descriptor: int) -> Iterator[None]:
    """Have each git that is started within the block keep the lock on *descriptor*."""
    token = _descriptors.set((*_descriptors.get(), descriptor))
    try:
        yield
    finally:
        _descriptors.reset(token)
