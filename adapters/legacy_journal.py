"""Reads a journal of the replaced system: `journal/events.jsonl`, one JSON object a line.

Rule 1: every line is accounted for, by its number; what is wrong with a bad one is said.
Rule 2: memory is bounded: by `LONGEST_LINE`, and by the digests of the last `REMEMBERED` lines,
among which a duplicate is found.
Rule 3: members are taken as they stand: a payload is the very bytes of its JSON.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from ledger.errors import InputInvalid
from ledger.legacy import BadLine, BadReason, LegacyLine, Spelling
from projections.legacy_names import is_known

LONGEST_LINE = 4 * 1024 * 1024
LONGEST_WORD = 1024
REMEMBERED = 100_000

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


class JournalFile:
    """
    The journal at *path*; it satisfies `ledger.legacy.LegacyJournal`.

    Raises `InputInvalid` if it cannot be read, or is no regular file: it is read twice.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        digest = hashlib.sha256()
        with self._open() as file:
            while piece := self._read(file, 1024 * 1024):
                digest.update(piece)
        self.digest = digest.hexdigest()

    def lines(self) -> Iterator[LegacyLine | BadLine]:
        """Yield every line; raises `InputInvalid` if the file has changed meanwhile."""
        digest = hashlib.sha256()
        seen = _Seen()
        with self._open() as file:
            number = 0
            while data := self._read_line(file, LONGEST_LINE + 1):
                number += 1
                digest.update(data)
                if len(data) > LONGEST_LINE and not data.endswith(b"\n"):
                    while (rest := self._read_line(file, 65536)) and not rest.endswith(b"\n"):
                        digest.update(rest)
                    digest.update(rest)
                    yield _bad(number, "too_long", f"it is longer than {LONGEST_LINE} bytes")
                elif earlier := seen.add(number, data):
                    yield _bad(number, "duplicate", f"it is line {earlier} once more")
                else:
                    yield parse_line(number, data)
        if digest.hexdigest() != self.digest:
            raise InputInvalid(
                f"cannot import {self.name} whole: it changed while it was read; import it again "
                "when nothing writes to it"
            )

    def _open(self) -> BinaryIO:
        try:
            # A pipe must not be waited for.
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            file = os.fdopen(fd, "rb")
        except OSError as error:
            raise InputInvalid(f"cannot import {self.name}: {error.strerror}") from error
        except ValueError as error:
            # A NUL, which no path can have.
            raise InputInvalid(f"cannot import {self.name!r}: {error}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            file.close()
            raise InputInvalid(f"cannot import {self.name}: it is not a regular file")
        return file

    def _read(self, file: BinaryIO, size: int) -> bytes:
        try:
            return file.read(size)
        except OSError as error:
            raise InputInvalid(f"cannot import {self.name}: {error.strerror}") from error

    def _read_line(self, file: BinaryIO, size: int) -> bytes:
        try:
            return file.readline(size)
        except OSError as error:
            raise InputInvalid(f"cannot import {self.name}: {error.strerror}") from error


class _Seen:
    """The last lines, by digest: of one that comes again it knows the number."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._order: deque[bytes] = deque()

    def add(self, number: int, data: bytes) -> int | None:
        """Remember a line; return the number of the same line before it, if there was one."""
        line = data.rstrip(b"\r\n")
        if not line:
            return None
        key = hashlib.blake2b(line, digest_size=16).digest()
        if (earlier := self._numbers.get(key)) is not None:
            return earlier
        self._numbers[key] = number
        self._order.append(key)
        if len(self._order) > REMEMBERED:
            del self._numbers[self._order.popleft()]
        return None


def parse_line(number: int, data: bytes) -> LegacyLine | BadLine:
    """Return what line *number* says; without a line feed at its end it may have been torn."""
    line = data.strip()
    if not line:
        return _bad(number, "empty", "it is empty")
    try:
        line.decode()
        members = _decoder.decode(line)
    except UnicodeDecodeError as error:
        return _bad(number, "not_utf8", f"byte {error.start + 1} is not UTF-8")
    except msgspec.ValidationError:
        return _bad(number, "not_an_object", "it is JSON, but no object")
    except (msgspec.DecodeError, RecursionError) as error:
        if not data.endswith(b"\n"):
            return _bad(number, "torn", "the file ends in the middle of it")
        return _bad(number, "not_json", f"it is not JSON: {error}")
    return _line(number, members)


def _line(number: int, members: dict[str, msgspec.Raw]) -> LegacyLine | BadLine:
    raw = members.pop("event_type", None)
    type = _word(raw) if raw is not None and bytes(raw)[:1] == b'"' else None
    if not type:
        return _bad(number, "no_event_type", "it has no event_type")
    time, trace = (_word(members.pop(name, None)) for name in ("timestamp", "trace_id"))
    if any(len(word or "") > LONGEST_WORD for word in (type, time, trace)):
        return _bad(number, "too_long", f"a name in it is longer than {LONGEST_WORD} characters")
    spelling: Spelling = "neither"
    if "payload" in members:
        spelling = "payload"
    elif "data" in members:
        spelling = "data"
    payload = members.pop(spelling, None)
    return LegacyLine(
        number=number,
        type=type,
        is_known=is_known(type),
        time=time,
        trace=trace,
        spelling=spelling,
        payload=None if payload is None else bytes(payload),
        others=msgspec.json.encode(members) if members else None,
    )


def _word(raw: msgspec.Raw | None) -> str | None:
    """Return a member's text; of one that is no text the JSON, and of none or null `None`."""
    if raw is None:
        return None
    try:
        return _text.decode(raw)
    except msgspec.ValidationError:
        words = bytes(raw).decode()
        return None if words == "null" else words


def _bad(number: int, reason: BadReason, message: str) -> BadLine:
    return BadLine(number=number, reason=reason, message=message)
