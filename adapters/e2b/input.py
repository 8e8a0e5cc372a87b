"""A command's standard input on its way into an E2B sandbox.

Rule 1: little is read ahead of what the command takes, and only what it took is kept.
Rule 2: a terminal stays here: a machine elsewhere has no use for it, and a command that reads
finds the end.
"""

from __future__ import annotations

import base64
import os
import stat

from ledger.ports import Input

_AHEAD = 256 << 10
_PIECE = 64 << 10


class SentInput:
    """What is read from *given*, piece by piece, for the guest's `i` and `c` lines."""

    def __init__(self, given: Input) -> None:
        self._given = given
        self._data = memoryview(given.data or b"")
        self._descriptor = None if given.data is not None else given.fd
        self._start = _offset(self._descriptor)
        self._sent = 0
        self._taken = 0
        self._untaken = bytearray()
        self._ended = False

    @property
    def is_due(self) -> bool:
        """Whether a piece can be sent without waiting for anything."""
        return self._has_room and self._descriptor is None

    @property
    def source(self) -> int | None:
        """The descriptor to be told of when it can be read, if it is wanted now."""
        return self._descriptor if self._has_room else None

    @property
    def _has_room(self) -> bool:
        return not self._ended and self._sent - self._taken < _AHEAD

    def next_line(self) -> str | None:
        """Return the next line for the guest; `None` if nothing came."""
        try:
            piece = self._read()
        except BlockingIOError:
            return None
        except OSError:
            # A directory, a closed descriptor: the command sees the end.
            piece = b""
        if not piece:
            self._ended = True
            return "c"
        line = f"i {self._sent} {base64.b64encode(piece).decode('ascii')}"
        self._sent += len(piece)
        self._untaken += piece
        return line

    def _read(self) -> bytes:
        if self._descriptor is not None:
            return os.read(self._descriptor, _PIECE)
        piece = bytes(self._data[:_PIECE])
        self._data = self._data[_PIECE:]
        return piece

    def note_taken(self, taken: int) -> None:
        """Keep what the command has taken, now *taken* bytes in all."""
        count = min(taken, self._sent) - self._taken
        if count > 0:
            self._given.keep(bytes(self._untaken[:count]))
            del self._untaken[:count]
            self._taken += count

    def finish(self) -> None:
        """Put a file's offset back to where the command stopped."""
        if self._start is not None and self._descriptor is not None:
            os.lseek(self._descriptor, self._start + self._taken, os.SEEK_SET)


def open_sent_input(given: Input | None) -> SentInput | None:
    """Return what feeds a command, or `None` where it is to find the end at once."""
    if given is None or given.terminal or (given.fd is None and given.data is None):
        return None
    return SentInput(given)


def _offset(descriptor: int | None) -> int | None:
    if descriptor is None or not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    return os.lseek(descriptor, 0, os.SEEK_CUR)
