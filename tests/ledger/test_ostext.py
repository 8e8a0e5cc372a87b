"""Text of the operating system: the same bytes come out that went in."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.ostext import Bytes64, OsText, from_os, to_os


@given(data=st.binary(max_size=40))
def test_bytes_survive_storing(data: bytes) -> None:
    """Whatever bytes the system had come back, also through JSON."""
    text = data.decode("utf-8", "surrogateescape")
    stored = msgspec.json.encode(from_os(text))
    found = msgspec.json.decode(stored, type=OsText)
    assert data == to_os(found).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("text", ["", "plain", "käse", "a\0b", "\N{SNOWMAN}"])
def test_what_is_utf8_stays_text(text: str) -> None:
    """Ordinary text is stored as it is read."""
    assert text == from_os(text)


def test_what_is_not_utf8_becomes_base64() -> None:
    """A byte that is not UTF-8 is kept as base64 of the whole."""
    assert Bytes64("YWL/") == from_os(b"ab\xff".decode("utf-8", "surrogateescape"))
