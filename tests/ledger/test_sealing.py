"""Seals: what a run's Statement says, that it follows from the records, and what its leaf binds."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.ed25519_signer import Ed25519Signer, check_ed25519
from ledger import events as e
from ledger import merkle
from ledger.codec import decode_facts
from ledger.dsse import (
    check_signature,
    format_public_key,
    log_entry,
    parse_public_key,
    pre_authentication,
)
from ledger.errors import ProofInvalid
from ledger.note import encode
from ledger.sealing import (
    SEALED,
    check_seal,
    check_seal_signature,
    leaf_entry,
    leaf_of,
    read_signed,
)
from ledger.signing import ED25519, VerifierKey
from ledger.statement import MOST_COMMANDS, read_byproducts
from ledger.store import Row
from tests.fakes.keys import FakeKeys
from tests.ledger.samples import COMMANDS
from tests.ledger.sealed_runs import EVENTS, FIRST, LEDGER, SIGNER, STREAM, rows_of, sealed

VECTORS = Path(__file__).parent.parent / "vectors"
ROWS = rows_of(EVENTS)
SEAL = sealed(ROWS)
# What a person typed, named or printed in the run, or a bare digest of it.
PRIVATE = ["ls", "käse", "git", "push", "default.yaml", "host.example", "ann", "ee" * 32, "ff" * 32]


def statement(row: Row = SEAL) -> dict[str, Any]:
    """The Statement that a seal's row holds."""
    found: dict[str, Any] = json.loads(read_signed(row).statement)
    return found


def test_a_statement_says_the_facts_of_the_run() -> None:
    """An in-toto Statement v1, link v0.3; the run's records are its subject."""
    root = merkle.root(merkle.extend(merkle.EMPTY, [row.leaf for row in ROWS])).hex()
    made = statement()
    assert "https://in-toto.io/Statement/v1" == made["_type"]
    assert "https://in-toto.io/attestation/link/v0.3" == made["predicateType"]
    assert [{"name": f"records of run {STREAM}", "digest": {"sha256": root}}] == made["subject"]
    predicate = made["predicate"]
    assert "T-1/R-1" == predicate["name"]
    assert [[], [], {}] == [predicate[name] for name in ("command", "materials", "environment")]
    said = predicate["byproducts"]
    expected = {
        "commands_total": 3,
        "count": len(ROWS),
        "exit_codes": {"3": 1},
        "ledger": LEDGER,
        "log_size": FIRST + len(ROWS),
        "outcome": "failed",
        "record": "reachable",
        "root": root,
        "run": "R-1",
        "stream": STREAM,
        "task": "T-1",
    }
    assert expected == {name: said[name] for name in expected}
    assert ["executed", "timed_out", "denied"] == [one["ending"] for one in said["commands"]]
    assert [3, None, None] == [one["exit_code"] for one in said["commands"]]


def test_a_statement_commits_to_what_was_typed_and_printed() -> None:
    """Each command has the salted commitments of its request and of its ending."""
    facts = [decode_facts(row.topic, row.facts) for row in ROWS]
    said = statement()["predicate"]["byproducts"]
    assert facts[0].commitment == said["opened"]
    first = said["commands"][0]
    assert (facts[2].commitment, facts[3].commitment) == (first["requested"], first["ended"])
    assert (facts[6].commitment, None) == (
        said["commands"][2]["requested"],
        said["commands"][2]["ended"],
    )


@pytest.mark.parametrize("word", PRIVATE)
def test_a_statement_says_nothing_private(word: str) -> None:
    """Neither a word of a command or a path, nor who or where, nor a digest without a salt."""
    assert f'"{word}' not in read_signed(SEAL).statement
    assert f"/{word}" not in read_signed(SEAL).statement


