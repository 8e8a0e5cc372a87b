"""A proof that travels: one leaf's place in the log, with the checkpoint that it leads to.

The text is that of C2SP tlog-proof, here of leaf 2 of 4 (three dots stand for the rest of a line):

    c2sp.org/tlog-proof@v1
    extra aGVsbG8=
    index 2
    W6UrjH3uTDFIl5oqCnXG7zcmz5RFRy3PsZKBNp3aTQs=
    xMVjD5sqAwxbFa9oW+yHOuaTF2S7pYrz7yJrIH8RhKY=

    gesta/7d444840-…
    4
    …

Rule 1: one proof has one text; whatever else is read is refused.
Rule 2: *extra* is proved by nothing. Who reads it knows that.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.checkpoint import Checkpoint, open_checkpoint, parse_size, read_checkpoint
from ledger.errors import ProofInvalid
from ledger.merkle import HASH_SIZE
from ledger.note import decode, encode
from ledger.proofs import check_inclusion
from ledger.signing import Check, VerifierKey

_TITLE = "c2sp.org/tlog-proof@v1"
# The longest path in a tree whose size is of 63 bits.
MOST_HASHES = 63


class TlogProof(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a leaf stands, the hashes that prove it, and the signed checkpoint that they lead to.

    *extra* is whatever its maker wanted to travel along, not empty; nothing proves it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def format_tlog_proof(proof: TlogProof) -> bytes:
    """Return the proof's text."""
    lines = [_TITLE]
    if proof.extra is not None:
        lines.append(f"extra {encode(proof.extra)}")
    lines += [f"index {proof.index}", *map(encode, proof.hashes)]
    return "".join(f"{line}\n" for line in [*lines, ""]).encode() + proof.checkpoint


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Return the proof that *data* spells, nothing of it checked; raises `ProofInvalid`."""
    above, blank, checkpoint = data.partition(b"\n\n")
    try:
        title, *lines = above.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise ProofInvalid("cannot read proof: it is not ASCII down to its checkpoint") from error
    if title != _TITLE or not blank:
        raise ProofInvalid(f"cannot read proof: it is not {_TITLE} with a checkpoint below")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = decode(lines.pop(0).removeprefix("extra "), "proof")
        if not extra:
            raise ProofInvalid("cannot read proof: its extra line is empty")
    if not lines or not lines[0].startswith("index "):
        raise ProofInvalid("cannot read proof: it has no index")
    index, hashes = parse_size(lines[0].removeprefix("index ")), parse_hashes(lines[1:])
    read_checkpoint(checkpoint)
    return TlogProof(index=index, hashes=hashes, checkpoint=checkpoint, extra=extra)


def parse_hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    """Return the hashes of a proof, each of *lines* one in base64; raises `ProofInvalid`."""
    if len(lines) > MOST_HASHES:
        raise ProofInvalid(f"cannot read proof: it has {len(lines)} hashes, no proof has so many")
    hashes = tuple(decode(line, "proof") for line in lines)
    if any(len(one) != HASH_SIZE for one in hashes):
        raise ProofInvalid("cannot read proof: a hash does not have 32 bytes")
    return hashes


def check_tlog_proof(
    proof: TlogProof, leaf: bytes, keys: Sequence[VerifierKey], check: Check
) -> Checkpoint:
    """
    Return the checkpoint, signed by one of the log's *keys*, that the leaf hash *leaf* is under.

    Raises `ProofInvalid`.
    """
    checkpoint = open_checkpoint(proof.checkpoint, keys, check)
    check_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return checkpoint
