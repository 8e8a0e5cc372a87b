"""The codec: golden bytes of every stored name, and the way there and back."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import events as e
from ledger.codec import TOPIC_OF, TOPICS, commitment, decode, decode_facts, encode
from ledger.errors import EventUnknown
from ledger.events import UNSET, Event
from ledger.recorded import Provenance, Said
from ledger.store import PrivatePart, Row
from ledger.upcast import is_old
from tests.ledger.samples import SAMPLES
from tests.ledger.vectors import FILE, Vector, add_vectors, load_vectors
from tests.strategies import LEDGER_EVENTS, RUN_EVENTS, erased, events, hexadecimal, provenances

VECTORS = load_vectors()
of_every_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
of_todays_shape = pytest.mark.parametrize(
    "vector", [v for v in VECTORS if not is_old(v.topic)], ids=lambda vector: vector.name
)


def encoded(event: Event, who: Provenance, salt: bytes = b"s" * 16) -> Row:
    """Return *event* as a row of a store."""
    said = Said(event=event, occurred=1, cause="0c" * 16)
    topic, facts, private = encode(said, who, id="1d" * 16, recorded=2, salt=salt)
    return Row(
        position=0,
        stream="stream-1",
        version=0,
        topic=topic,
        facts=facts,
        leaf=b"",
        private=private,
    )


@of_todays_shape
def test_an_event_is_stored_as_the_very_bytes_of_its_vector(vector: Vector) -> None:
    """Name, facts and private part are byte for byte what they were when the vector was made."""
    topic, facts, part = encode(
        vector.said(),
        vector.who(),
        id=vector.envelope.id,
        recorded=vector.envelope.recorded,
        salt=bytes.fromhex(vector.salt),
    )
    assert vector.topic == topic
    assert vector.facts.encode() == facts
    assert PrivatePart(bytes.fromhex(vector.salt), vector.body.encode()) == part


@of_every_vector
def test_stored_bytes_decode_to_the_event_they_mean(vector: Vector) -> None:
    """Every vector, also one of an old shape, is read as the event and envelope it stands for."""
    record = decode(vector.row())
    assert vector.meant() == record.event
    said = {name: getattr(record, name) for name in vector.envelope.__struct_fields__}
    assert msgspec.structs.asdict(vector.envelope) == said
    assert ("stream-1", 3, 7, vector.topic) == (
        record.stream,
        record.version,
        record.position,
        record.topic,
    )
    assert record.private == "present"


@of_every_vector
def test_without_its_private_row_an_event_keeps_its_facts(vector: Vector) -> None:
    """A private row that is gone takes the private part and who acted with it, nothing else."""
    record = decode(vector.row(private=False))
    assert erased(vector.meant()) == record.event
    assert record.private == "missing"
    assert (None, None, None, None) == (
        record.actor,
        record.host,
        record.on_behalf_of,
        record.caller_trace,
    )
    assert (vector.envelope.id, vector.envelope.cause) == (record.id, record.cause)


@of_every_vector
def test_the_facts_commit_to_salt_and_private_bytes(vector: Vector) -> None:
    """The commitment in the facts is the SHA-256 of salt and private bytes, and of those alone."""
    salted = bytes.fromhex(vector.salt) + vector.body.encode()
    assert hashlib.sha256(salted).hexdigest() == vector.commitment
    assert vector.commitment == json.loads(vector.facts)["commitment"]


@of_every_vector
def test_facts_are_canonical_json_without_private_words(vector: Vector) -> None:
    """Facts are compact UTF-8 JSON with sorted keys, and hold nothing that is private."""
    facts = json.loads(vector.facts)
    rendered = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert rendered == vector.facts
    assert "private" not in facts["event"]
    assert vector.envelope.actor not in vector.facts
    assert vector.envelope.host not in vector.facts


def test_every_stored_name_has_a_vector() -> None:
    """No name can be stored whose bytes are not pinned."""
    assert set(TOPICS) <= {vector.topic for vector in VECTORS}


def test_every_event_of_a_run_has_a_stored_name() -> None:
    """What a run can record, and the ledger's own event, is in the registry once."""
    assert {*RUN_EVENTS, *LEDGER_EVENTS} == set(TOPIC_OF)
    assert len(TOPIC_OF) == len(TOPICS)


def test_stored_names_are_words_and_a_version() -> None:
    """A stored name says what happened, never where a class lives."""
    form = re.compile(r"[a-z_]+(\.[a-z_]+)*\.[1-9][0-9]*")
    assert [] == [topic for topic in TOPICS if not form.fullmatch(topic)]


