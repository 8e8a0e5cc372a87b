"""Keys that are the same at every start, and lie in no file."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.ed25519_signer import Ed25519Signer
from ledger.checkpoint import sign_head
from ledger.merkle import TreeHead
from ledger.note import format_vkey


class FakeKeys:
    """The `LogKeys` of the log *name*: one key, made of *letter*."""

    def __init__(self, name: str, letter: bytes = b"k") -> None:
        self.name = name
        self._signers = (Ed25519Signer(name, letter * 32),)

    def signers(self) -> Sequence[Ed25519Signer]:
        """Return who signs."""
        return self._signers

    def sign(self, head: TreeHead) -> bytes:
        """Return the checkpoint of *head*."""
        return sign_head(head, self.name, self._signers)

    def is_signed(self, head: TreeHead, note: bytes) -> bool:
        """Say whether the key signed *note*, of *head*."""
        return note == self.sign(head)

    def make(self) -> str:
        """Return the key as a vkey."""
        return format_vkey(self._signers[0].key)
