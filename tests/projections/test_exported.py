"""A stored event as other tools take it."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import event_leaf
from ledger.store import PrivatePart, Row
from projections.exported import COLUMNS, export_cells, export_json
from tests.ledger.vectors import Vector, load_vectors

VECTORS = load_vectors()
of_every_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one.name)


def cells(row: Row) -> dict[str, str]:
    """Return the cells of a row by their columns."""
    return dict(zip(COLUMNS, export_cells(row), strict=True))


@of_every_vector
def test_stored_bytes_are_passed_on_as_they_are(vector: Vector) -> None:
    """Whoever has the line can hash the facts and the private part without our code."""
    line = export_json(vector.row())
    facts, body = vector.facts.encode(), vector.body.encode()
    assert b'"facts":' + facts + b',"salt"' in line
    assert line.endswith(b'"private":' + body + b"}")
    salt = bytes.fromhex(json.loads(line)["salt"])
    commitment = json.loads(line)["facts"]["commitment"]
    assert commitment == hashlib.sha256(salt + body).hexdigest()


@of_every_vector
def test_an_event_whose_private_part_is_gone_says_so(vector: Vector) -> None:
    """What is missing is null, or empty, and marked."""
    row = vector.row(private=False)
    line = json.loads(export_json(row))
    assert (None, None) == (line["salt"], line["private"])
    assert ("true", "", "") == tuple(cells(row)[name] for name in ("missing", "actor", "private"))


def test_the_leaf_can_be_computed_again() -> None:
    """Stream, version, topic and facts of the line give its leaf."""
    vector = VECTORS[0]
    leaf = event_leaf("stream-1", 3, vector.topic, vector.facts.encode())
    line = json.loads(export_json(msgspec.structs.replace(vector.row(), leaf=leaf)))
    found = json.dumps(line["facts"], separators=(",", ":"), ensure_ascii=False).encode()
    assert line["leaf"] == event_leaf(line["stream"], line["version"], line["topic"], found).hex()


def test_a_type_that_is_not_known_is_exported_like_any_other() -> None:
    """Its envelope is read all the same, and its facts are passed on."""
    vector = VECTORS[0]
    known = vector.row()
    row = msgspec.structs.replace(known, topic="moon.landed.9")
    line = json.loads(export_json(row))
    assert ("moon.landed.9", None) == (line["topic"], line["event"])
    assert {**json.loads(export_json(known)), "topic": "moon.landed.9", "event": None} == line
    assert {**cells(known), "topic": "moon.landed.9", "event": ""} == cells(row)


def test_the_columns_are_flat_and_the_event_is_json_in_the_last_two() -> None:
    """Who, when and where are cells; a time is ISO 8601 in UTC."""
    vector = next(one for one in VECTORS if one.name == "file read")
    found = cells(vector.row())
    envelope = vector.envelope
    assert ("7", "stream-1", "3", "FileRead", envelope.actor, envelope.host, "false") == tuple(
        found[name]
        for name in ("position", "stream", "version", "event", "actor", "host", "missing")
    )
    assert vector.event == json.loads(found["facts"])
    assert vector.private == json.loads(found["private"])
    assert "Z" == found["occurred_at"][-1]


def row_of(facts: bytes, body: bytes) -> Row:
    """Return a row of any bytes."""
    return msgspec.structs.replace(
        VECTORS[0].row(), facts=facts, private=PrivatePart(b"s" * 16, body)
    )


@given(facts=st.binary(max_size=40), body=st.binary(max_size=40))
def test_bytes_that_are_no_json_stop_nothing(facts: bytes, body: bytes) -> None:
    """Damage is exported too: as the bytes that are there."""
    line = json.loads(export_json(row_of(facts, body)))
    assert {"position", "stream", "facts", "private"} <= line.keys()
    assert len(COLUMNS) == len(export_cells(row_of(facts, body)))


def test_damaged_facts_are_there_in_base64() -> None:
    """Nothing of them is lost."""
    line = json.loads(export_json(row_of(b"{\xff", b"also damaged")))
    assert ({"b64": "e/8="}, {"b64": "YWxzbyBkYW1hZ2Vk"}) == (line["facts"], line["private"])
    assert (None, None) == (line["occurred_at"], line["recorded_at"])
