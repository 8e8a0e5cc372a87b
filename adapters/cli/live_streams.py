"""The command's streams and our own: output as it comes, byte for byte, and what is to be read.

Rule 1: what the command prints is written at once and unbuffered; what cannot be written is no
reason to lose it, for the ledger keeps it.
Rule 2: when nobody reads our output any more, the command is ended, as a pipe's writer is.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
from collections.abc import Callable

from adapters.cancellation import SignalCancellation
from adapters.cli.printing import warn


class LiveOutput:
    """
    One of our descriptors, for a command's output.

    *before* is called before every write. *cancellation* is asked for when the reader is gone.
    """

    def __init__(
        self, descriptor: int, cancellation: SignalCancellation, before: Callable[[], None]
    ) -> None:
        self._descriptor = descriptor
        self._cancellation = cancellation
        self._before = before
        self._is_open = True

    def write(self, data: bytes) -> None:
        """Write all of *data*, waiting where the reader is slow; never raises."""
        self._before()
        try:
            self._write(data)
        except BrokenPipeError:
            self._is_open = False
            self._cancellation.request(signal.SIGPIPE)
        except OSError as error:
            self._is_open = False
            warn(f"cannot write the command's output: {error.strerror}; it is still recorded")

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and self._is_open:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])


def standard_input() -> tuple[int | None, bool]:
    """
    Return the descriptor that a command may read from, and whether it is a terminal.

    `None` where there is nothing to read: it is closed, or the null device.
    """
    if sys.stdin is None:
        return None, False
    found = os.fstat(0)
    if os.isatty(0):
        return 0, True
    null = os.stat(os.devnull)
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == null.st_rdev:
        return None, False
    return 0, False
