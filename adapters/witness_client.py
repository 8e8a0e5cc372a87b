"""Asks witnesses to cosign the head of the log (C2SP tlog-witness v1.0.0).

Rule 1: a witness that is down, slow or wrong is a line of the report; it never stops anybody.
Rule 2: what a witness answers is checked before it is kept: only its own cosignature of the very
head that it was sent counts.
Rule 3: where a witness is, it says itself (status 409); nothing is remembered about it here but
the cosignatures that are kept with the heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from ledger.checkpoint import read_checkpoint
from ledger.errors import ProofInvalid
from ledger.heads import add_signatures, publish_head
from ledger.note import Note, Signature, check_note, parse_note, parse_signatures
from ledger.proofs import prove_consistency
from ledger.signing import Check, VerifierKey
from ledger.store import Store
from ledger.witness_messages import format_submission, parse_conflict
from ledger.witness_policy import KnownWitness, Policy

_MOST_BYTES = 64 * 1024

State = Literal["cosigned", "already", "overtaken", "unreachable", "refused", "diverged", "no_url"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of asking one witness to cosign the head of *size*.

    `overtaken`: another process had it cosign a newer head of this log meanwhile. `diverged`: it
    has cosigned a head that this log does not contain.
    """

    witness: str
    state: State
    size: int
    said: str | None = None


def sync_witnesses(store: Store, policy: Policy, check: Check, *, seconds: float) -> list[Asked]:
    """
    Have every witness of *policy* cosign the head as it now is, and keep what they answer.

    *seconds* is how long each may take to answer a request. Raises `KeyRefused`, `StoreError`.
    """
    note = publish_head(store)
    size = read_checkpoint(note).size
    found: list[Asked] = []
    for witness in policy.witnesses:
        asked, signatures = _Asking(store, witness, check, seconds).ask(note, size)
        if signatures:
            note = add_signatures(store, size, note, signatures)
        found.append(asked)
    return found


class _Asking:
    """The asking of one witness."""

    def __init__(self, store: Store, witness: KnownWitness, check: Check, seconds: float) -> None:
        self._store = store
        self._witness = witness
        self._check = check
        self._seconds = seconds

    def ask(self, note: bytes, size: int) -> tuple[Asked, Sequence[Signature]]:
        if _is_by(parse_note(note), self._witness.key, self._check):
            return self._answer("already", size), ()
        if self._witness.url is None:
            return self._answer("no_url", size), ()
        try:
            return self._ask(note, size)
        except (OSError, HTTPException) as error:
            return self._answer("unreachable", size, str(error) or type(error).__name__), ()
        except ProofInvalid as error:
            return self._answer("refused", size, str(error)), ()

    def _ask(self, note: bytes, size: int) -> tuple[Asked, Sequence[Signature]]:
        # The first request finds out where the witness is, unless the log is new to it.
        old = 0
        for _ in range(3):
            status, body = self._post(format_submission(old, self._proof(old, size), note))
            if status != 409:
                break
            now = parse_conflict(body)
            if size < now <= self._store.tree_head().size:
                return self._answer("overtaken", size), ()
            if now > size or now == old:
                what = f"it has cosigned a head of {now} events that this log does not have"
                return self._answer("diverged", size, what), ()
            old = now
        if status == 200:
            signature = self._signature(note, body)
            return self._answer("cosigned", size), (signature,)
        said = body.decode("utf-8", "replace").strip()[:200]
        if status == 422:
            return self._answer("diverged", size, said), ()
        return self._answer("refused", size, f"status {status}: {said}"), ()

    def _proof(self, old: int, size: int) -> list[bytes]:
        with self._store.snapshot() as snapshot:
            leaves = (leaf for _, leaf in snapshot.leaves())
            return prove_consistency(leaves, old, size)

    def _signature(self, note: bytes, body: bytes) -> Signature:
        try:
            lines = parse_signatures(body.decode())
        except UnicodeDecodeError as error:
            raise ProofInvalid("cannot read the witness's answer: it is not UTF-8") from error
        text, key = parse_note(note).text, self._witness.key
        for line in lines:
            if _is_by(Note(text, (line,)), key, self._check):
                return line
        raise ProofInvalid("cannot trust the witness's answer: it is not signed by its key")

    def _post(self, body: bytes) -> tuple[int, bytes]:
        assert self._witness.url is not None
        url = urlsplit(self._witness.url)
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        connection = kind(url.hostname or "", url.port, timeout=self._seconds)
        try:
            connection.request("POST", f"{url.path.rstrip('/')}/add-checkpoint", body)
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST_BYTES)
        finally:
            connection.close()

    def _answer(self, state: State, size: int, said: str | None = None) -> Asked:
        return Asked(witness=self._witness.name, state=state, size=size, said=said)


def _is_by(note: Note, key: VerifierKey, check: Check) -> bool:
    return bool(check_note(note, [key], check).signers)
