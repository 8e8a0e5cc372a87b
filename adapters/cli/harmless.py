"""Makes text that a command, a file name or a person put on record harmless to a terminal.

Rule 1: whatever is printed for a person passes through here. Escape sequences, control
characters, bidirectional overrides, invisible characters and bytes that are not UTF-8 come out as
visible escapes (`\\x1b`, `\\u202e`, `\\xff`).
Rule 2: nothing is dropped and nothing is cut off.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

# Everything but printable ASCII is looked at; what Unicode calls printable stays.
_SUSPECT = re.compile(r"[^ -~]")
_SUSPECT_IN_LINES = re.compile(r"[^ -~\n\t]")


def harmless(text: str) -> str:
    """Return *text* on one line, with everything in it visible."""
    return text if text.isprintable() else _SUSPECT.sub(_visible, text)


def harmless_lines(text: str) -> str:
    """Return *text* with its line ends (CR LF as LF) and tabs, and everything else visible."""
    return _SUSPECT_IN_LINES.sub(_visible, text.replace("\r\n", "\n"))


def harmless_bytes(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the text of *chunks*, which may divide characters, like `harmless_lines`."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    held = ""
    for chunk in chunks:
        text = held + decoder.decode(chunk)
        # A CR at the end may be half of a line's end.
        held = "\r" if text.endswith("\r") else ""
        yield harmless_lines(text[: len(text) - len(held)])
    yield harmless_lines(held + decoder.decode(b"", final=True))


def harmless_json(text: str) -> str:
    """Return the JSON document *text* with the same meaning and no character but printable ones."""
    return _SUSPECT.sub(_json_escape, text)


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte that is not UTF-8, as Python holds it (PEP 383).
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
