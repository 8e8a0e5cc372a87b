"""The fast ways of checking an event say what the ordinary ones say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import commitment
from ledger.event_check import EventCheck
from ledger.merkle import EMPTY as NOTHING
from ledger.merkle import HASH_SIZE, extend, root, root_of
from ledger.sealing import leaf_of
from ledger.store import PrivatePart, ScannedRow
from tests.ledger.vectors import load_vectors

PART = PrivatePart(b"s" * 16, b"{}")
words = st.text(st.characters(codec="utf-8"), max_size=30)


def row(stream: str, topic: str, facts: bytes, part: PrivatePart = PART) -> ScannedRow:
    """Return a row as an honest writer stores it."""
    return 0, stream, 0, topic, facts, leaf_of(stream, 0, topic, facts), part.salt, part.body


def counted(scanned: ScannedRow) -> dict[str, int]:
    """Return what is found wrong with one row."""
    check = EventCheck(lambda stream, count: [])
    check.check([scanned])
    return {str(kind): count for kind, count in check.result().counted.items()}


@given(words, words, st.one_of(st.none(), words, st.just("a" * 32)), words)
def test_whatever_a_stream_and_a_topic_are_called_the_leaf_is_the_ordinary_one(
    stream: str, topic: str, cause: str | None, more: str
) -> None:
    """Quotes, escapes and other alphabets too; and the commitment is where JSON says it is."""
    said = {"cause": cause, "commitment": commitment(PART), "more": more}
    facts = json.dumps(said, separators=(",", ":")).encode()
    scanned = row(f"s{stream}", f"t{topic}", facts)
    assert {} == counted(scanned)
    assert {"invalid": 1} == counted((*scanned[:7], b"other"))


@pytest.mark.parametrize("vector", load_vectors(), ids=lambda vector: vector.name)
def test_every_golden_event_is_as_it_was_recorded(vector) -> None:
    """Of today's shape and of earlier ones; and with its private part changed it is not."""
    stored = vector.row()
    assert stored.private is not None
    topic, facts = stored.topic, stored.facts
    if topic.startswith(("run.sealed", "sandbox.")):
        topic = "other.1"
    scanned = row("s", topic, facts, stored.private)
    assert {} == counted(scanned)
    assert {"invalid": 1} == counted((*scanned[:6], b"other salt", scanned[7]))
    assert {"missing": 1} == counted((*scanned[:6], None, None))


@pytest.mark.parametrize("place", range(1, 8))
@pytest.mark.parametrize("value", [None, "text", b"bytes", 7, 1.5, b"", "é"])
def test_whatever_stands_in_a_column_is_a_finding_and_no_crash(place: int, value: object) -> None:
    """A file that somebody else writes to has any type anywhere."""
    facts = json.dumps({"cause": None, "commitment": commitment(PART)}).encode()
    honest = row("s", "t", facts)
    if value == honest[place]:
        return
    changed: list[Any] = [*honest]
    changed[place] = value
    check = EventCheck(lambda stream, count: [])
    scanned: Any = tuple(changed)
    check.check([scanned])
    result = check.result()
    assert HASH_SIZE == len(result.leaves)
    assert result.counted


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_root_over_leaves_in_hand_is_that_of_the_tree(leaves: list[bytes]) -> None:
    """Level by level or leaf by leaf."""
    assert root(extend(NOTHING, leaves)) == root_of(leaves)