def test_a_statement_of_a_long_run_fits_into_an_event() -> None:
    """Of a thousand commands the first hundred are listed, and all are counted."""
    many = [EVENTS[0]]
    for number in range(1, 1_001):
        command = f"c{number}"
        many.append(replace(COMMANDS["command requested"], command=command))
        many.append(replace(COMMANDS["command executed"], command=command))
    rows = rows_of(many)
    seal = sealed(rows)
    said = statement(seal)["predicate"]["byproducts"]
    assert (MOST_COMMANDS, 1_000) == (len(said["commands"]), said["commands_total"])
    assert {"3": 1_000} == said["exit_codes"]
    assert len(seal.facts) < 32_768
    check_seal(seal, rows, ledger=LEDGER)


def test_a_late_outcome_takes_the_place_of_the_lost_one() -> None:
    """What was found of a command counts, not that it was called lost."""
    found = [
        EVENTS[0],
        COMMANDS["command requested"],
        COMMANDS["command lost"],
        COMMANDS["command outcome found"],
    ]
    said = statement(sealed(rows_of(found)))["predicate"]["byproducts"]
    assert [("executed", 0)] == [(one["ending"], one["exit_code"]) for one in said["commands"]]
    assert said["outcome"] is None


def test_a_run_without_commands_says_nothing_of_their_reach() -> None:
    """`record` is null where no command was requested."""
    said = statement(sealed(rows_of([EVENTS[0], e.RunAbandoned(lost=())])))
    assert said["predicate"]["byproducts"]["record"] is None
    assert "abandoned" == said["predicate"]["byproducts"]["outcome"]


def test_a_seal_follows_from_the_records_and_its_signature_is_right() -> None:
    """Written again from the rows it is the same, byte for byte."""
    check_seal(SEAL, ROWS, ledger=LEDGER)
    check_seal_signature(SEAL, [SIGNER.key], check_ed25519)


def test_a_later_seal_covers_the_earlier_one() -> None:
    """Sealing again covers what came since, the first seal's own leaf included."""
    more = rows_of([e.CleanedUp(ending=False, resource="worktree", ordinal=1)], [*ROWS, SEAL])
    again = sealed(more)
    check_seal(again, more, ledger=LEDGER)
    check_seal(SEAL, more[: SEAL.version], ledger=LEDGER)
    assert len(ROWS) + 2 == statement(again)["predicate"]["byproducts"]["count"]


def test_the_leaf_of_a_seal_is_the_log_entry_of_its_statement() -> None:
    """What is hashed is the hashedrekord body, in the one spelling of RFC 8785."""
    signed = read_signed(SEAL)
    entry = leaf_entry(SEAL.stream, SEAL.version, SEALED, SEAL.facts)
    assert sha256(b"\x00" + entry).digest() == SEAL.leaf
    body = json.loads(entry)
    assert json.dumps(body, sort_keys=True, separators=(",", ":")).encode() == entry
    record = body["spec"]["hashedRekordV002"]
    digest = sha256(pre_authentication(signed.statement.encode())).digest()
    assert encode(digest) == record["data"]["digest"]
    assert signed.signature == record["signature"]["content"]
    assert signed.public_key == record["signature"]["verifier"]["publicKey"]["rawBytes"]


@given(st.integers(0, len(SEAL.facts) - 1), st.integers(1, 255), st.sampled_from("xid"))
def test_no_byte_of_a_seals_facts_can_change(at: int, flip: int, how: str) -> None:
    """Whatever is changed, put in or taken out: no leaf, or another one."""
    facts = bytearray(SEAL.facts)
    if how == "x":
        facts[at] ^= flip
    elif how == "i":
        facts.insert(at, flip)
    else:
        del facts[at]
    if facts == SEAL.facts:
        return
    try:
        leaf = leaf_of(SEAL.stream, SEAL.version, SEALED, bytes(facts))
    except ProofInvalid:
        return
    assert leaf != SEAL.leaf


@pytest.mark.parametrize(("stream", "version"), [("another", SEAL.version), (STREAM, 8)])
def test_a_seal_is_bound_to_its_place(stream: str, version: int) -> None:
    """In another stream, or at another version, it has no leaf."""
    with pytest.raises(ProofInvalid, match="not what its statement says"):
        leaf_of(stream, version, SEALED, SEAL.facts)


