"""One at a time at work in a run's scratch directory, the git of a killed process included.

Rule: whoever died may have left git running there, which goes on to its end. Nothing is captured
or removed before that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.git.kept_locks import keeping_lock
from ledger.errors import WorkspaceError

_PATIENCE_S = 60.0


@contextlib.contextmanager
def occupied(scratch: Path, *, make: bool = False) -> Iterator[None]:
    """
    Have *scratch* alone within the block; where it is not there, there is nothing to have alone.

    With *make* it is made. Raises `WorkspaceError` if an earlier git does not come to its end.
    """
    if make:
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        _wait(descriptor, scratch)
        with keeping_lock(descriptor):
            yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, scratch: Path) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise WorkspaceError(
                    f"cannot work in {scratch}: a git of an earlier process still does; end it"
                ) from None
            time.sleep(0.01)
        else:
            return
