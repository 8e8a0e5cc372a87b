"""Checkpoints: the signed head of the log (C2SP tlog-checkpoint v1.0.0).

Three lines, each ended by a newline: the log's origin, its size in decimal, its root in base64.
Rule 1: there are no extension lines: signers and verifiers differ in whether they sign them.
Rule 2: the origin is the name of the log's key. A log never signs two heads that contradict one
another, so a copy that goes on by itself is another log, and needs another origin.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.errors import ProofInvalid
from ledger.merkle import HASH_SIZE, TreeHead, root
from ledger.note import decode, encode, format_note, is_name, open_note, parse_note, sign_text
from ledger.signing import Check, Signer, VerifierKey

# Longer ones do not fit into every kind of cosignature.
MOST_ORIGIN_BYTES = 255


class Checkpoint(msgspec.Struct, frozen=True):
    """What the log of this *origin* was: so many leaves, under this root."""

    origin: str
    size: int
    root: bytes


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """Return the text that is signed."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{encode(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that a note's text spells; raises `ProofInvalid`."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise ProofInvalid("cannot read checkpoint: it is not three lines")
    origin, size = lines[0], parse_size(lines[1])
    if not is_name(origin) or len(origin.encode()) > MOST_ORIGIN_BYTES:
        raise ProofInvalid(f"cannot read checkpoint: {origin!r} is not an origin")
    whole = decode(lines[2], "checkpoint")
    if len(whole) != HASH_SIZE:
        raise ProofInvalid("cannot read checkpoint: its root is not a hash")
    return Checkpoint(origin, size, whole)


def parse_size(text: str) -> int:
    """Return a size of at most 63 bits that is spelled in decimal; raises `ProofInvalid`."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ProofInvalid(f"cannot read size {text!r}: it is not a decimal number")
    size = int(text)
    if str(size) != text or size >= 2**63:
        raise ProofInvalid(f"cannot read size {text!r}: it is not how a size is written")
    return size


def read_checkpoint(data: bytes) -> Checkpoint:
    """Return what a signed checkpoint says, whoever signed it; raises `ProofInvalid`."""
    return parse_checkpoint(parse_note(data).text)


def open_checkpoint(data: bytes, keys: Sequence[VerifierKey], check: Check) -> Checkpoint:
    """
    Return what a checkpoint says that one of *keys*, of the name of its origin, signed.

    Raises `ProofInvalid`.
    """
    checkpoint = read_checkpoint(data)
    open_note(data, [key for key in keys if key.name == checkpoint.origin], check)
    return checkpoint


def is_head_signed(head: TreeHead, note: bytes, keys: Sequence[VerifierKey], check: Check) -> bool:
    """Say whether *note* is the checkpoint of *head*, and one of *keys* signed it."""
    try:
        said = open_checkpoint(note, keys, check)
    except ProofInvalid:
        return False
    return (said.size, said.root) == (head.size, root(head))


def sign_head(head: TreeHead, origin: str, signers: Sequence[Signer]) -> bytes:
    """Return the checkpoint of *head* as a note that all of *signers* signed."""
    checkpoint = Checkpoint(origin, head.size, root(head))
    return format_note(sign_text(format_checkpoint(checkpoint), signers))
