"""Writes to our own standard output and standard error, and nowhere else.

Rule 1: nothing but the answer goes to standard output; warnings and errors are single lines on
standard error that begin with `gesta: `.
Rule 2: text is made harmless before it is written; JSON keeps its meaning; stored bytes go out
as they are only where no terminal reads them, or where that was asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from adapters.cli.harmless import harmless, harmless_bytes, harmless_json, harmless_lines


def tell(text: str = "") -> None:
    """Print *text*, of one or several lines, to standard output."""
    _write(sys.stdout, harmless_lines(text) + "\n")


def tell_json(value: Any) -> None:
    """Print *value*, rows or what holds rows, as one line of JSON; see docs/json.md."""
    import msgspec

    from adapters.cli.shapes import json_shape

    text = msgspec.json.encode(json_shape(value)).decode()
    _write(sys.stdout, harmless_json(text) + "\n")


def tell_bytes(chunks: Iterable[bytes], *, raw: bool) -> None:
    """Print stored bytes: exactly, or harmless where a terminal reads them and *raw* is not set."""
    stdout = sys.stdout
    if raw or not is_terminal(stdout):
        stdout.flush()
        for chunk in chunks:
            stdout.buffer.write(chunk)
        stdout.buffer.flush()
        return
    for text in harmless_bytes(chunks):
        _write(stdout, text)


def warn(text: str) -> None:
    """Print one line to standard error; one that cannot be printed is no reason to stop."""
    try:
        _write(sys.stderr, f"gesta: {harmless(text)}\n")
        sys.stderr.flush()
    except OSError:
        return


def is_terminal(stream: TextIO) -> bool:
    """Say whether a person reads *stream*, with more than a typewriter."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    # A locale that cannot show a character shows its escape.
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
