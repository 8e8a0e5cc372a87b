"""The signed heads that are kept: published, and cosigned by witnesses.

Rule: a kept head only ever gains signatures. Two that add to the same one at once lose none.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.checkpoint import read_checkpoint
from ledger.errors import KeyRefused, ProofInvalid
from ledger.note import Signature, format_note, parse_note, with_signatures
from ledger.store import Store


def publish_head(store: Store) -> bytes:
    """
    Return the signed head of the log with every cosignature that it has, and keep it.

    Raises `KeyRefused` if there is none: nothing is recorded, or nobody signed it.
    """
    note = store.head_note()
    if not note:
        raise KeyRefused("cannot publish the head of the log: nobody has signed it")
    return add_signatures(store, read_checkpoint(note).size, note, ())


def add_signatures(store: Store, size: int, note: bytes, signatures: Sequence[Signature]) -> bytes:
    """
    Keep *note*, the head of *size*, with *signatures* below it; return it as it is kept.

    Raises `ProofInvalid` if what is kept of that size is another head.
    """
    while True:
        kept = store.checkpoint(size)
        whole = parse_note(note)
        if kept is not None:
            before = parse_note(kept)
            if before.text != whole.text:
                raise ProofInvalid(f"cannot keep the head of {size} events: another one is kept")
            whole = with_signatures(before, whole.signatures)
        added = format_note(with_signatures(whole, signatures))
        if added == kept or store.keep_checkpoint(size, added, instead_of=kept):
            return added
