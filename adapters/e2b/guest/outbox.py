"""What the guest says: numbered lines, kept until we have them.

| line | says |
|---|---|
| `N s ` | the command has begun |
| `N o DATA`, `N e DATA` | output, error output: base64 |
| `N O DATA`, `N E DATA` | the same, compressed (RFC 1950) before |
| `N w TAKEN` | how many bytes of input the command has taken; more may be sent |
| `N x RESULT` | how it ended: base64 of JSON |

N counts from 1. An empty line says nothing.
"""

from __future__ import annotations

import base64
import collections
import os
import zlib

# So many bytes of output are on their way at most. More would be held here, in the command's pipe.
WINDOW = 1 << 20
_WORTH_COMPRESSING = 1 << 10


class Outbox:
    """The lines that were said and not yet acknowledged."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unacknowledged: collections.deque[tuple[int, int, bytes]] = collections.deque()
        self._last = 0
        self._on_the_way = 0

    @property
    def is_full(self) -> bool:
        """Whether no more output may be said for now."""
        return self._on_the_way >= WINDOW

    @property
    def is_empty(self) -> bool:
        """Whether everything said has arrived."""
        return not self._unacknowledged

    def say(self, kind: str, payload: bytes, weight: int = 0) -> None:
        """Say one line and keep it; *weight* counts against the window."""
        self._last += 1
        line = b"%d %s %s\n" % (self._last, kind.encode(), payload)
        self._unacknowledged.append((self._last, weight, line))
        self._on_the_way += weight
        self._write(line)

    def say_output(self, kind: str, data: bytes) -> None:
        """Say what the command printed."""
        if len(data) >= _WORTH_COMPRESSING:
            packed = zlib.compress(data, 1)
            if len(packed) < len(data):
                self.say(kind.upper(), base64.b64encode(packed), len(data))
                return
        self.say(kind, base64.b64encode(data), len(data))

    def acknowledge(self, number: int) -> None:
        """Forget the lines up to *number*: they have arrived."""
        while self._unacknowledged and self._unacknowledged[0][0] <= number:
            self._on_the_way -= self._unacknowledged.popleft()[1]

    def repeat(self, after: int) -> None:
        """Say again what came after line *after*: the connection was lost."""
        self.acknowledge(after)
        # Whoever began to listen in the middle of a line knows from here on where one begins.
        self._write(b"\n")
        for _, _, line in list(self._unacknowledged):
            self._write(line)

    def _write(self, line: bytes) -> None:
        data = memoryview(line)
        while data:
            data = data[os.write(self._descriptor, data) :]
