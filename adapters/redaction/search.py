"""Where in a stream the secrets are: every rule tried where its keyword stands, line by line.

Rule 1: what is found does not depend on how the stream is cut: a hit sees its line, or of a long
line the `WINDOW` bytes from it on, and the 64 bytes before it.
Rule 2: places are counted from the beginning of the stream.
Rule 3: a value that does not end within its window goes on to the next space or quote.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from adapters.redaction.judgement import JUDGES, MARKER, is_behind_marker
from adapters.redaction.keywords import Keywords
from adapters.redaction.private_key import PrivateKeyLines, ends_key
from adapters.redaction.rule_set import KNOWN, RuleSet

WINDOW = 16 * 1024
# Bytes that are looked at before a match, and before the keyword at most.
BEFORE = 64
# What was before a keyword in a long line and may still be asked for.
BEHIND = 2 * BEFORE + 64

_KEY_MATERIAL = "key-material"
_DELIMITER = rb"[\s\"'`<>]"
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
# A colour, an escape or a percent-encoded byte ends in a letter, but is of no word.
_ESCAPE = rb"(?:\x1b\[[0-9;]*[A-Za-z]|\\[abfnrtv]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2})\Z"


class Found(msgspec.Struct, frozen=True, order=True):
    """A part of the stream that is a secret to the rule of this *rank*; *tail* stays behind it."""

    start: int
    end: int
    rank: int
    tail: bytes = b""


class Stretch(msgspec.Struct, frozen=True):
    """
    Bytes *begin* to *end* of *data* are looked at; *base* is the place of *data* in the stream.

    In a long line *line* is where that line begins in *data*, which may be before it, and *ended*
    says whether *end* is its end.
    """

    data: bytes
    base: int
    begin: int
    end: int
    line: int | None = None
    ended: bool = True


class Search:
    """The search through one stream, stretch by stretch."""

    def __init__(self, rules: RuleSet, known: Keywords, overlap: int) -> None:
        self._rules = rules
        self._known = known
        self.overlap = overlap
        self.longest_known = known.longest
        self._keys = PrivateKeyLines()
        # By rule: up to where its last find goes. What begins in there is part of it.
        self._ends: dict[int, int] = {}
        # Values that have not ended yet: place and rank.
        self._unended: list[tuple[int, int]] = []

    def look(self, stretch: Stretch) -> list[Found]:
        """Return what is found in whole short lines, or in part of a long one."""
        found: list[Found] = []
        self._look_for_known(stretch, found)
        begun = self._look_for_keywords(stretch, found)
        if stretch.line is None:
            self._look_for_key_lines(stretch, begun, found)
            self._look_for_patterns(stretch, found)
        else:
            if begun:
                self._keys.begin()
            self._look_for_patterns_in_sections(stretch, found)
            self._look_for_ends(stretch, found)
        return found

    def enter_long_line(self) -> None:
        """Take note that a line begins which will be looked at in parts."""
        self._keys.pass_over()

    def _look_for_known(self, stretch: Stretch, found: list[Found]) -> None:
        data, base, begin, end = stretch.data, stretch.base, stretch.begin, stretch.end
        reach = self.overlap if stretch.line is None else self.longest_known
        rank = self._rules.rank[KNOWN]
        for start, stop, _ in self._known.find(data[begin : end + reach]):
            if start < end - begin and not self._is_in_marker(data, begin + start, begin + stop):
                value = data[begin + start : begin + stop]
                found.append(Found(base + begin + start, base + begin + stop, rank, _tail(value)))

    def _look_for_keywords(self, stretch: Stretch, found: list[Found]) -> list[int]:
        """Try the rules of every keyword; return where private keys begin."""
        begun = []
        data, begin, end = stretch.data, stretch.begin, stretch.end
        ahead = 0 if stretch.ended else self._rules.keywords.longest
        numbers = self._rules.of_keyword
        for place, _, index in self._rules.keywords.find(data[begin : end + ahead].lower()):
            at = begin + place
            if at >= end:
                break
            for number in numbers[index]:
                if self._try(number, stretch, at, found):
                    begun.append(at)
        return begun

    def _try(self, number: int, stretch: Stretch, at: int, found: list[Found]) -> bool:
        """Try a rule whose keyword stands at *at*; say whether a private key begins there."""
        rule = self._rules.rules[number]
        data, base, first = stretch.data, stretch.base, at - rule.back
        floor = _line_start(stretch, max(0, first - BEFORE), at)
        if first < floor or base + at < self._ends.get(number, 0):
            return False
        if rule.edge and not _is_at_edge(data, floor, first):
            return False
        stop = _line_end(stretch, at)
        match = self._rules.compiled(number).match(data[first:stop])
        if match is None:
            return False
        if rule.judge:
            span = JUDGES[rule.judge](data[floor:first], match)
        else:
            span = match.span(1 if match.re.groups else 0)
        # Nothing is found across a marker: whoever redacted the text has looked at it before.
        if span and span[0] < span[1] and not re.search(MARKER, data[first : first + span[0]]):
            start, end, rank = first + span[0], first + span[1], self._rules.rank[rule.name]
            self._ends[number] = base + end
            found.append(Found(base + start, base + end, rank))
            if end == stop and stop - at == WINDOW and stretch.line is not None:
                self._unended.append((base + end, rank))
        return rule.judge == _KEY_MATERIAL and not ends_key(data[first:stop])

    def _look_for_key_lines(self, stretch: Stretch, begun: list[int], found: list[Found]) -> None:
        data, base, at, end = stretch.data, stretch.base, stretch.begin, stretch.end
        rank = self._rules.rank.get("private-key", 0)
        begun.reverse()
        while at < end and (begun or self._keys.expected):
            if not self._keys.expected:
                at = data.rfind(b"\n", at, begun[-1]) + 1 or at
            stop = data.find(b"\n", at, end) + 1 or end
            begins_here = False
            while begun and begun[-1] < stop:
                begins_here = begun.pop() >= at
            if begins_here:
                self._keys.begin()
            elif self._keys.expected:
                line = data[at:stop].rstrip(b"\r\n")
                part = self._keys.take(line)
                if part is not None:
                    whole = part[1] == len(line)
                    until = stop if whole else at + part[1]
                    tail = data[at + part[1] : stop] if whole else b""
                    found.append(Found(base + at + part[0], base + until, rank, tail))
            at = stop

    def _look_for_patterns(self, stretch: Stretch, found: list[Found]) -> None:
        data, base, begin, end = stretch.data, stretch.base, stretch.begin, stretch.end
        for rank, expression in self._rules.policy:
            self._look_for_pattern(expression, data[begin:end], base + begin, rank, found)

    def _look_for_patterns_in_sections(self, stretch: Stretch, found: list[Found]) -> None:
        data, base, begin, end = stretch.data, stretch.base, stretch.begin, stretch.end
        for rank, expression in self._rules.policy:
            for start in range(begin, end, WINDOW):
                stop = min(start + 2 * WINDOW, end if stretch.ended else len(data))
                section: list[Found] = []
                self._look_for_pattern(expression, data[start:stop], base + start, rank, section)
                found += [one for one in section if one.start < base + start + WINDOW]

    def _look_for_pattern(
        self, expression: Any, data: bytes, base: int, rank: int, found: list[Found]
    ) -> None:
        for match in expression.finditer(data):
            start, stop = match.span()
            if start < stop and not self._is_in_marker(data, start, stop):
                found.append(Found(base + start, base + stop, rank))

    def _look_for_ends(self, stretch: Stretch, found: list[Found]) -> None:
        """Follow values that are longer than a window to their ends."""
        unended, self._unended = self._unended, []
        for place, rank in unended:
            at = place - stretch.base
            if at < stretch.end:
                delimiter = re.search(_DELIMITER, stretch.data[at : stretch.end])
                at = at + delimiter.start() if delimiter else stretch.end
                found.append(Found(place, stretch.base + at, rank))
                if delimiter:
                    continue
            if not stretch.ended:
                self._unended.append((stretch.base + at, rank))

    def _is_in_marker(self, data: bytes, start: int, stop: int) -> bool:
        """Say whether what was found is within a marker of ours, which may stay."""
        floor = max(0, start - BEFORE)
        opened = data.rfind(b"[", floor, start + 1)
        if opened < 0:
            return False
        marker = re.match(MARKER, data[opened : stop + BEFORE])
        if marker is None or opened + marker.end() < stop:
            return False
        name = marker.group()[len(b"[redacted:") : -1].decode()
        return marker.group() == b"[withheld]" or name in self._rules.rank


def _line_start(stretch: Stretch, floor: int, at: int) -> int:
    """Return where the line of *at* begins, or *floor* if that is nearer."""
    if stretch.line is not None:
        return max(floor, stretch.line)
    floor = max(floor, stretch.begin)
    return max(floor, stretch.data.rfind(b"\n", floor, at) + 1)


def _line_end(stretch: Stretch, at: int) -> int:
    """Return where the line of *at* ends, or its window."""
    if stretch.line is None:
        stop = stretch.data.find(b"\n", at, stretch.end)
        return stretch.end if stop < 0 else stop
    limit = min(at + WINDOW, len(stretch.data))
    stop = stretch.data.find(b"\n", at, limit)
    return limit if stop < 0 else stop


def _is_at_edge(data: bytes, floor: int, at: int) -> bool:
    if at in (0, floor) or data[at - 1] not in _WORD:
        return not is_behind_marker(data[floor:at])
    return re.search(_ESCAPE, data[max(floor, at - 16) : at]) is not None


def _tail(value: bytes) -> bytes:
    if value.endswith(b"\r\n"):
        return b"\r\n"
    return b"\n" if value.endswith(b"\n") else b""
