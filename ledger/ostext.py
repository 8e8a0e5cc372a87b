"""Text that the operating system gave us: usually UTF-8, sometimes only bytes.

Rule 1: bytes go in and the same bytes come out; what is not UTF-8 is kept as `{"b64": …}`.
"""

from __future__ import annotations

import base64

import msgspec

from ledger.errors import InputInvalid


class Bytes64(msgspec.Struct, frozen=True):
    """Bytes that are not UTF-8, in base64 (RFC 4648 §4)."""

    b64: str


OsText = str | Bytes64


def from_os(text: str) -> OsText:
    """Return *text*, which may hold bytes as surrogates (PEP 383), in the form we store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return Bytes64(base64.b64encode(text.encode("utf-8", "surrogateescape")).decode())
    return text


def check_os(what: str, text: str) -> None:
    """
    Raise `InputInvalid` unless the operating system can take *text*.

    *what* is the noun for the message.
    """
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InputInvalid(f"cannot accept {what} {text!r}: it is not text") from None
    if "\0" in text:
        raise InputInvalid(f"cannot accept {what} {text!r}: it holds a NUL character")


def to_os(text: OsText) -> str:
    """Return what `from_os` was given."""
    if isinstance(text, Bytes64):
        return base64.b64decode(text.b64).decode("utf-8", "surrogateescape")
    return text
