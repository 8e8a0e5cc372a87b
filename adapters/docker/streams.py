"""The two outputs of a container in one connection, taken apart (Docker Engine API, "Attach").

Rule 1: bytes go on as they come; nothing is gathered but a frame's eight bytes of header and the
first line of standard output, which is the starter's.
"""

from __future__ import annotations

from collections.abc import Callable

from adapters.docker.starter import PREFIX

_HEADER = 8
_STDERR = 2
_LONGEST_LINE = 64 << 10


class Streams:
    """Takes bytes of the connection and hands on those of *stdout* and *stderr*."""

    def __init__(self, stdout: Callable[[bytes], None], stderr: Callable[[bytes], None]) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._header = b""
        self._left = 0
        self._is_error = False
        self._line: bytes | None = b""
        self.said: bytes | None = None
        self.early_errors = b""

    def take(self, data: bytes) -> None:
        """Take the next bytes of the connection."""
        view = memoryview(data)
        while view:
            if self._left == 0:
                missing = _HEADER - len(self._header)
                self._header += view[:missing]
                view = view[missing:]
                if len(self._header) == _HEADER:
                    self._is_error = self._header[0] == _STDERR
                    self._left = int.from_bytes(self._header[4:], "big")
                    self._header = b""
                continue
            piece, view = bytes(view[: self._left]), view[self._left :]
            self._left -= len(piece)
            self._hand_on(piece)

    def finish(self) -> None:
        """Take what there is of the starter's line for all of it."""
        if self._line is not None:
            self._understand(self._line)

    def _hand_on(self, piece: bytes) -> None:
        if self._is_error:
            if self.said is None:
                # The starter's own complaint, or a command's that overtook the starter's line.
                self.early_errors += piece
            else:
                self._stderr(piece)
        elif self._line is None:
            self._stdout(piece)
        else:
            line, end, rest = (self._line + piece).partition(b"\n")
            self._line = line
            if end or len(line) > _LONGEST_LINE:
                self._understand(line)
                if rest:
                    self._stdout(rest)

    def _understand(self, line: bytes) -> None:
        self._line = None
        self.said = line.removeprefix(PREFIX) if line.startswith(PREFIX) else b""
        if self.said == b"started" and self.early_errors:
            early, self.early_errors = self.early_errors, b""
            self._stderr(early)
