"""What the guest in an E2B sandbox says, as it comes in: on a thread of its own, in order.

Rule 1: lines are taken in the order of their numbers, each once, however often the connection was
made anew; what is missing is noticed.
Rule 2: at most the guest's window is held here, because it waits for our acknowledgements.
"""

from __future__ import annotations

import base64
import os
import queue
import re
import threading
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from adapters.e2b.errors import E2BError, Trouble, trouble_of

if TYPE_CHECKING:
    from e2b.sandbox_sync.commands.command_handle import CommandHandle

_LAST_WORDS = 2000
_LONGEST = 1 << 20
_LINE = re.compile(r"(\d{1,15}) ([a-zA-Z]) (.*)")
# What no line can begin with, so that the rest of one that it stands before is passed over.
_REST = "~"


class Line(msgspec.Struct, frozen=True):
    """Line *number*: its *kind* and its content, decoded."""

    number: int
    kind: str
    content: bytes


class Ended(msgspec.Struct, frozen=True):
    """The connection ended: by an *error*, or because the guest did, with its *last_words*."""

    error: E2BError | None
    last_words: str


class Frames:
    """
    The guest's lines, and the ends of its connections.

    `fileno` becomes readable when there is something to take.
    """

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[str | Ended] = queue.SimpleQueue()
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._readable, False)
        os.set_blocking(self._writable, False)
        self._partial = ""
        self._thread: threading.Thread | None = None
        self.last = 0
        self.has_gap = False

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._readable

    def listen(self, handle: CommandHandle) -> None:
        """Take in what comes over a new connection; the one before has ended."""
        # The first of a new connection may be the rest of a line.
        self._partial = "" if self._thread is None else _REST
        self.has_gap = False
        self._thread = threading.Thread(target=self._read, args=(handle,), daemon=True)
        self._thread.start()

    def _read(self, handle: CommandHandle) -> None:
        error: E2BError | None = None
        words = ""
        try:
            for out, err, _ in handle:
                if out:
                    self._put(out)
                words = (words + (err or ""))[-_LAST_WORDS:]
        except Exception as raised:
            error = E2BError(trouble_of(raised))
        self._put(Ended(error, words.strip()))

    def _put(self, item: str | Ended) -> None:
        self._arrived.put(item)
        try:
            os.write(self._writable, b"\0")
        except (BlockingIOError, OSError):
            # It is readable already, or nobody listens any more.
            return

    def take(self) -> Iterator[Line | Ended]:
        """Yield what has arrived, without waiting."""
        try:
            os.read(self._readable, 1 << 12)
        except BlockingIOError:
            pass
        while not self._arrived.empty():
            item = self._arrived.get()
            if isinstance(item, Ended):
                yield item
                continue
            *lines, self._partial = (self._partial + item).split("\n")
            for line in lines:
                yield from self._in_order(line)

    def _in_order(self, text: str) -> Iterator[Line]:
        found = _LINE.fullmatch(text)
        if found is None:
            return
        number = int(found[1])
        if number != self.last + 1:
            self.has_gap = self.has_gap or number > self.last + 1
            return
        self.last = number
        self.has_gap = False
        yield Line(number, found[2].lower(), _decoded(found[2], found[3]))

    def close(self, patience_s: float) -> None:
        """Let go, once the connection has ended or *patience_s* seconds are over."""
        if self._thread is not None:
            self._thread.join(patience_s)
            if self._thread.is_alive():
                # It still writes to the pipe; both are let go with the process.
                return
        os.close(self._readable)
        os.close(self._writable)


def _decoded(kind: str, payload: str) -> bytes:
    try:
        if kind == "w":
            return b"%d" % int(payload)
        content = base64.b64decode(payload, validate=True)
        if kind.isupper():
            # A machine that we do not trust does not say how much we unpack.
            return zlib.decompressobj().decompress(content, _LONGEST)
    except (ValueError, zlib.error) as error:
        message = f"our program in the sandbox cannot be understood: {error}"
        raise E2BError(Trouble(reason="failed", message=message)) from error
    return content
