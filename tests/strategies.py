"""Hypothesis strategies: every event that can be on record, from the shapes of the classes.

Rule 1: a strategy follows the class: a field added to an event is generated the same day.
Rule 2: what is generated can be stored: integers below 2**53, text without lone surrogates.
"""

from __future__ import annotations

import typing
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from ledger import events as e
from ledger.events import UNSET, Event
from ledger.isolation import AXES, Axis, Isolation
from ledger.ostext import Bytes64, OsText, from_os
from ledger.recorded import Provenance
from ledger.rules import RuleFacts

S = TypeVar("S", bound=msgspec.Struct)

RUN_EVENTS: tuple[type[Event], ...] = typing.get_args(e.RunEvent)
LEDGER_EVENTS: tuple[type[Event], ...] = typing.get_args(e.LedgerEvent)
LARGEST_INTEGER = 2**53 - 1

words = st.text(max_size=8)
counts = st.integers(0, 50)
hexadecimal = st.binary(min_size=16, max_size=16).map(bytes.hex)
os_texts: st.SearchStrategy[OsText] = st.binary(max_size=8).map(
    lambda data: from_os(data.decode("utf-8", "surrogateescape"))
)
axes: st.SearchStrategy[tuple[Axis, ...]] = st.sets(st.sampled_from(AXES)).map(
    lambda some: tuple(axis for axis in AXES if axis in some)
)


def structs(kind: type[S]) -> st.SearchStrategy[S]:
    """Return a strategy for values of the struct *kind*."""
    info = typing.cast("inspect.StructType", inspect.type_info(kind))
    return typing.cast("st.SearchStrategy[S]", _of_type(info))


def events(*kinds: type[Event]) -> st.SearchStrategy[Any]:
    """Return a strategy for events of *kinds*, by default of every kind that a run can have."""
    return st.one_of([structs(kind) for kind in kinds or RUN_EVENTS])


def erased(event: Event) -> Any:
    """Return *event* as it is read when its private part is gone."""
    if not hasattr(event, "private"):
        return event
    return msgspec.structs.replace(event, private=UNSET)


def _of_type(info: inspect.Type) -> st.SearchStrategy[Any]:
    simple = _simple(info)
    if simple is not None:
        return simple
    match info:
        case inspect.UnionType(types=types):
            return st.one_of([_of_type(one) for one in types])
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.VarTupleType(item_type=item):
            return st.lists(_of_type(item), max_size=3).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of_type(key), _of_type(value), max_size=3)
        case inspect.StructType():
            return _struct(info)
    raise AssertionError(f"no strategy for {info}")


def _simple(info: inspect.Type) -> st.SearchStrategy[Any] | None:
    match info:
        case inspect.StrType():
            return words
        case inspect.IntType():
            return st.one_of(counts, st.integers(-LARGEST_INTEGER, LARGEST_INTEGER))
        case inspect.BoolType():
            return st.booleans()
        case inspect.FloatType():
            return st.floats(0, 1e9, allow_nan=False)
        case inspect.NoneType():
            return st.none()
        case _:
            return None


def _struct(info: inspect.StructType) -> st.SearchStrategy[Any]:
    if info.cls is Bytes64:
        return st.binary(max_size=6).map(
            lambda data: from_os((b"\xff" + data).decode("utf-8", "surrogateescape"))
        )
    fields = {}
    for field in info.fields:
        value = _of_type(field.type)
        if field.name == "private":
            value = st.one_of(st.just(UNSET), value)
        fields[field.name] = value
    return st.builds(info.cls, **fields)


isolations = structs(Isolation)
rule_facts = structs(RuleFacts)
provenances = structs(Provenance)
