"""Upcasting: events of old shapes are read as today's, and their stored bytes stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from ledger import upcast as upcasting
from ledger.codec import TOPICS, commitment, decode
from ledger.events import LedgerCreated, SandboxCreated
from ledger.upcast import STEPS, Facts, is_old, upcast
from tests.ledger.vectors import Vector, load_vectors

OLD = [vector for vector in load_vectors() if is_old(vector.topic)]


def test_every_old_name_has_a_vector() -> None:
    """No old shape can be forgotten: its stored bytes are kept and read in tests."""
    assert set(STEPS) == {vector.topic for vector in OLD}


def old(topic: str) -> list[Vector]:
    """Return the vectors of one old shape."""
    return [vector for vector in OLD if vector.topic == topic]


def test_the_first_shape_of_a_sandbox_is_read_as_todays() -> None:
    """`sandbox.created.1` did not say what persists; it gets what was true of all of them then."""
    first, second = (decode(vector.row()) for vector in old("sandbox.created.1"))
    assert isinstance(first.event, SandboxCreated)
    assert isinstance(second.event, SandboxCreated)
    assert ("command", ("files",)) == (first.event.lifetime, first.event.persists)
    assert ("run", ("files", "processes")) == (second.event.lifetime, second.event.persists)


def test_the_second_shape_of_a_sandbox_is_read_as_todays() -> None:
    """`sandbox.created.2` did not say how soon it was had: that is not known."""
    for vector in old("sandbox.created.2"):
        event = decode(vector.row()).event
        assert isinstance(event, SandboxCreated)
        assert event.persists == tuple(json.loads(vector.facts)["event"]["persists"])
        assert event.startup_us is None


def test_a_ledger_from_before_keys_names_none() -> None:
    """`ledger.created.1` is read as today's, with no key."""
    (found,) = (decode(vector.row()) for vector in OLD if vector.topic == "ledger.created.1")
    assert isinstance(found.event, LedgerCreated)
    assert found.event.key is None


@pytest.mark.parametrize("vector", OLD, ids=lambda vector: vector.name)
def test_reading_an_old_event_leaves_its_name_and_bytes(vector: Vector) -> None:
    """What is read keeps the stored name; the facts stay as stored, and so does what they bind."""
    row = vector.row()
    record = decode(row)
    assert vector.topic == record.topic
    assert vector.facts.encode() == row.facts
    assert "startup_us" not in json.loads(row.facts)["event"]
    assert row.private is not None
    assert json.loads(row.facts)["commitment"] == commitment(row.private)


def test_every_old_name_leads_to_one_of_today() -> None:
    """Steps form no cycle, and each chain of them ends at a name in the registry."""
    for old in STEPS:
        seen, topic = [old], old
        while topic in STEPS:
            topic = STEPS[topic][0]
            assert topic not in seen
            seen.append(topic)
        assert topic in TOPICS


def test_a_step_leads_to_the_next_version_of_the_same_name() -> None:
    """A step changes the version by one and nothing else of the name."""
    for old, (new, _) in STEPS.items():
        name, version = old.rsplit(".", 1)
        assert f"{name}.{int(version) + 1}" == new


def test_no_old_name_is_still_written() -> None:
    """What has a step is only read: a name is written in one shape."""
    assert set() == set(STEPS) & set(TOPICS)
    assert [] == [topic for topic in STEPS if not re.fullmatch(r"[a-z_.]+\.\d+", topic)]


def test_steps_are_taken_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape two versions old takes both steps, in order."""

    def step(name: str) -> Callable[[Facts], Facts]:
        return lambda facts: {**facts, "taken": [*facts["taken"], name]}

    steps = {"tea.made.1": ("tea.made.2", step("a")), "tea.made.2": ("tea.made.3", step("b"))}
    monkeypatch.setattr(upcasting, "STEPS", steps)
    assert ("tea.made.3", {"taken": ["a", "b"]}) == upcast("tea.made.1", {"taken": []})
    assert ("tea.made.3", {"taken": ["b"]}) == upcast("tea.made.2", {"taken": []})
    assert ("tea.made.3", {"taken": []}) == upcast("tea.made.3", {"taken": []})


def test_a_step_does_not_change_what_it_was_given() -> None:
    """Steps return new facts; whoever holds the old ones keeps them."""
    for vector in OLD:
        facts = json.loads(vector.facts)["event"]
        upcast(vector.topic, facts)
        assert json.loads(vector.facts)["event"] == facts
