"""Asking the witnesses after a run's end, in a process of its own that nobody waits for.

Rule 1: a run is over when it is over. A witness that is down costs it the start of a process, and
a ledger without witnesses not even that.
Rule 2: one process asks at a time; one that finds another at it leaves it to that one, which looks
again before it ends.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

from adapters.home import Home

# How long each witness may take to answer. Nobody waits for it, and it must not last for ever.
SECONDS = 10.0


def sync_in_background(home: Home) -> None:
    """Start a process that has the witnesses cosign the head, if the home names any."""
    if not home.witnesses.exists():
        return
    nothing = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "adapters.cli", "witness", "sync", "--background"],
            env={**os.environ, "GESTA_HOME": str(home.path)},
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            start_new_session=True,
        )
    except OSError:
        # The head is signed and kept; the next run's end, or `gesta witness sync`, asks again.
        return
    threading.Thread(target=process.wait, daemon=True).start()


@contextlib.contextmanager
def syncing(home: Home, *, wait: bool) -> Iterator[bool]:
    """Have the turn to ask witnesses; say whether it is ours, always after waiting for it."""
    import fcntl

    home.locks.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(home.locks / "witnesses", flags, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
