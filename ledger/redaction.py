"""What the record needs of whoever takes secrets out of it: the port `Redactor`, and its answers.

Rule 1: nothing is recorded that did not pass through here; what a person sees live does not.
Rule 2: in place of a secret stands `[redacted:RULE]`: no digest of it, no length.
Rule 3: it fails closed. A rule that cannot be applied is raised, never passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Redacted(msgspec.Struct, Generic[T], frozen=True):
    """What may be recorded, and how often each rule took something out of it."""

    value: T
    counts: dict[str, int]


class RedactingStream(Protocol):
    """
    Takes secrets out of one stream of bytes, in bounded memory.

    However the bytes are cut into pieces, the same bytes come out and the same counts.
    """

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what can no longer become part of a secret."""

    def finish(self) -> bytes:
        """Return the rest; nothing may be fed afterwards."""

    @property
    def counts(self) -> dict[str, int]:
        """How often each rule took something out; whole once `finish` has returned."""


class Redactor(Protocol):
    """
    Takes recognised secrets out of what is about to be recorded.

    What is redacted once stays as it is when it is redacted again. Every method may be called
    from several threads; a stream belongs to one.
    """

    @property
    def rules(self) -> tuple[str, ...]:
        """The names that markers and counts use, in order of precedence."""

    @property
    def digest(self) -> str:
        """SHA-256 of the rule set, the policy's patterns included; of known values nothing."""

    @property
    def left_alone(self) -> tuple[str, ...]:
        """Names of secret-looking variables whose values are too short to look for."""

    def knowing(self, environment: Mapping[str, str]) -> Redactor:
        """Return one that also knows the values of *environment* that look like secrets."""

    def stream(self) -> RedactingStream:
        """Return a stream that is redacted from its first byte."""

    def text(self, text: str) -> Redacted[str]:
        """Redact a message, name or path; bytes that are no text stay (PEP 383)."""

    def data(self, data: bytes) -> Redacted[bytes]:
        """Redact a whole file or patch that is in memory anyhow."""

    def argv(self, argv: Sequence[str]) -> Redacted[tuple[str, ...]]:
        """Redact a command, word for word: by the flags that take secrets, then as text."""

    def environment(self, environment: Mapping[str, str]) -> Redacted[dict[str, str]]:
        """Withhold the values of secret-looking names whole, and redact the others as text."""