def test_names_of_vectors_are_unique() -> None:
    """A vector is known by its name."""
    assert len(VECTORS) == len({vector.name for vector in VECTORS})


def test_adding_vectors_leaves_those_there_untouched(tmp_path: Path) -> None:
    """The generator appends what is new, and rewrites nothing: the old text stays a prefix."""
    file = tmp_path / "events.json"
    shutil.copy(FILE, file)
    before = file.read_text(encoding="utf-8")
    assert [] == add_vectors(SAMPLES, file)
    assert before == file.read_text(encoding="utf-8")
    changed = {name: e.SandboxLost(ordinal=99) for name in SAMPLES}
    assert ["new"] == add_vectors({**changed, "new": e.SandboxLost(ordinal=2)}, file)
    after = file.read_text(encoding="utf-8")
    assert before.removesuffix("\n]\n") == after[: len(before) - len("\n]\n")]
    assert [*VECTORS] == load_vectors(file)[:-1]


@given(event=events(*RUN_EVENTS, *LEDGER_EVENTS), who=provenances, salt=st.binary(min_size=16))
def test_every_event_comes_back_as_it_was_said(event: Event, who: Provenance, salt: bytes) -> None:
    """Encoding and decoding is the identity, of the event and of who said it."""
    record = decode(encoded(event, who, salt))
    assert event == record.event
    assert who == Provenance(
        actor=record.actor or "",
        via=record.via,
        host=record.host or "",
        trace=record.trace,
        on_behalf_of=record.on_behalf_of,
        caller_trace=record.caller_trace,
    )


@given(event=events(), who=provenances)
def test_the_facts_alone_are_the_event_without_its_private_part(
    event: Event, who: Provenance
) -> None:
    """What the repository folds is the event with its private part unset."""
    row = encoded(event, who)
    assert erased(event) == decode_facts(row.topic, row.facts).event


@given(one=st.binary(max_size=20), other=st.binary(max_size=20), salt=hexadecimal)
def test_a_commitment_binds_the_private_bytes(one: bytes, other: bytes, salt: str) -> None:
    """Under one salt two private parts have one commitment only if they are the same."""
    parts = [PrivatePart(bytes.fromhex(salt), body) for body in (one, other)]
    assert (one == other) == (commitment(parts[0]) == commitment(parts[1]))


def test_an_unknown_name_is_refused_by_name() -> None:
    """A stored name that this version does not know is `EventUnknown`, which says what to do."""
    row = msgspec.structs.replace(VECTORS[0].row(), topic="run.teleported.1")
    with pytest.raises(EventUnknown) as caught:
        decode(row)
    assert (
        "cannot read event run.teleported.1: this version does not know it; use a newer gesta"
        == str(caught.value)
    )


def test_a_field_that_an_event_does_not_have_is_not_dropped_in_silence() -> None:
    """Facts of a known name with a field of no known meaning are refused, not half read."""
    vector = next(v for v in VECTORS if v.topic == "sandbox.lost.1")
    facts = json.loads(vector.facts)
    facts["event"]["why"] = "thunder"
    with pytest.raises(msgspec.ValidationError, match="why"):
        decode_facts(vector.topic, json.dumps(facts).encode())


def test_bytes_that_are_not_utf8_are_stored_as_base64() -> None:
    """An argument of bytes that are not UTF-8 is kept in the private part as `{"b64": …}`."""
    vector = next(v for v in VECTORS if v.name == "command requested")
    assert {"b64": "/2E="} == json.loads(vector.body)["event"]["argv"][2]


def test_the_largest_integer_is_exact_for_every_reader() -> None:
    """2**53 - 1, the largest integer that every JSON reader keeps, is stored as itself."""
    vector = next(v for v in VECTORS if v.name == "run sealed")
    assert f'"log_size":{2**53 - 1}' in vector.facts


def test_an_empty_private_part_is_not_a_missing_one() -> None:
    """A private part that says nothing is `{}` in the stored body; one never said is not there."""
    empty = next(v for v in VECTORS if v.name == "command cancelled")
    unsaid = next(v for v in VECTORS if v.name == "command lost")
    said = json.loads(empty.body)["event"]
    streams = {"stderr": None, "stdin": None, "stdout": None}
    assert {"results": [], "rule_set": None, **streams} == said
    assert "event" not in json.loads(unsaid.body)
    assert e.StreamsText() == decode(empty.row()).event.private  # type: ignore[attr-defined]
    assert UNSET is decode(unsaid.row()).event.private  # type: ignore[attr-defined]
