"""Whether what stands where a secret would stand is one: the last word on a match.

Rule 1: what only stands for a secret is none: a variable, a template, a placeholder, stars.
Rule 2: a place that is certain (a flag, `NAME=` in capitals, a query) takes any other value; one
that is not takes what looks drawn, not chosen.
Rule 3: a value with a marker in it has been judged before, and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import msgspec

from adapters.redaction.names import names_secret

# Patterns are compiled when they are first used (`re` keeps them): most commands need none.
MARKER = rb"\[redacted:[a-z0-9-]+\]|\[withheld\]"

Span = tuple[int, int]


class Match(Protocol):
    """What `re` and `re2` return of a match over bytes."""

    def span(self, group: int = 0, /) -> Span:
        """Where the group matched; (-1, -1) if it did not."""

    def group(self, group: int = 0, /) -> bytes | None:
        """What the group matched."""


Judge = Callable[[bytes, Match], Span | None]

_TEMPLATE = (
    rb"\$[A-Za-z_{(]|\{\{|\{[A-Za-z_][\w.!:]*\}|%[({sdrq]|<[A-Za-z_][\w .-]*>|\["
    rb"|\(\?|#[0-9A-Fa-f]{3,8}\Z"
)
_PLACEHOLDER = (
    rb"(?is)(?:(?:(?:your|my|the|some|a|new|old|test|fake|dummy)[-_ ]?)?"
    rb"(?:(?:api|auth|access|secret)[-_ ]?)?"
    rb"(?:keys?|tokens?|pass|passwo?rds?|passwd|pwd?|secrets?|user|username|changeme|example)"
    rb"|null|none|nil|true|false|yes|no|on|off|undefined|empty|unset|default|required|optional"
    rb"|string|str|text|value|bytes|int|bool|any|object|hidden|masked|[*.x-]+|.*\.\.\.)"
)
_NAME_TAIL = rb"[0-9A-Za-z_.-]*\Z"
_SIGNS = frozenset(b"!@#$%^&*+=~?")
_NO_LETTERS_OR_DIGITS = rb"[^0-9A-Za-z]+"
# Where a bare value ends: an escaped end of line, in a sentence or in code also these.
_LINE_ENDS = rb"\\+[nr]"
_CUT = rb"[,;&|<>(){}]|\[(?!redacted:|withheld)|\\+[nr]"
_EXPRESSION = rb"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?:[\[(,)]|\Z)"
_CALLS = frozenset([b"(", b"[", b"{"])


def is_behind_marker(before: bytes) -> bool:
    """Say whether *before* ends with a marker."""
    return before.endswith(b"]") and re.search(rb"(?:" + MARKER + rb")\Z", before) is not None


def is_filled(value: bytes) -> bool:
    """Say whether *value* is more than a stand-in for a secret."""
    rest = value.strip(b"\"' \t\\")
    if not rest or re.search(MARKER, rest):
        return False
    return not (re.match(_TEMPLATE, rest) or re.fullmatch(_PLACEHOLDER, rest))


def is_opaque(value: bytes) -> bool:
    """Say whether *value* is one word with letters in it, and digits or signs."""
    rest = value.strip()
    if len(rest) < 6 or b" " in rest or not is_filled(rest):
        return False
    letters = any(65 <= byte & 0xDF <= 90 for byte in rest)
    return letters and any(48 <= byte <= 57 or byte in _SIGNS for byte in rest)


def is_drawn(value: bytes) -> bool:
    """Say whether a part of *value* looks drawn by lot: eight or more letters and digits."""
    parts = re.split(_NO_LETTERS_OR_DIGITS, value)
    return any(map(_is_drawn_part, parts)) and is_filled(value)


def _is_drawn_part(part: bytes) -> bool:
    digits = sum(48 <= byte <= 57 for byte in part)
    if len(part) < 8 or digits == len(part):
        return False
    return digits > 1 or (len(part) >= 24 and digits == 1)


class _Place(msgspec.Struct, frozen=True):
    """Where an assignment stands: the whole name, what is before it, what is behind it."""

    name: str
    before: bytes
    separator: bytes

    @property
    def is_in_capitals(self) -> bool:
        return self.separator == b"=" and self.name.isupper()

    @property
    def is_certain(self) -> bool:
        """Whether the place alone makes it a secret: a flag, a query, a variable in capitals."""
        if self.separator.strip() != b"=":
            return False
        asked = self.separator == b"=" and self.before.endswith((b"?", b"&", b";"))
        return asked or self.is_in_capitals or self.name.startswith("--")


def _judge_assignment(before: bytes, match: Match) -> Span | None:
    separator = match.group(3) or b""
    if separator.isspace() and b"--" not in before:
        # A word in a sentence, which is what most of these are.
        return None
    place = _place(before, match.group(1) or b"", separator)
    if place is None or not names_secret(place.name, certain=place.is_certain):
        return None
    for group in (4, 5, 6, 7):
        quoted = match.group(group)
        if quoted is not None:
            # In backquotes stands a name in a sentence, more often than not.
            says = _is_long_enough if place.is_certain and group != 7 else is_opaque
            return match.span(group) if says(quoted) else None
    return _judge_bare(place, match.group(8) or b"", match.span(8))


def _place(before: bytes, noun: bytes, separator: bytes) -> _Place | None:
    """Return the place of the name that ends in *noun*; none of a name that a marker is part of."""
    tail = re.search(_NAME_TAIL, before)
    assert tail is not None
    start = max(tail.start(), before.rfind(b"--"))
    if is_behind_marker(before[:start]):
        return None
    return _Place((before[start:] + noun).decode("latin-1"), before[:start], separator)


def _judge_bare(place: _Place, value: bytes, span: Span) -> Span | None:
    """Judge a value without quotes, which in code is an expression and in a message a word."""
    cut = re.search(_LINE_ENDS if place.is_in_capitals else _CUT, value)
    rest = value[cut.start() :] if cut else b""
    if re.match(_EXPRESSION, value) or rest[:1] in _CALLS:
        return None
    value = value[: len(value) - len(rest)]
    if place.separator.isspace():
        says = is_opaque if place.name.startswith("--") else _is_never
    elif place.separator == b">":
        is_element = place.before.endswith((b"<", b":")) and rest.startswith(b"</")
        says = is_opaque if is_element else _is_never
    elif place.is_certain:
        says = _is_long_enough
    elif re.search("(?i)pass(?:word|wd|phrase)s?$", place.name) and b"." not in value:
        says = is_opaque
    else:
        says = is_drawn
    return (span[0], span[0] + len(value)) if says(value) else None


def _is_long_enough(value: bytes) -> bool:
    return len(value) >= 4 and value[:1] not in b" ,)" and is_filled(value)


def _is_never(_: bytes) -> bool:
    return False


def _judge_connection(before: bytes, match: Match) -> Span | None:
    """Judge `Pwd=` as in a connection string, where it follows a semicolon."""
    follows = before.rstrip().endswith(b";")
    return match.span(1) if follows and is_filled(match.group(1) or b"") else None


def _judge_key_material(_: bytes, match: Match) -> Span | None:
    """Judge what follows the first line of a private key on the same line."""
    start = match.span(1)[0]
    material = (match.group(1) or b"").rstrip(b" \t\\")
    return (start, start + len(material)) if len(material) >= 24 else None


def _judge_value(says: Callable[[bytes], bool]) -> Judge:
    return lambda _, match: match.span(1) if says(match.group(1) or b"") else None


JUDGES: dict[str, Judge] = {
    "assignment": _judge_assignment,
    "connection": _judge_connection,
    "drawn": _judge_value(is_drawn),
    "filled": _judge_value(is_filled),
    "key-material": _judge_key_material,
    "opaque": _judge_value(is_opaque),
}
