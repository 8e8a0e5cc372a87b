"""What a run can be shown by to somebody who has neither the ledger nor our code.

Rule 1: the proof is a Sigstore bundle v0.3 around the run's signed Statement: anybody's verifier
of such bundles can check it. What is beside it is checked against what the Statement says.
Rule 2: records and private parts go out exactly as stored. A private part that is gone is absent;
nothing is put in its place.
Rule 3: what does not hold here is not handed out: the seal must follow from the records, and its
leaf lead to the signed head.

The file is one JSON object; docs/format.md has every key of it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import ProofInvalid, RunNotFound
from ledger.events import BlobName
from ledger.note import encode, parse_note, parse_vkey
from ledger.proofs import (
    check_consistency,
    check_inclusion,
    prove_consistency,
    prove_inclusion,
)
from ledger.sealing import SEALED, check_seal, check_seal_signature, leaf_of, read_signed
from ledger.sigstore import make_bundle
from ledger.store import PrivatePart, Row

if TYPE_CHECKING:
    from ledger.journal import Journal
    from ledger.recorded import Recorded
    from ledger.signing import Check, VerifierKey
    from ledger.store import Snapshot

EVIDENCE: Final = "application/vnd.gesta.evidence.v1+json"


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """That the log of *old* leaves, which somebody has kept, is the beginning of that of *new*."""

    old: int
    new: int
    hashes: tuple[bytes, ...]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run's newest signed *seal*, the *records* that it covers, and the *bundle* that proves it.

    *later* records of the run came after the seal: nothing here speaks of them.
    """

    bundle: dict[str, Any]
    seal: Row
    records: tuple[Row, ...]
    consistency: Consistency | None
    later: int


def log_keys(journal: Journal) -> list[VerifierKey]:
    """Return the keys that have signed the log, as it says itself, in their order."""
    history = journal.history(journal.store.ledger_id)
    keys = [getattr(record.event, "key", None) for record in history]
    return [parse_vkey(key) for key in keys if key is not None]


def collect_evidence(
    journal: Journal, stream: str, check: Check, *, name: str, known: Checkpoint | None = None
) -> Evidence:
    """
    Return the evidence of the run in *stream*, called *name* in errors; *check* is Ed25519's.

    *known* is a checkpoint of this log that somebody has kept; the evidence then shows that the
    log has only grown since. Raises `RunNotFound` for a run that is not sealed, `ProofInvalid` if
    what is stored does not hold, `StoreUnavailable`.
    """
    keys = log_keys(journal)
    with journal.store.snapshot() as snapshot:
        rows = [_row(one) for one in snapshot.stream(stream)]
        seal = next((row for row in reversed(rows) if row.topic == SEALED), None)
        if seal is None:
            raise RunNotFound(
                f"cannot show run {name}: it has no signed seal; it gets one when it has ended"
            )
        records = rows[: seal.version]
        _check_rows(records, seal, name, journal.store.ledger_id)
        note = _best_note(snapshot, max(seal.position, known.size - 1 if known else 0))
        checkpoint = open_checkpoint(note, keys, check)
        leaves = (leaf for _, leaf in snapshot.leaves())
        hashes = _prove(leaves, seal.position, checkpoint.size)
        consistency = _consistent(snapshot, known, checkpoint)
    check_inclusion(seal.leaf, seal.position, checkpoint.size, hashes, checkpoint.root)
    check_seal_signature(seal, keys, check)
    key = _log_key(note, keys)
    return Evidence(
        bundle=make_bundle(read_signed(seal), seal.position, hashes, note, key),
        seal=seal,
        records=tuple(records),
        consistency=consistency,
        later=len(rows) - seal.version - 1,
    )


def _check_rows(records: Sequence[Row], seal: Row, name: str, ledger: str) -> None:
    check_seal(seal, records, ledger=ledger)
    for row in (*records, seal):
        if row.leaf != leaf_of(row.stream, row.version, row.topic, row.facts):
            raise ProofInvalid(
                f"cannot show run {name}: version {row.version} is not what was recorded"
            )


def _prove(leaves: Iterable[bytes], index: int, size: int) -> list[bytes]:
    try:
        return prove_inclusion(leaves, index, size)
    except ValueError as error:
        raise ProofInvalid(f"cannot show a run: {error}") from error


