"""What the proofs need of a key: a public name, and somebody who signs or checks with it.

Rule 1: a key is known by its name and its id together; the id alone is short and can collide.
Rule 2: a `Signer` may keep its key anywhere (a file, an agent, a hardware module): nobody here
sees more of it than its public half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, Protocol

import msgspec

from ledger.merkle import TreeHead

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04

# Says whether (public key, message, signature) go together, by Ed25519 (RFC 8032).
Check = Callable[[bytes, bytes, bytes], bool]


class VerifierKey(msgspec.Struct, frozen=True):
    """
    The public half of a key, under its name; `ledger.note` has its one spelling.

    *algorithm* is a signature type of the C2SP signed note: `ED25519` for a log, `COSIGNATURE`
    for a witness. *public* are the 32 bytes of the Ed25519 key.
    """

    name: str
    algorithm: int
    public: bytes

    @property
    def digest(self) -> bytes:
        """The SHA-256 of name, algorithm and key, whole, as Sigstore has it for a log's id."""
        name = self.name.encode()
        return sha256(b"%s\n%c%s" % (name, self.algorithm, self.public)).digest()

    @property
    def id(self) -> bytes:
        """The four bytes that stand before a signature (C2SP signed-note, "Signature types")."""
        return self.digest[:4]


class Signer(Protocol):
    """Signs for one key."""

    @property
    def key(self) -> VerifierKey:
        """The key's public half."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature of *message*."""


class HeadKeys(Protocol):
    """What signs the heads of one log, and knows its own signature again."""

    def sign(self, head: TreeHead) -> bytes:
        """Return the checkpoint of *head*, signed; raises `KeyRefused`."""

    def is_signed(self, head: TreeHead, note: bytes) -> bool:
        """Say whether *note* is the checkpoint of *head*, and a key of ours signed it."""


class LogKeys(HeadKeys, Protocol):
    """The keys that sign one log."""

    @property
    def name(self) -> str:
        """The log's origin, which is the name of all of them."""

    def signers(self) -> Sequence[Signer]:
        """
        Return who signs now: the log's key, and while it is being replaced the old one after it.

        Raises `KeyRefused`.
        """
