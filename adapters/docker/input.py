"""What goes into a container: the starter's line first, then the command's standard input.

Rule 1: little is read ahead: a piece is read when the one before it is on its way.
Rule 2: what went to the command's pipe is kept. How much of that it read cannot be seen from here.
Rule 3: a terminal stays here: a command that reads finds the end.
"""

from __future__ import annotations

import os
import select
import socket

from ledger.ports import Input

_PIECE = 1 << 16


class ContainerInput:
    """Feeds *connection* with *line* and then with what *given* holds."""

    def __init__(self, connection: socket.socket, line: bytes, given: Input | None) -> None:
        self._connection = connection
        self._given = None if given is None or given.terminal else given
        self._line = memoryview(line)
        self._pending = memoryview(b"")
        self._data = memoryview(b"")
        self._source: int | None = None
        if self._given is not None:
            self._data = memoryview(self._given.data or b"")
            self._source = self._given.fd if self._given.data is None else None
        self._ended = False

    def wanted(self) -> tuple[int, int] | None:
        """Return what to wait for: a descriptor and its poll(2) events."""
        if self._ended:
            return None
        if self._line or self._pending or self._data or self._source is None:
            return self._connection.fileno(), select.POLLOUT
        return self._source, select.POLLIN

    def proceed(self) -> None:
        """Move on by one step: what `wanted` named is ready."""
        if self._line:
            self._line = self._line[self._send(self._line) :]
        elif self._pending:
            self._forward()
        elif self._data:
            self._pending, self._data = self._data[:_PIECE], self._data[_PIECE:]
            self._forward()
        elif self._source is not None:
            self._read(self._source)
        else:
            self._end()

    def _read(self, source: int) -> None:
        try:
            self._pending = memoryview(os.read(source, _PIECE))
        except BlockingIOError:
            return
        except OSError:
            # A directory, a closed descriptor: the command sees the end.
            self._pending = memoryview(b"")
        if not self._pending:
            self._source = None

    def _forward(self) -> None:
        sent = self._send(self._pending)
        if sent and self._given is not None:
            self._given.keep(bytes(self._pending[:sent]))
        self._pending = self._pending[sent:]

    def _send(self, data: memoryview) -> int:
        try:
            return self._connection.send(data[:_PIECE])
        except BlockingIOError:
            return 0
        except OSError:
            # The command has ended, or closed its input; the connection's end tells the rest.
            self._ended = True
            return 0

    def _end(self) -> None:
        self._ended = True
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            # It has ended before us.
            return
