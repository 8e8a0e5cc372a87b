"""Nothing that was recorded acts on the terminal that shows it."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adapters.cli.harmless import harmless, harmless_bytes, harmless_json, harmless_lines

texts = st.text(st.characters(codec=None, categories=None), max_size=30)


def test_what_could_act_on_a_terminal_is_written_out():
    """Escapes, control characters, overrides, invisible ones and bytes are visible."""
    assert r"\x1b[31m \x07 \x7f \x9b \u202e \u200b \U000e0041 \xff \x0a" == harmless(
        "\x1b[31m \x07 \x7f \x9b \u202e \u200b \U000e0041 \udcff \n"
    )


def test_what_people_write_stays():
    """Letters of every script, signs and symbols are no danger."""
    assert "Zoë écrit — 日本語 ✓ →" == harmless("Zoë écrit — 日本語 ✓ →")


def test_lines_keep_their_ends_and_tabs():
    """CR LF is a line's end; a CR alone would overwrite the line."""
    assert "a\tb\nc\\x0dd\n" == harmless_lines("a\tb\r\nc\rd\n")


@given(texts)
def test_nothing_is_left_that_is_not_printable(text: str):
    """Whatever goes in, what comes out cannot act."""
    assert harmless(text).isprintable()
    assert harmless_lines(text).replace("\n", "").replace("\t", "").isprintable()


@given(texts)
def test_making_harmless_twice_is_making_it_once(text: str):
    """What is harmless stays as it is."""
    assert harmless(text) == harmless(harmless(text))


@given(st.binary(max_size=40), st.lists(st.integers(0, 40)))
def test_where_bytes_are_divided_makes_no_difference(data: bytes, cuts: list[int]):
    """Characters and line ends that two chunks share come out as from one."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(edges)]
    assert "".join(harmless_bytes([data])) == "".join(harmless_bytes(chunks))
    assert harmless_lines(data.decode("utf-8", "surrogateescape")) == "".join(
        harmless_bytes([data])
    )


@given(st.text(max_size=30))
def test_json_keeps_its_meaning(text: str):
    """Escaped characters are the same characters to whoever parses them."""
    document = harmless_json(json.dumps(text, ensure_ascii=False))
    assert document.isprintable()
    assert text == json.loads(document)
