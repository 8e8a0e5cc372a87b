"""Evidence: what is put into it, and what is not handed out."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.ed25519_signer import Ed25519Signer, check_ed25519
from ledger import decide, merkle
from ledger.checkpoint import Checkpoint, read_checkpoint
from ledger.closing import seal_run
from ledger.codec import decode
from ledger.errors import GestaError, ProofInvalid, RunNotFound
from ledger.event_check import check_run
from ledger.evidence import (
    EVIDENCE,
    Evidence,
    blob_names,
    collect_evidence,
    format_evidence,
    log_keys,
)
from ledger.note import cosign_text, format_note, parse_note, with_signatures
from ledger.outcomes import Removed
from ledger.proofs import check_consistency
from ledger.run import Holding
from ledger.sealing import check_seal_signature
from ledger.session import Session
from ledger.signing import COSIGNATURE
from ledger.sigstore import format_trusted_root
from tests.fakes.keys import FakeKeys
from tests.fakes.world import World
from tests.ledger.sealed_runs import EVENTS, rows_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A ledger with one run that has ended, and one that has not."""
    world = World(tmp_path)
    world.journal.create_ledger("home-1", world.provenance(None), world.keys.make)
    with world.ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo"])
    world.ledger.open(task="T-1", run="R-2")
    yield world
    world.end()


def change_database(world: World, statement: str) -> None:
    """Do what somebody with the file could."""
    with contextlib.closing(sqlite3.connect(world.directory / "ledger.db")) as database, database:
        assert database.execute(statement).rowcount > 0


def show(world: World, run: str = "R-1", known: Checkpoint | None = None) -> Evidence:
    """Collect the evidence of a run."""
    stream = world.ledger.find(run)
    return collect_evidence(world.journal, stream, check_ed25519, name=f"T-1/{run}", known=known)


def document(
    evidence: Evidence,
    blobs: Iterable[tuple[str, Callable[[], Iterable[bytes]] | None]] = (),
) -> Any:
    """The evidence file, read back."""
    return json.loads(b"".join(format_evidence(evidence, blobs)))


def head_of(evidence: Evidence) -> Checkpoint:
    """The checkpoint that the proof leads to."""
    return read_checkpoint(_proof(evidence)["checkpoint"]["envelope"].encode())


def _proof(evidence: Evidence) -> dict[str, Any]:
    proof: dict[str, Any] = evidence.bundle["verificationMaterial"]["tlogEntries"][0][
        "inclusionProof"
    ]
    return proof


def test_the_file_holds_what_is_stored(world: World) -> None:
    """Facts, private parts and salts byte for byte, the records and then the seal."""
    evidence = show(world)
    rows = world.journal.rows(world.ledger.find("R-1"))
    plain = document(evidence)
    assert EVIDENCE == plain["mediaType"]
    assert {} == plain["blobs"]
    assert list(rows) == [*evidence.records, evidence.seal]
    for row, found in zip(rows, [*plain["records"], plain["seal"]], strict=True):
        assert row.private is not None
        assert (row.version, row.topic) == (found["version"], found["topic"])
        assert row.facts.decode() == found["facts"]
        assert row.private.salt.hex() == found["private"]["salt"]
        assert row.private.body.decode() == found["private"]["body"]
    check_seal_signature(evidence.seal, log_keys(world.journal), check_ed25519)


def test_a_run_that_has_not_ended_cannot_be_shown(world: World) -> None:
    """It has no seal, and the error says so."""
    with pytest.raises(RunNotFound, match="cannot show run T-1/R-2: it has no signed seal"):
        show(world, "R-2")


def clean_up_late(world: World, keys: FakeKeys) -> Session:
    """Record something after the seal of R-1, by a process that would sign with *keys*."""
    stream = world.ledger.find("R-1")
    hands = replace(world.ledger.hands, keys=keys)
    session = Session(hands, stream, world.journal.history(stream), world.provenance(None))
    holding = Holding("worktree", 1, "linked", "", "live")
    session.record(lambda run: [decide.record_cleanup(holding, Removed(), name="w", ending=False)])
    return session


def test_records_after_the_seal_are_counted_until_a_later_seal_covers_them(world: World) -> None:
    """What came after is said to be missing; sealed again, it is there, and the old seal too."""
    session = clean_up_late(world, world.keys)
    first = show(world)
    assert 1 == first.later
    seal_run(session)
    second = show(world)
    assert (0, len(first.records) + 2) == (second.later, len(second.records))
    assert first.seal in second.records
    assert second.seal.position > first.seal.position


def test_the_log_has_only_grown_since_a_checkpoint_that_was_kept(world: World) -> None:
    """The proof in the evidence leads from the kept head to the new one."""
    kept = head_of(show(world))
    with world.ledger.run(task="T-1", run="R-3"):
        pass
    evidence = show(world, known=kept)
    new = head_of(evidence)
    assert evidence.consistency is not None
    assert (kept.size, new.size) == (evidence.consistency.old, evidence.consistency.new)
    check_consistency(kept.size, new.size, evidence.consistency.hashes, kept.root, new.root)
    assert document(evidence)["consistency"]["old"] == kept.size


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"origin": "another"}, "cannot compare with the checkpoint of another"),
        ({"size": 1_000}, "cannot show that the log of 1000 leaves has only grown"),
        ({"root": bytes(32)}, "cannot accept"),
    ],
)
def test_another_log_than_the_kept_one_is_not_shown(
    world: World, change: dict[str, Any], said: str
) -> None:
    """Another origin, a longer log, another root: refused."""
    kept = head_of(show(world))
    with pytest.raises(ProofInvalid, match=said):
        show(world, known=replace(kept, **change))


