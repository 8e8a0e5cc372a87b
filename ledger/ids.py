"""Checked names: nothing else may become a path, a branch or a stream.

Rule 1: task and run ids are `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, without `..`, not ending in `.` or
`.lock` (git refuses such branch names, and other file systems strip the dot).
Rule 2: opening the same task and run twice is a version conflict, because the stream id of a
named run derives from the ledger and both names.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from ledger.errors import IdInvalid

if TYPE_CHECKING:
    from ledger.ports import Clock, Randomness

_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


def check_id(what: str, text: str) -> str:
    """
    Return *text* if it may name a task or a run.

    *what* is the noun for the message: `task` or `run`.

    Raises `IdInvalid` for everything else, before anything is written.
    """
    if not isinstance(text, str) or not _FORM.fullmatch(text):
        raise IdInvalid(
            f"cannot accept {what} id {text!r}: it must be 1 to 64 letters, digits, '.', '_' or "
            "'-', beginning with a letter or digit"
        )
    if ".." in text or text.endswith((".", ".lock")):
        raise IdInvalid(
            f"cannot accept {what} id {text!r}: it must not contain '..' nor end in '.' or '.lock'"
        )
    return text


def named_stream(ledger_id: str, task: str, run: str) -> str:
    """Return the stream id of a run whose task and run ids the caller chose (RFC 9562, UUIDv5)."""
    return str(uuid.uuid5(uuid.UUID(ledger_id), f"{task}/{run}"))


def imported_stream(ledger_id: str, task: str, digest: str) -> str:
    """
    Return the stream id of an imported journal: of the ledger, the task and the file's digest.

    No run has it, because no run id is empty. It does not tell what was in the file; whoever has
    that very file can tell that it was imported.
    """
    return str(uuid.uuid5(uuid.UUID(ledger_id), f"{task}//{digest}"))


def new_stream(clock: Clock, randomness: Randomness) -> str:
    """Return a fresh stream id that sorts by time (RFC 9562, UUIDv7)."""
    milliseconds = clock.now() // 1000
    tail = int.from_bytes(randomness.bytes(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | tail
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def run_name(stream: str) -> str:
    """
    Return the run id that a generated *stream* gets: short, sortable by time, and its own.

    Nine characters hold the time in milliseconds, five hold 25 random bits.
    """
    value = uuid.UUID(stream).int
    return "R-" + _base32(value >> 80, 9) + _base32(value & (1 << 25) - 1, 5)


def _base32(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        digits.append(_BASE32[digit])
    return "".join(reversed(digits))
