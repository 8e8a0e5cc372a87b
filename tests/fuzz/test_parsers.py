"""No input makes a parser fail in any way but its own.

By default a few hundred inputs a parser; `GESTA_FUZZ=100000` tries so many.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, parse

EXAMPLES = int(os.environ.get("GESTA_FUZZ", "150"))
NASTY = (
    b"\0", b"\xff", b'"\xff"', b'"\\ud800"', b"\n", b"\r\n", b" ", b"\t", b"/", b"..", b"-1",
    b"9" * 5000, b"1e999", b"[" * 2000, b'{"a":' * 2000, b'{"unknown":' + b"[" * 2000, b"null",
    b"\xe2\x80\xae", b"\xed\xa0\x80", b"=", b"+", b"A" * 300, "\u0661".encode(),
    "\u2028".encode(), b"NaN", b"0x1", b"\x1b[2J",
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Return one of *seeds* with pieces cut out, doubled, moved or replaced by what is nasty."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        piece = draw(
            st.one_of(st.binary(max_size=8), st.sampled_from(NASTY), st.just(data[start:end] * 2))
        )
        data = data[:start] + piece + data[end:]
    return data


def inputs(name: str) -> st.SearchStrategy[bytes]:
    """Return what the parser *name* is fed with: right, nearly right and anything at all."""
    seeds = TARGETS[name].seeds
    anything = [st.binary(max_size=600), st.text(max_size=200).map(lambda text: text.encode())]
    joined = st.lists(st.sampled_from((*NASTY, *seeds)), max_size=5).map(b"".join)
    return st.one_of(*anything, joined, mutated(seeds), mutated(seeds))


@pytest.mark.timeout(0 if EXAMPLES > 1000 else 120)
@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_fails_in_no_other_way_than_its_own(name: str) -> None:
    """Whatever it is fed with, it returns, or raises what it says it raises."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(data=inputs(name))
    def feed(data: bytes) -> None:
        parse(name, data)

    feed()


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_nasty_by_itself_is_met_by_every_parser(name: str) -> None:
    """Every nasty piece alone, repeated, and in front of and behind what is right."""
    for piece in NASTY:
        for data in (
            piece,
            piece * 50,
            *(part for seed in TARGETS[name].seeds for part in (piece + seed, seed + piece)),
        ):
            parse(name, data)


@pytest.mark.parametrize("name", ["backup archive", "journal", "spooled outcome", "result of E2B"])
def test_what_is_right_is_read_to_its_end(name: str) -> None:
    """The inputs that others are made from pass, so that what is nearly right gets as far."""
    for seed in TARGETS[name].seeds:
        TARGETS[name].parse(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_a_right_input_cut_anywhere_is_met_by_every_parser(name: str) -> None:
    """Each beginning of what is right, byte by byte."""
    for seed in TARGETS[name].seeds:
        for end in range(0, len(seed), max(1, len(seed) // 400)):
            parse(name, seed[:end])