def test_a_seal_does_not_fit_other_records() -> None:
    """One record changed, left out or added: refused, with what is wrong."""
    other = list(ROWS)
    other[3] = replace(other[3], facts=other[3].facts.replace(b'"exit_code":3', b'"exit_code":0'))
    with pytest.raises(ProofInvalid, match="not what the records say"):
        check_seal(SEAL, other, ledger=LEDGER)
    with pytest.raises(ProofInvalid, match="not versions 0 to 8"):
        check_seal(SEAL, ROWS[:-1], ledger=LEDGER)
    with pytest.raises(ProofInvalid, match="not what the records say"):
        check_seal(SEAL, ROWS, ledger="another")
    moved = replace(SEAL, position=FIRST)
    with pytest.raises(ProofInvalid, match="did not end between the two"):
        check_seal(moved, ROWS, ledger=LEDGER)


def test_a_seal_that_nobody_signed_is_not_accepted() -> None:
    """Its leaf is an ordinary one, and it proves nothing."""
    unsigned = rows_of([e.RunSealed(count=9, root="00", log_size=29)], ROWS)[-1]
    assert merkle.event_leaf(STREAM, 9, SEALED, unsigned.facts) == unsigned.leaf
    with pytest.raises(ProofInvalid, match="nobody signed it"):
        check_seal_signature(unsigned, [SIGNER.key], check_ed25519)


def test_another_keys_signature_is_refused() -> None:
    """A signature is right for the key beside it, or wrong."""
    signed = read_signed(SEAL)
    other = format_public_key(Ed25519Signer("other", b"o" * 32).key.public)
    with pytest.raises(ProofInvalid, match="not by the key beside it"):
        check_signature(signed.statement.encode(), signed.signature, other, check_ed25519)


def test_a_key_has_one_spelling_in_der() -> None:
    """RFC 8410's twelve bytes, then the key."""
    public = SIGNER.key.public
    assert public == parse_public_key(format_public_key(public))
    assert b64decode(format_public_key(public)).endswith(public)
    for wrong in ("", "AAAA", encode(public), encode(bytes(44))):
        with pytest.raises(ProofInvalid):
            parse_public_key(wrong)


@given(st.text())
def test_what_is_no_statement_is_refused(text: str) -> None:
    """Any text at all is read or refused with our own error."""
    with pytest.raises(ProofInvalid):
        read_byproducts(text)


def test_the_payload_type_is_signed_too() -> None:
    """DSSE's own example: the lengths keep type and body apart."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert expected == pre_authentication(b"hello world", "http://example.com/HelloWorld")
    assert log_entry(b"a", "AA==", "AA==") != log_entry(b"b", "AA==", "AA==")


def test_the_seal_of_a_kept_run_is_still_the_same() -> None:
    """Statements are written again to be verified: from these rows it is this one, for ever."""
    kept = json.loads((VECTORS / "seal.json").read_text())
    rows = [stored(kept, one) for one in kept["records"]]
    seal = stored(kept, kept["seal"])
    assert [row.leaf for row in rows] == [
        leaf_of(row.stream, row.version, row.topic, row.facts) for row in rows
    ]
    entry = leaf_entry(seal.stream, seal.version, seal.topic, seal.facts)
    assert (kept["seal"]["entry"].encode(), seal.leaf) == (entry, merkle.leaf_hash(entry))
    check_seal(seal, rows, ledger=kept["ledger"])
    key = VerifierKey("log", ED25519, bytes.fromhex(kept["public"]))
    check_seal_signature(seal, [key], check_ed25519)
    with pytest.raises(ProofInvalid, match="none of the log's keys signed it"):
        check_seal_signature(seal, [FakeKeys("log").signers()[0].key], check_ed25519)


def stored(kept: dict[str, Any], one: dict[str, Any]) -> Row:
    """A row of the kept run."""
    return Row(
        position=one["position"],
        stream=kept["stream"],
        version=one["version"],
        topic=one["topic"],
        facts=one["facts"].encode(),
        leaf=bytes.fromhex(one["leaf"]),
        private=None,
    )
