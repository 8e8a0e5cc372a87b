"""What is to go wrong at the test server, and when."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field


@dataclass
class Fault:
    """
    One thing that goes wrong with requests whose `METHOD path` matches *match*.

    *status* and *body* answer in place of the server. *drop* closes the connection without an
    answer: `before` the request has an effect, or `after` it. *cut_after* breaks a stream off
    after so many messages, and *delay_s* makes an answer late, effect first. *times* is how often
    it happens, after *spare* requests that it lets pass.
    """

    match: str
    status: int | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drop: str | None = None
    cut_after: int | None = None
    delay_s: float = 0.0
    times: int = 1
    spare: int = 0


class Faults:
    """The faults that are still to happen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let *fault* happen."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Let nothing more go wrong."""
        with self._lock:
            self._waiting.clear()

    def take(self, request: str) -> Fault | None:
        """Return what goes wrong with *request*, if anything does."""
        with self._lock:
            for fault in self._waiting:
                if fault.times > 0 and re.search(fault.match, request):
                    if fault.spare > 0:
                        fault.spare -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None
