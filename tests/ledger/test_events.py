"""The events: past tense, frozen, keyword-only, documented, and all exported."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ledger import events as e
from ledger.events import UNSET, Event, Text
from tests.ledger.samples import SAMPLES
from tests.strategies import LEDGER_EVENTS, RUN_EVENTS

EVENTS = (*RUN_EVENTS, *LEDGER_EVENTS)
IRREGULAR = {"Found", "Lost", "Read", "Taken", "Written"}
of_every_event = pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)


def subclasses(kind: Any) -> Iterator[Any]:
    """Yield every class below *kind*."""
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def last_word(name: str) -> str:
    """Return the last word of a name in capitals and small letters."""
    start = max(index for index, letter in enumerate(name) if letter.isupper())
    return name[start:]


@of_every_event
def test_an_event_is_named_in_the_past_tense(kind: type[Event]) -> None:
    """Something has happened: the name ends in a participle (`CleanedUp` has it first)."""
    word = last_word(kind.__name__.removesuffix("Up").removesuffix("Out"))
    if kind is e.CommandTimedOut:
        word = "Timed"
    assert word.endswith("ed") or word in IRREGULAR


@of_every_event
def test_an_event_cannot_be_changed(kind: type[Event]) -> None:
    """Setting a field of an event raises."""
    event = next(one for one in SAMPLES.values() if type(one) is kind)
    with pytest.raises(AttributeError):
        setattr(event, event.__struct_fields__[0], "x")


@of_every_event
def test_an_event_is_said_by_keyword(kind: type[Event]) -> None:
    """No event is built from values whose meaning is their order."""
    with pytest.raises(TypeError, match="positional"):
        kind("x")


@of_every_event
def test_an_event_is_one_documented_sentence(kind: type[Event]) -> None:
    """Every class has a docstring of its own, on one line."""
    doc = inspect.cleandoc(kind.__dict__["__doc__"] or "")
    assert doc.endswith(".")
    assert 1 == len(doc.splitlines())


@of_every_event
def test_a_private_part_is_one_field_that_may_be_gone(kind: type[Event]) -> None:
    """What is private is the field `private`, of a class of texts, and unset by default."""
    for field in msgspec.structs.fields(kind):
        if field.name == "private":
            assert UNSET is field.default
        else:
            assert "Text" not in str(field.type)


def test_a_private_part_stands_nowhere_but_in_its_event() -> None:
    """Texts are classes of their own; no event is one, and no text an event."""
    assert set() == set(subclasses(Event)) & set(subclasses(Text))


def test_every_event_class_is_one_that_can_be_recorded() -> None:
    """No class of events is left out of the union but the superclass of the endings."""
    assert {*EVENTS, e.CommandEnding} == set(subclasses(Event))


def test_everything_is_exported_and_sorted() -> None:
    """Whoever imports `ledger.events` finds every event and text there."""
    exported = {getattr(e, name) for name in e.__all__}
    assert {*EVENTS, *subclasses(Text)} <= exported
    assert [*e.__all__] == sorted(e.__all__, key=lambda name: (not name.isupper(), name))


def test_every_event_has_a_sample() -> None:
    """Each kind is written out whole at least once."""
    assert set(EVENTS) == {type(event) for event in SAMPLES.values()}