def test_a_witnessed_head_is_preferred_to_a_newer_one(world: World) -> None:
    """The note with most signatures vouches best; of equal ones the newest counts."""
    seal = show(world).seal
    store = world.journal.store
    assert store.tree_head().size == head_of(show(world)).size
    size, note = seal.position + 1, store.checkpoint(seal.position + 1)
    assert note is not None
    witness = Ed25519Signer("witness.example/w", b"w" * 32, COSIGNATURE)
    parsed = parse_note(note)
    more = format_note(with_signatures(parsed, [cosign_text(parsed.text, witness, 1)]))
    assert store.keep_checkpoint(size, more, instead_of=note)
    assert size == head_of(show(world)).size
    assert more.decode() == _proof(show(world))["checkpoint"]["envelope"]


STATE = "UPDATE stored_events SET state = CAST(replace(state, {}) AS BLOB) WHERE {{run}} AND {}"
OTHER = "its statement is not what the records say"


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (STATE.format("'T-1', 'T-2'", "{v} = 0"), OTHER),
        (STATE.format("'{{', ''", "{v} = 1"), "cannot read version 1"),
        (STATE.format("'\"via\"', ' \"via\"'", "{v} = 1"), "version 1 is not what was recorded"),
        (STATE.format("'\"via\"', ' \"via\"'", "topic = 'run.sealed.2'"), "its facts are not what"),
        (
            "UPDATE stored_events SET state = CAST(state AS TEXT) WHERE {run}",
            "version 0 is not what",
        ),
        ("UPDATE stored_events SET leaf = zeroblob(32) WHERE {run} AND {v} = 1", OTHER),
        (
            "UPDATE stored_events SET topic = 'a.b.9' WHERE {run} AND {v} = 2",
            "cannot read event a.b.9",
        ),
        ("DELETE FROM stored_events WHERE {run} AND {v} = 1", "not versions 0 to"),
        ("UPDATE stored_events SET leaf = zeroblob(32) WHERE position = 0", "leads to root"),
        ("DELETE FROM stored_events WHERE NOT {run} AND position > 0", "were handed in"),
        ("DELETE FROM stored_events WHERE position = 0", "no known key signed it"),
        ("UPDATE tree SET note = x''; DELETE FROM checkpoints", "nobody has signed"),
    ],
)
def test_what_does_not_hold_is_not_handed_out(world: World, attack: str, said: str) -> None:
    """A row edited, gone, or under another leaf, a head that nobody signed: no evidence of it."""
    terms = {"run": f"originator_id = '{world.ledger.find('R-1')}'", "v": "originator_version"}
    for statement in attack.format(**terms).split("; "):
        change_database(world, statement)
    with pytest.raises(GestaError, match=said):
        show(world)


def test_a_statement_by_a_strangers_key_is_not_shown(world: World) -> None:
    """A seal that somebody else signed follows from the records, and is not the log's."""
    seal_run(clean_up_late(world, FakeKeys(world.journal.store.origin, b"x")))
    with pytest.raises(ProofInvalid, match="none of the log's keys signed it"):
        show(world)
    journal, stream = world.journal, world.ledger.find("R-1")
    with journal.store.snapshot() as snapshot:
        ledger, keys = journal.store.ledger_id, log_keys(journal)
        part = check_run(snapshot, stream, ledger, keys, check_ed25519)
    assert ["none of the log's keys signed it"] == [
        finding.what.rpartition(": ")[2] for finding in part.first
    ]


def test_the_blobs_of_a_run_are_named_once_each_in_order() -> None:
    """Wherever in a private part a blob is named, it is found."""
    rows = rows_of(EVENTS)
    names = blob_names(decode(row) for row in rows)
    assert ["aa" * 32, "bb" * 32, "ee" * 32, "ff" * 32] == names


@given(st.lists(st.binary(max_size=50), max_size=6))
def test_blobs_are_written_as_one_base64_whatever_their_pieces(pieces: list[bytes]) -> None:
    """Cut anywhere, the text is that of the whole; one that is gone is null."""
    rows = rows_of(EVENTS)
    evidence = Evidence(bundle={}, seal=rows[-1], records=(), consistency=None, later=0)
    plain = document(evidence, [("a", lambda: pieces), ("b", None), ("c", list)])
    expected = base64.b64encode(b"".join(pieces)).decode()
    assert {"a": expected, "b": None, "c": ""} == plain["blobs"]


def test_a_private_part_that_is_gone_is_absent(world: World) -> None:
    """Nothing is put in its place, and the proof holds as before."""
    before = show(world)
    change_database(world, "DELETE FROM private")
    after = show(world)
    assert before.bundle == after.bundle
    assert [None] == list({one["private"] for one in document(after)["records"]})


def test_a_trusted_root_names_the_keys_of_the_log(world: World) -> None:
    """Origin, key and the whole digest that is the log's id."""
    (key,) = log_keys(world.journal)
    plain = json.loads(format_trusted_root([key]))
    (log,) = plain["tlogs"]
    assert f"https://{world.journal.store.origin}" == log["baseUrl"]
    assert base64.b64encode(key.digest).decode() == log["logId"]["keyId"]
    assert base64.b64decode(log["publicKey"]["rawBytes"]).endswith(key.public)
    assert [] == plain["certificateAuthorities"] + plain["ctlogs"]
    assert merkle.HASH_SIZE == len(key.digest)
