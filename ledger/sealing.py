"""The seal of a run: its Statement signed, its leaf, and what a verifier holds against both.

Rule 1: the leaf of a signed seal is the log entry of its Statement (`ledger.dsse.log_entry`), so
that outsiders can check it. Every other event's leaf is that of `ledger.merkle`.
Rule 2: the Statement binds whatever else the seal's row holds: stream, version, envelope, count,
root, log size. Facts that say anything else than their Statement have no leaf.
Rule 3: a seal at version *n* covers the records 0 to *n - 1*, earlier seals among them. A later
seal covers more; none takes an earlier one back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ledger import merkle
from ledger.codec import TOPIC_OF, Envelope, decode_facts, encode_facts
from ledger.dsse import (
    check_signature,
    format_public_key,
    log_entry,
    parse_public_key,
    pre_authentication,
)
from ledger.errors import ProofInvalid
from ledger.events import RunSealed, SignedStatement
from ledger.note import encode
from ledger.signing import Check, Signer, VerifierKey
from ledger.statement import derive_statement, read_byproducts
from ledger.store import Row

SEALED = TOPIC_OF[RunSealed]


def sign_seal(
    seal: RunSealed, envelope: Envelope, *, ledger: str, rows: Sequence[Row], signer: Signer
) -> RunSealed:
    """Return *seal* with the signed Statement of the run whose records are *rows*."""
    statement = derive_statement(ledger, rows, seal.log_size, envelope)
    signature = signer.sign(pre_authentication(statement.encode()))
    signed = SignedStatement(
        statement=statement,
        public_key=format_public_key(signer.key.public),
        signature=encode(signature),
    )
    return msgspec.structs.replace(seal, signed=signed)


def leaf_entry(stream: str, version: int, topic: str, facts: bytes) -> bytes:
    """
    Return the entry of a stored event in the log: what its leaf is the hash of.

    Raises `ProofInvalid` for a seal whose facts say anything else than its Statement.
    """
    if topic != SEALED:
        return merkle.event_record(stream, version, topic, facts)
    seal = _read(facts)
    signed = seal.event.signed
    if signed is None:
        return merkle.event_record(stream, version, topic, facts)
    _check_bound(stream, version, facts, seal)
    return log_entry(signed.statement.encode(), signed.signature, signed.public_key)


def leaf_of(stream: str, version: int, topic: str, facts: bytes) -> bytes:
    """Return the leaf hash of a stored event; raises `ProofInvalid`, see `leaf_entry`."""
    if topic != SEALED:
        return merkle.event_leaf(stream, version, topic, facts)
    return merkle.leaf_hash(leaf_entry(stream, version, topic, facts))


def read_signed(row: Row) -> SignedStatement:
    """Return what a seal's row has signed, nothing of it checked; raises `ProofInvalid`."""
    event: RunSealed = _read(row.facts).event
    if event.signed is None:
        raise ProofInvalid(
            f"cannot accept the seal of run {row.stream} at version {row.version}: nobody signed it"
        )
    return event.signed


def check_seal_signature(row: Row, keys: Iterable[VerifierKey], check: Check) -> None:
    """Check that one of *keys*, those of the log, signed a seal; raises `ProofInvalid`."""
    signed = read_signed(row)
    if parse_public_key(signed.public_key) not in {key.public for key in keys}:
        raise ProofInvalid(
            f"cannot accept the seal of run {row.stream} at version {row.version}: "
            "none of the log's keys signed it"
        )
    check_signature(signed.statement.encode(), signed.signature, signed.public_key, check)


def check_seal(row: Row, records: Sequence[Row], *, ledger: str) -> None:
    """
    Check a seal's row against the *records* of its run that it covers, all in order.

    The Statement is written again from them and compared. Its signature is another matter, see
    `check_seal_signature`. Raises `ProofInvalid`, `EventUnknown`.
    """
    seal = _read(row.facts)
    event: RunSealed = seal.event
    claim = f"cannot accept the seal of run {row.stream} at version {row.version}"
    if [one.version for one in records] != list(range(row.version)):
        raise ProofInvalid(f"{claim}: its records are not versions 0 to {row.version - 1}")
    if not records or not records[-1].position < event.log_size <= row.position:
        raise ProofInvalid(f"{claim}: a log of {event.log_size} did not end between the two")
    expected = derive_statement(ledger, records, event.log_size, _envelope(seal))
    if read_signed(row).statement != expected:
        raise ProofInvalid(f"{claim}: its statement is not what the records say")
    _check_bound(row.stream, row.version, row.facts, seal)


def _read(facts: bytes) -> Any:
    try:
        return decode_facts(SEALED, facts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProofInvalid(f"cannot read the facts of a seal: {error}") from error


def _envelope(seal: Any) -> Envelope:
    return Envelope(**{name: getattr(seal, name) for name in Envelope.__struct_fields__})


def _check_bound(stream: str, version: int, facts: bytes, seal: Any) -> None:
    event: RunSealed = seal.event
    assert event.signed is not None
    said = read_byproducts(event.signed.statement)
    stated = (said.stream, said.count, said.count, said.root, said.log_size, said.seal)
    stored = (stream, version, event.count, event.root, event.log_size, _envelope(seal))
    # Equal values still have more than one spelling, and no leaf would bind that.
    if stated != stored or facts != encode_facts(seal):
        raise ProofInvalid(
            f"cannot accept the seal of run {stream} at version {version}: "
            "its facts are not what its statement says"
        )
