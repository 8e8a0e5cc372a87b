"""Journals of the system that this one replaces, as their reader saw them.

Rule 1: nothing is dropped silently: every line is either a `LegacyLine` or a `BadLine`.
Rule 2: what a line says stays text: a time without a zone is no time of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import msgspec

BadReason = Literal[
    "empty",
    "too_long",
    "not_utf8",
    "not_json",
    "not_an_object",
    "no_event_type",
    "torn",
    "duplicate",
]
Spelling = Literal["payload", "data", "neither"]


class LegacyLine(msgspec.Struct, frozen=True, kw_only=True):
    """
    A line that could be read; *number* counts from 1.

    *payload* is the JSON of the payload, which is spelled `payload` or `data`; *others* an object
    of the members that no journal has. *is_known* says whether the replaced system had such a
    type of event.
    """

    number: int
    type: str
    is_known: bool
    time: str | None
    trace: str | None
    spelling: Spelling
    payload: bytes | None
    others: bytes | None


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is no event, and why."""

    number: int
    reason: BadReason
    message: str


class LegacyJournal(Protocol):
    """A journal that can be read twice: whole for its digest, then line by line."""

    @property
    def name(self) -> str:
        """What to call it in a message."""

    @property
    def digest(self) -> str:
        """The SHA-256 of its bytes, in hexadecimal digits."""

    def lines(self) -> Iterator[LegacyLine | BadLine]:
        """
        Yield every line, in bounded memory.

        Raises `InputInvalid` at the end if the bytes were no longer those of the digest.
        """
