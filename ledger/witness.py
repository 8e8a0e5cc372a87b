"""What a witness does: it vouches that a log only ever grew, as far as it saw.

Rule 1: a head is cosigned only if it contains the one cosigned last; what was checked against is
what is replaced, in one step (`Memory.advance`). Otherwise a slow request for an older head could
take back a newer one.
Rule 2: a head is remembered, durably, before its cosignature leaves.
Rule 3: what the protocol answers, and in which order it checks, is that of C2SP tlog-witness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ledger.checkpoint import Checkpoint, read_checkpoint
from ledger.errors import ProofInvalid
from ledger.merkle import EMPTY_ROOT
from ledger.note import check_note, cosign_text, format_signature, parse_note
from ledger.proofs import check_consistency
from ledger.signing import Check, Signer, VerifierKey
from ledger.witness_messages import SIZE_TYPE, parse_submission

_TEXT = "text/plain; charset=utf-8"


class Seen(msgspec.Struct, frozen=True):
    """The head that was cosigned last."""

    size: int
    root: bytes


NOTHING = Seen(0, EMPTY_ROOT)


class Memory(Protocol):
    """Remembers, for each origin, the head that was cosigned last."""

    def latest(self, origin: str) -> Seen:
        """Return the head cosigned last, `NOTHING` if there is none."""

    def advance(self, origin: str, old: Seen, new: Seen) -> bool:
        """Put *new* in the place of *old*, if that still is what is there; durable if it was."""


class Answer(msgspec.Struct, frozen=True):
    """The answer to a request: HTTP status, content type, body."""

    status: int
    type: str
    body: bytes


class Witness:
    """
    Answers requests to cosign.

    *keys* returns the known keys of an origin's log, none if it is not known. *now* is in seconds
    since 1970.
    """

    def __init__(
        self,
        signer: Signer,
        memory: Memory,
        keys: Callable[[str], Sequence[VerifierKey]],
        check: Check,
        now: Callable[[], int],
    ) -> None:
        self._signer = signer
        self._memory = memory
        self._keys = keys
        self._check = check
        self._now = now

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer an `add-checkpoint` request."""
        try:
            submission = parse_submission(body)
            note = parse_note(submission.note)
            head = read_checkpoint(submission.note)
        except ProofInvalid as error:
            return _refuse(400, str(error))
        keys = [key for key in self._keys(head.origin) if key.name == head.origin]
        if not keys:
            return _refuse(404, f"cannot cosign: {head.origin} is not a log that is known here")
        try:
            signed = check_note(note, keys, self._check).signers
        except ProofInvalid as error:
            return _refuse(403, str(error))
        if not signed:
            return _refuse(403, f"cannot cosign: no known key of {head.origin} signed it")
        if submission.old > head.size:
            return _refuse(400, "cannot cosign: the old size is larger than the head's")
        return self._cosign(head, submission.old, submission.proof, note.text)

    def _cosign(self, head: Checkpoint, old: int, proof: Sequence[bytes], text: str) -> Answer:
        seen = self._memory.latest(head.origin)
        if seen.size != old:
            return _conflict(seen)
        if head.size == old and head.root != seen.root:
            return _conflict(seen)
        try:
            check_consistency(old, head.size, proof, seen.root, head.root)
        except ProofInvalid as error:
            return _refuse(422, str(error))
        # Another request may have been answered since `latest`: then this one was checked against
        # a head that is no longer the last.
        if not self._memory.advance(head.origin, seen, Seen(head.size, head.root)):
            return _conflict(self._memory.latest(head.origin))
        signature = cosign_text(text, self._signer, self._now())
        return Answer(200, _TEXT, format_signature(signature).encode())


def _conflict(seen: Seen) -> Answer:
    return Answer(409, SIZE_TYPE, f"{seen.size}\n".encode())


def _refuse(status: int, said: str) -> Answer:
    return Answer(status, _TEXT, f"{said}\n".encode())
