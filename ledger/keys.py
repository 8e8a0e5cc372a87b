"""Which key signs the log, from which size on: what the log itself says of its keys.

Rule 1: a key is valid by the log's size, never by a clock. `LedgerCreated` names the first one; a
`KeyChanged` at position p names the one that signs every larger size than p.
Rule 2: whoever trusts a key trusts the next one only because the old key says so: `KeyChanged`
holds a note, signed by both. A key that was lost says nothing, and the trust ends there.
Rule 3: that note is never taken for a checkpoint: its second line is no number.

The text of the note, with the vkey of the new key:

    gesta/4f1c2a5e-6a0e-4d6a-9f2b-0a4c6f1b7d11
    is signed from now on by the key
    gesta/4f1c2a5e-6a0e-4d6a-9f2b-0a4c6f1b7d11+2b6f5a0c+AT0o…
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ledger.errors import ProofInvalid
from ledger.events import KeyChanged, LedgerCreated, LedgerEvent, LedgerRestored
from ledger.note import check_note, format_note, format_vkey, parse_note, parse_vkey, sign_text
from ledger.signing import Check, Signer, VerifierKey

_SENTENCE = "is signed from now on by the key"


class Epoch(msgspec.Struct, frozen=True):
    """
    *key* signs the sizes above *position*, up to where the next epoch begins.

    *vouched* says whether the key before it said so; of the first one nobody can.
    """

    position: int
    key: VerifierKey
    vouched: bool


def change_note(new: Signer, old: Sequence[Signer]) -> str:
    """Return what a `KeyChanged` holds: that *new* signs from now on, signed by it and by *old*."""
    return format_note(sign_text(_text(new.key), [new, *old])).decode()


class KeyHistory:
    """
    The keys of a log, read off its own stream in order; *check* is Ed25519's.

    *epochs* are those that are known from before.
    """

    def __init__(self, check: Check, epochs: Iterable[Epoch] = ()) -> None:
        self._check = check
        self.epochs = list(epochs)

    def take(self, position: int, event: LedgerEvent) -> None:
        """Take in what the ledger's stream says at *position*; raises `ProofInvalid`."""
        match event:
            case LedgerCreated(key=None):
                return
            case LedgerCreated(key=str(text)) | LedgerRestored(key=text):
                self.epochs.append(Epoch(position, parse_vkey(text), vouched=False))
            case KeyChanged():
                key = parse_vkey(event.key)
                self.epochs.append(Epoch(position, key, vouched=self._vouched(key, event.note)))

    def at(self, size: int) -> VerifierKey | None:
        """Return the key that signs the log of *size* leaves, or `None` if it is not known."""
        for epoch in reversed(self.epochs):
            if epoch.position < size:
                return epoch.key
        return None

    def reaches(self, key: VerifierKey, size: int) -> bool:
        """Say whether whoever trusts *key* may trust the one that signs the log of *size*."""
        trusted = False
        for epoch in self.epochs:
            if epoch.position < size:
                trusted = epoch.key == key or (trusted and epoch.vouched)
        return trusted

    def _vouched(self, key: VerifierKey, note: str | None) -> bool:
        if note is None or not self.epochs:
            return False
        parsed, old = parse_note(note.encode()), self.epochs[-1].key
        if parsed.text != _text(key):
            raise ProofInvalid(f"cannot trust {format_vkey(key)}: its note is about another key")
        signers = {one for one, _ in check_note(parsed, [old, key], self._check).signers}
        if old not in signers:
            raise ProofInvalid(f"cannot trust {format_vkey(key)}: the key before it did not sign")
        return True


def _text(key: VerifierKey) -> str:
    return f"{key.name}\n{_SENTENCE}\n{format_vkey(key)}\n"
