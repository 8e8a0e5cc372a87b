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
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from ledger.checkpoint import read_checkpoint
from ledger.dsse import (
    KEY_DETAILS,
    envelope,
    format_public_key,
    log_entry,
    parse_public_key,
)
from ledger.errors import ProofInvalid, RunNotFound
from ledger.events import BlobName
from ledger.note import encode, parse_note
from ledger.proofs import check_inclusion, prove_inclusion
from ledger.sealing import SEALED, check_seal, leaf_of, read_signed
from ledger.signing import ED25519, VerifierKey
from ledger.store import PrivatePart, Row

if TYPE_CHECKING:
    from ledger.journal import Journal
    from ledger.recorded import Recorded
    from ledger.store import Snapshot

EVIDENCE: Final = "application/vnd.gesta.evidence.v1+json"
BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
TRUSTED_ROOT: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run's newest signed *seal*, the *records* that it covers, and the *bundle* that proves it.

    *later* records of the run came after the seal: nothing here speaks of them.
    """

    bundle: dict[str, Any]
    seal: Row
    records: tuple[Row, ...]
    later: int


def collect_evidence(
    journal: Journal, stream: str, keys: Sequence[VerifierKey], name: str
) -> Evidence:
    """
    Return the evidence of the run in *stream*; *keys* are those that have signed the log.

    Raises `RunNotFound` for a run, called *name*, that is not sealed, `ProofInvalid` if what is
    stored does not hold, `StoreUnavailable`.
    """
    with journal.store.snapshot() as snapshot:
        rows = [_row(one) for one in snapshot.stream(stream)]
        seal = next((row for row in reversed(rows) if row.topic == SEALED), None)
        if seal is None:
            raise RunNotFound(
                f"cannot show run {name}: it has no signed seal; it gets one when it has ended"
            )
        records = rows[: seal.version]
        check_seal(seal, records, ledger=journal.store.ledger_id)
        for row in (*records, seal):
            if row.leaf != leaf_of(row.stream, row.version, row.topic, row.facts):
                raise ProofInvalid(
                    f"cannot show run {name}: version {row.version} is not what was recorded"
                )
        note = _best_note(snapshot, seal.position)
        checkpoint = read_checkpoint(note)
        leaves = (leaf for _, leaf in snapshot.leaves())
        hashes = prove_inclusion(leaves, seal.position, checkpoint.size)
    check_inclusion(seal.leaf, seal.position, checkpoint.size, hashes, checkpoint.root)
    return Evidence(
        bundle=_bundle(seal, hashes, note, _log_key(note, keys)),
        seal=seal,
        records=tuple(records),
        later=len(rows) - seal.version - 1,
    )


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
    head = {
        "mediaType": EVIDENCE,
        "bundle": evidence.bundle,
        "seal": _plain(evidence.seal),
        "records": [_plain(row) for row in evidence.records],
    }
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


def format_trusted_root(keys: Sequence[VerifierKey]) -> bytes:
    """
    Return a Sigstore trusted root (v0.1) of the log that *keys* sign, for others' verifiers.

    A key is valid by the log's size, which a trusted root cannot say; it is valid for all time.
    """
    begin = datetime.fromtimestamp(0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    logs = [
        {
            "baseUrl": f"https://{key.name}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": format_public_key(key.public),
                "keyDetails": KEY_DETAILS,
                "validFor": {"start": begin},
            },
            "logId": {"keyId": encode(key.digest)},
        }
        for key in keys
    ]
    root = {"mediaType": TRUSTED_ROOT, "tlogs": logs}
    empty: dict[str, list[Any]] = {
        name: [] for name in ("certificateAuthorities", "ctlogs", "timestampAuthorities")
    }
    return msgspec.json.format(msgspec.json.encode({**root, **empty}), indent=2) + b"\n"


def _bundle(seal: Row, hashes: Sequence[bytes], note: bytes, key: VerifierKey) -> dict[str, Any]:
    signed, checkpoint = read_signed(seal), read_checkpoint(note)
    payload, index = signed.statement.encode(), str(seal.position)
    entry = {
        "logIndex": index,
        "logId": {"keyId": encode(key.digest)},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "inclusionProof": {
            "logIndex": index,
            "rootHash": encode(checkpoint.root),
            "treeSize": str(checkpoint.size),
            "hashes": [encode(one) for one in hashes],
            "checkpoint": {"envelope": note.decode()},
        },
        "canonicalizedBody": encode(log_entry(payload, signed.signature, signed.public_key)),
    }
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": {
            "publicKey": {"hint": _hint(key.name, signed.public_key)},
            "tlogEntries": [entry],
        },
        "dsseEnvelope": envelope(payload, signed.signature),
    }


def _hint(name: str, public_key: str) -> str:
    """Return the id of the key that signed the Statement; the log may have another one by now."""
    return VerifierKey(name, ED25519, parse_public_key(public_key)).id.hex()


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
    for key in keys:
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
