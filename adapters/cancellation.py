"""Turns a signal into a request that the running command be ended.

Rule 1: a signal handler only notes the signal and writes one byte; the walk of the run goes on
and records what happened.
Rule 2: who presses ^C twice is not kept waiting.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.ports import Cancellation

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalCancellation:
    """
    A `Cancellation` that can be asked for in a signal handler and from any thread.

    *signal* is the first one that asked. The descriptors are closed by `close`, or with the
    object.
    """

    _readable = _writable = -1

    def __init__(self) -> None:
        self._readable, self._writable = os.pipe()
        self._requested = False
        self._signal: int | None = None

    @property
    def signal(self) -> int | None:
        """The signal that asked for it, or `None`."""
        return self._signal

    @property
    def requested(self) -> bool:
        """Whether anyone has asked for it, by signal or not."""
        return self._requested

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when it is asked for, and stays so."""
        return self._readable

    def request(self, signal: int | None = None) -> None:
        """Ask for the end of the command; asking again changes nothing."""
        if not self._requested and self._writable >= 0:
            self._requested = True
            self._signal = signal
            os.write(self._writable, b"\0")

    @contextlib.contextmanager
    def ending_on_signals(self) -> Iterator[SignalCancellation]:
        """
        Ask for it when SIGINT, SIGTERM or SIGHUP comes; afterwards the old handlers are back.

        A second SIGINT raises `KeyboardInterrupt`. A signal that was ignored (nohup(1)) stays
        so. Only for the main thread (Python's `signal` module).
        """
        before = {}
        try:
            for number in _SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    before[number] = signal.signal(number, self._note)
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def close(self) -> None:
        """Let go of the descriptors; closing twice is closing once."""
        readable, self._readable = self._readable, -1
        writable, self._writable = self._writable, -1
        for descriptor in (readable, writable):
            if descriptor >= 0:
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.request(number)


def is_requested(cancellation: Cancellation | None) -> bool:
    """Say whether the command is to be ended before it begins."""
    if cancellation is None:
        return False
    waiting = select.poll()
    waiting.register(cancellation.fileno(), select.POLLIN)
    return bool(waiting.poll(0))
