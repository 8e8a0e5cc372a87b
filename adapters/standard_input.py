"""A command's standard input, and the record of what it took of it.

Rule 1: what goes to *keep* is what the command took, not what we read ahead for it.
Rule 2: nothing here waits: the descriptors that are ready come from the execution's own wait.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import struct
import termios
from collections.abc import Callable

from ledger.ports import Input

_CHUNK = 1 << 16


class PipedInput:
    """
    Feeds a command from *source* (a pipe, a socket, a device) or from *data*.

    *descriptor* is the end that the command gets; ours stays open, to see what it left there. The
    source is read only when the pipe has room, so at most one pipe of it is read ahead.
    """

    def __init__(self, keep: Callable[[bytes], None], source: int | None, data: bytes) -> None:
        self._keep = keep
        self._source = source
        self._pending = memoryview(data)
        self.descriptor, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        self._has_room = False
        self._untaken = bytearray()

    def wanted(self) -> list[int]:
        """Return what to wait for: a descriptor and its poll(2) events, or nothing."""
        if self._pipe < 0:
            return []
        if self._pending or not self._has_room:
            return [self._pipe, select.POLLOUT]
        if self._source is None:
            self._end_input()
            return []
        return [self._source, select.POLLIN]

    def proceed(self) -> None:
        """Move on by one step: what `wanted` named is ready."""
        if not self._pending and not self._has_room:
            self._has_room = True
        elif self._pending or self._read():
            self._write()

    def _read(self) -> bool:
        assert self._source is not None
        try:
            self._pending = memoryview(os.read(self._source, _CHUNK))
        except BlockingIOError:
            return False
        except OSError:
            # A directory, a closed descriptor: the command sees the end.
            self._pending = memoryview(b"")
        if not self._pending:
            self._source = None
        return bool(self._pending)

    def _write(self) -> None:
        try:
            written = os.write(self._pipe, self._pending[:_CHUNK])
        except BlockingIOError:
            self._has_room = False
            return
        self._untaken += self._pending[:written]
        self._pending = self._pending[written:]
        self._has_room = False
        self._keep_taken()

    def _keep_taken(self) -> None:
        waiting = fcntl.ioctl(self.descriptor, termios.FIONREAD, b"\0\0\0\0")
        taken = len(self._untaken) - struct.unpack("i", waiting)[0]
        if taken > 0:
            self._keep(bytes(self._untaken[:taken]))
            del self._untaken[:taken]

    def _end_input(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def finish(self) -> None:
        """Hand over what was taken since, and let go of everything."""
        self._keep_taken()
        self.discard()

    def discard(self) -> None:
        """Let go of everything and keep nothing more."""
        self._end_input()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class HandedInput:
    """
    A descriptor that the command gets as it is: a terminal, or a file whose offset we share.

    What was read of a file is read again afterwards, from the offset before to the one after.
    """

    def __init__(self, keep: Callable[[bytes], None], descriptor: int, *, is_file: bool) -> None:
        self._keep = keep
        self.descriptor = descriptor
        self._offset = os.lseek(descriptor, 0, os.SEEK_CUR) if is_file else None

    def wanted(self) -> list[int]:
        """Return nothing to wait for."""
        return []

    def proceed(self) -> None:
        """Do nothing: nothing was waited for."""

    def finish(self) -> None:
        """Hand over what the command read of a file."""
        if self._offset is None:
            return
        end = os.lseek(self.descriptor, 0, os.SEEK_CUR)
        while self._offset < end:
            data = os.pread(self.descriptor, min(_CHUNK, end - self._offset), self._offset)
            if not data:
                break
            self._keep(data)
            self._offset += len(data)

    def discard(self) -> None:
        """Change nothing: the descriptor is the caller's."""


def open_input(given: Input | None) -> PipedInput | HandedInput | None:
    """Return what feeds a command, or `None` for `/dev/null`."""
    if given is None or (given.fd is None and given.data is None):
        return None
    if given.fd is None or given.data is not None:
        return PipedInput(given.keep, None, given.data or b"")
    is_file = stat.S_ISREG(os.fstat(given.fd).st_mode)
    if given.terminal or is_file:
        return HandedInput(given.keep, given.fd, is_file=is_file)
    return PipedInput(given.keep, given.fd, b"")
