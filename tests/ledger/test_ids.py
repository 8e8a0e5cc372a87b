"""Ids: which names may become a path, a branch or a stream."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import IdInvalid, InputInvalid
from ledger.ids import check_id, named_stream, new_stream, run_name
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import FixedRandomness

LEDGER = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
GOOD = ["a", "T-123", "0", "v1.2_3-x", "a" * 64, "a.lockx", "lock", "a.b", "A-"]
BAD_FORM = [
    "",
    "../../x",
    "-a",
    ".a",
    "_a",
    "a" * 65,
    "a b",
    "a\tb",
    "a\0b",
    "a\n",
    "a/b",
    "a\\b",
    "é",
    "a~b",
    "a:b",
    "{a}",
]
BAD_END = ["a..b", "a.", "a.lock", "..a"[2:] + ".."]

ids = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
words = st.text(max_size=12)


@pytest.mark.parametrize("text", GOOD)
def test_a_good_id_is_returned_as_it_is(text: str) -> None:
    """Letters, digits, dots, underscores and dashes make an id, up to 64 of them."""
    assert text == check_id("task", text)


@pytest.mark.parametrize("text", [*BAD_FORM, None, 7, b"a"])
def test_an_id_of_another_form_is_refused_with_the_form(text: str) -> None:
    """The message names the value and what an id must be."""
    with pytest.raises(IdInvalid) as caught:
        check_id("run", text)
    assert (
        f"cannot accept run id {text!r}: it must be 1 to 64 letters, digits, '.', '_' or "
        "'-', beginning with a letter or digit" == str(caught.value)
    )


@pytest.mark.parametrize("text", BAD_END)
def test_an_id_that_git_would_refuse_is_refused(text: str) -> None:
    """No id holds two dots in a row, or ends in a dot or `.lock`."""
    with pytest.raises(InputInvalid) as caught:
        check_id("task", text)
    assert (
        f"cannot accept task id {text!r}: it must not contain '..' nor end in '.' or '.lock'"
        == str(caught.value)
    )


@given(text=words)
def test_no_accepted_id_leads_anywhere(text: str) -> None:
    """Whatever is accepted is one plain path component and a part of a branch's name."""
    try:
        check_id("task", text)
    except IdInvalid:
        return
    assert re.fullmatch(r"[A-Za-z0-9._-]+", text)
    assert text not in {".", ".."}
    assert not text.startswith(("-", "."))
    assert ".." not in text


@given(task=ids, run=ids, other_task=ids, other_run=ids)
def test_a_named_stream_is_the_pairs_own(
    task: str, run: str, other_task: str, other_run: str
) -> None:
    """The same ledger, task and run give the same stream, and no other pair does."""
    stream = named_stream(LEDGER, task, run)
    assert stream == named_stream(LEDGER, task, run)
    same_pair = (task, run) == (other_task, other_run)
    assert same_pair == (stream == named_stream(LEDGER, other_task, other_run))
    assert 5 == uuid.UUID(stream).version


def test_two_ledgers_have_different_streams_for_one_pair() -> None:
    """A stream id is unique everywhere: another ledger's run of the same names has another."""
    other = str(uuid.UUID(int=uuid.UUID(LEDGER).int + 1))
    assert named_stream(LEDGER, "T", "R") != named_stream(other, "T", "R")


@given(times=st.lists(st.integers(0, 2**50), min_size=2, max_size=5), seed=st.integers(0, 255))
def test_new_streams_sort_by_time(times: list[int], seed: int) -> None:
    """Streams made at different milliseconds sort as the times do, as text too."""
    randomness = FixedRandomness(seed)
    made = [(at // 1000, new_stream(FakeClock(at), randomness)) for at in sorted(times)]
    by_time = sorted(made, key=lambda pair: pair[0])
    assert [at for at, _ in by_time] == [at for at, _ in sorted(made, key=lambda pair: pair[1])]


def test_a_new_stream_is_a_uuid_of_version_7() -> None:
    """RFC 9562: version 7, variant 10, the time in milliseconds in the first 48 bits."""
    stream = uuid.UUID(new_stream(FakeClock(1_750_000_000_123_456), FixedRandomness(1)))
    assert (7, uuid.RFC_4122) == (stream.version, stream.variant)
    assert 1_750_000_000_123 == stream.int >> 80


def test_a_generated_run_name_is_a_valid_id_of_its_stream() -> None:
    """It is short, an id like any other, and two streams of one millisecond have two names."""
    clock, randomness = FakeClock(1_750_000_000_123_456), FixedRandomness(1)
    one, other = (run_name(new_stream(clock, randomness)) for _ in range(2))
    assert one == check_id("run", one)
    assert len("R-") + 9 + 5 == len(one)
    assert one[:11] == other[:11]
    assert one != other


@given(first=st.integers(0, 2**44), later=st.integers(1, 2**40))
def test_generated_run_names_sort_by_time(first: int, later: int) -> None:
    """Of two runs the one opened a millisecond or more later has the greater name."""
    randomness = FixedRandomness(2)
    one = run_name(new_stream(FakeClock(first), randomness))
    other = run_name(new_stream(FakeClock(first + later * 1000), randomness))
    assert one < other
