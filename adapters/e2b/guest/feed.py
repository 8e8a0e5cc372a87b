"""The command's standard input, as it arrives from outside.

Rule: what the command took is told from what merely lies in its pipe (FIONREAD, ioctl_tty(2)).
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios


class Feed:
    """A pipe for a command to read; *descriptor* is its end of it."""

    def __init__(self) -> None:
        self.descriptor, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        self._pending = bytearray()
        self._written = 0
        self._ended = False

    @property
    def wanted(self) -> int | None:
        """The descriptor to be told of when it can be written to, if there is anything to write."""
        return self._pipe if self._pending and self._pipe >= 0 else None

    @property
    def taken(self) -> int:
        """How many bytes the command has read so far."""
        waiting = fcntl.ioctl(self.descriptor, termios.FIONREAD, b"\0\0\0\0")
        return self._written - int(struct.unpack("i", waiting)[0])

    def add(self, at: int, data: bytes) -> None:
        """Take what comes from byte *at* on; what is known already is passed over."""
        self._pending += data[self._written + len(self._pending) - at :]

    def end(self) -> None:
        """Let the command see the end, once it has had the rest."""
        self._ended = True
        self._close_if_done()

    def proceed(self) -> None:
        """Write what the pipe has room for."""
        try:
            written = os.write(self._pipe, self._pending[: 1 << 16])
        except BlockingIOError:
            return
        self._written += written
        del self._pending[:written]
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._ended and not self._pending and self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
