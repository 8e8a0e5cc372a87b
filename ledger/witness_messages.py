"""What is said to a witness, and what one answers (C2SP tlog-witness v1.0.0).

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    …
    (an empty line, then the signed checkpoint)

Rule: one spelling, as everywhere: what is parsed is refused unless it is written like this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ledger.checkpoint import parse_size
from ledger.errors import ProofInvalid
from ledger.merkle import HASH_SIZE
from ledger.note import decode, encode

SIZE_TYPE: Final = "text/x.tlog.size"
MOST_HASHES: Final = 63
_OLD = "old "


class Submission(msgspec.Struct, frozen=True):
    """A head for a witness: the *old* size that it knows, the proof from there, and the note."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes


def format_submission(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Return the body of an `add-checkpoint` request."""
    lines = "".join(f"{encode(one)}\n" for one in proof)
    return f"{_OLD}{old}\n{lines}\n".encode() + note


def parse_submission(body: bytes) -> Submission:
    """Return what the body of an `add-checkpoint` request says; raises `ProofInvalid`."""
    above, blank, note = body.partition(b"\n\n")
    try:
        first, *proof = above.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise ProofInvalid("cannot read request: its lines are not ASCII") from error
    if not blank or not first.startswith(_OLD) or len(proof) > MOST_HASHES:
        raise ProofInvalid("cannot read request: it is not an old size, a proof and a checkpoint")
    hashes = tuple(decode(line, "proof") for line in proof)
    if any(len(one) != HASH_SIZE for one in hashes):
        raise ProofInvalid("cannot read request: a hash of the proof has not 32 bytes")
    return Submission(parse_size(first.removeprefix(_OLD)), hashes, note)


def parse_conflict(body: bytes) -> int:
    """Return the size that a witness says it is at (status 409); raises `ProofInvalid`."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError as error:
        raise ProofInvalid("cannot read the witness's answer: it is not a size") from error
    if not text.endswith("\n"):
        raise ProofInvalid("cannot read the witness's answer: it is not a size")
    return parse_size(text[:-1])
