"""A request to the test server, as it came; and what an answer is made of."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

# Status, body (JSON, a file, lines or nothing) and headers.
Answer = tuple[int, Any, dict[str, str]]


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: str
    headers: Message
    body: bytes

    @property
    def name(self) -> str:
        """What faults and readers of the log know it by."""
        return f"{self.method} {self.path}"

    def json(self) -> Any:
        """Return the body as the JSON that it is."""
        return json.loads(self.body or b"{}")

    def messages(self) -> Iterator[Any]:
        """Yield the messages of a stream's body."""
        at = 0
        while at < len(self.body):
            _, length = struct.unpack_from(">BI", self.body, at)
            yield json.loads(self.body[at + 5 : at + 5 + length])
            at += 5 + length

    def message(self) -> Any:
        """Return the first message of a stream's body."""
        return next(self.messages())