def _consistent(
    snapshot: Snapshot, known: Checkpoint | None, checkpoint: Checkpoint
) -> Consistency | None:
    if known is None:
        return None
    if known.origin != checkpoint.origin:
        raise ProofInvalid(
            f"cannot compare with the checkpoint of {known.origin}: this log is {checkpoint.origin}"
        )
    if known.size > checkpoint.size:
        raise ProofInvalid(
            f"cannot show that the log of {known.size} leaves has only grown: it has "
            f"{checkpoint.size} now"
        )
    leaves = (leaf for _, leaf in snapshot.leaves())
    hashes = prove_consistency(leaves, known.size, checkpoint.size)
    check_consistency(known.size, checkpoint.size, hashes, known.root, checkpoint.root)
    return Consistency(old=known.size, new=checkpoint.size, hashes=tuple(hashes))


def blob_names(records: Iterable[Recorded]) -> list[str]:
    """Return the digests of all blobs that *records* name, each once, in order."""
    found: dict[str, None] = {}
    for record in records:
        _names(getattr(record.event, "private", None), found)
    return list(found)


def format_evidence(
    evidence: Evidence, blobs: Iterable[tuple[str, Callable[[], Iterable[bytes]] | None]] = ()
) -> Iterator[bytes]:
    """
    Yield the evidence file in pieces.

    *blobs* are digests and what reads each one, `None` for one that is not to be had.
    """
    head: dict[str, Any] = {
        "mediaType": EVIDENCE,
        "bundle": evidence.bundle,
        "seal": _plain(evidence.seal),
        "records": [_plain(row) for row in evidence.records],
    }
    if evidence.consistency is not None:
        plain = msgspec.structs.asdict(evidence.consistency)
        head["consistency"] = {**plain, "hashes": [encode(one) for one in plain["hashes"]]}
    yield msgspec.json.encode(head)[:-1] + b',"blobs":{'
    for number, (digest, read) in enumerate(blobs):
        yield b'%s"%s":' % (b"," if number else b"", digest.encode())
        if read is None:
            yield b"null"
            continue
        yield b'"'
        yield from _base64(read())
        yield b'"'
    yield b"}}\n"


def _best_note(snapshot: Snapshot, position: int) -> bytes:
    """Return the note above *position* that most have signed, of several the newest."""
    notes = [note for _, note in snapshot.checkpoints(after=position)]
    best = max([*notes, snapshot.head()[2]][::-1], key=_signatures)
    if not _signatures(best):
        raise ProofInvalid("cannot show a run: nobody has signed the log's head")
    return best


def _signatures(note: bytes) -> int:
    return len(parse_note(note).signatures) if note else 0


def _log_key(note: bytes, keys: Sequence[VerifierKey]) -> VerifierKey:
    signers = {(one.name, one.key_id) for one in parse_note(note).signatures}
    for key in reversed(keys):
        if (key.name, key.id) in signers:
            return key
    raise ProofInvalid("cannot show a run: the log's head is signed by none of its keys")


def _plain(row: Row) -> dict[str, Any]:
    private = row.private
    try:
        return {
            "version": row.version,
            "topic": row.topic,
            "facts": row.facts.decode(),
            "private": None
            if private is None
            else {"salt": private.salt.hex(), "body": private.body.decode()},
        }
    except UnicodeDecodeError as error:
        raise ProofInvalid(
            f"cannot show run {row.stream}: version {row.version} is not UTF-8"
        ) from error


def _row(scanned: Any) -> Row:
    position, stream, version, topic, facts, leaf, salt, body = scanned
    if any(not isinstance(one, bytes | None) for one in (facts, leaf, salt, body)):
        # SQLite keeps whatever kind of value somebody puts into a column.
        raise ProofInvalid(f"cannot show run {stream}: version {version} is not what was recorded")
    return Row(
        position=position,
        stream=stream,
        version=version,
        topic=topic,
        facts=facts,
        leaf=leaf,
        private=None if salt is None or body is None else PrivatePart(salt, body),
    )


def _names(value: object, found: dict[str, None]) -> None:
    match value:
        case BlobName():
            found[value.sha256] = None
        case msgspec.Struct():
            for name in value.__struct_fields__:
                _names(getattr(value, name), found)
        case tuple() | list():
            for one in cast("Sequence[object]", value):
                _names(one, found)
        case dict():
            for one in value.values():
                _names(one, found)
        case _:
            pass


def _base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        data = held + chunk
        # Three bytes are four characters: only the last piece may need padding.
        whole = len(data) - len(data) % 3
        yield base64.b64encode(data[:whole])
        held = data[whole:]
    yield base64.b64encode(held)
