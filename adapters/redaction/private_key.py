"""The lines of a private key, between its first line and its last.

Rule 1: the first and last lines are no secret and stay; what is taken out is what lies between.
Rule 2: a line belongs to the key if its last word is base64: there may be a time, a margin, a
quote around it. The key's last short line has as many words as the one before it.
Rule 3: after eight lines that do not belong there is no key any more.
"""

from __future__ import annotations

import re

_PATIENCE = 8
_LONG = 24
_MOST_WORDS = 8
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_ENDING = rb"-----END [A-Z0-9 ]*PRIVATE KEY|---- END [A-Z0-9 ]*PRIVATE KEY|Private-MAC:"
_AROUND = b"\"'`,;\\"


class PrivateKeyLines:
    """Where in a stream a private key may be, and which part of a line belongs to it."""

    def __init__(self) -> None:
        self._patience = 0
        self._words = 0

    @property
    def expected(self) -> bool:
        """Whether the next line may belong to a key."""
        return self._patience > 0

    def begin(self) -> None:
        """Expect a key from the next line on."""
        self._patience = _PATIENCE
        self._words = 0

    def take(self, line: bytes) -> tuple[int, int] | None:
        """Return which part of the next *line* belongs to the key; its end may be the line's."""
        ending = re.search(_ENDING, line)
        if ending is not None:
            self._patience = 0
            line = line[: ending.start()]
        words = line.split(None, _MOST_WORDS)
        material = _unquoted(words[-1]) if words else b""
        if not self._belongs(material, len(words)):
            self._patience = max(0, self._patience - 1)
            self._words = 0
            return None
        inside, self._words = self._words > 0, len(words)
        if ending is None:
            self._patience = _PATIENCE
        return 0 if inside else line.rindex(material), len(line)

    def pass_over(self) -> None:
        """Take note of a line that is too long to belong to a key."""
        self._patience = max(0, self._patience - 1)
        self._words = 0

    def _belongs(self, material: bytes, words: int) -> bool:
        if not material or material.translate(None, _BASE64):
            return False
        return len(material) >= _LONG or words == self._words


def _unquoted(word: bytes) -> bytes:
    word = word.strip(_AROUND)
    while word.endswith((b"\\n", b"\\r")):
        word = word[:-2].rstrip(_AROUND)
    return word


def ends_key(text: bytes) -> bool:
    """Say whether the last line of a private key is in *text*."""
    return re.search(_ENDING, text) is not None
