"""Ed25519 (RFC 8032) by the library `cryptography`: who signs, and whether a signature is right.

Rule: the library is imported with the first signature; a command that neither signs nor checks
pays nothing for it.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from ledger.errors import KeyRefused, ProofInvalid
from ledger.note import decode, encode, is_name
from ledger.signing import ED25519, VerifierKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED_BYTES = 32
_PRIVATE = "PRIVATE+KEY"


class Ed25519Signer:
    """Signs with the key that grows out of a *seed* of 32 bytes, under *name*."""

    def __init__(self, name: str, seed: bytes, algorithm: int = ED25519) -> None:
        if not is_name(name) or len(seed) != SEED_BYTES:
            raise KeyRefused(f"cannot use key {name!r}: its name or its length is wrong")
        self._name = name
        self._seed = seed
        self._algorithm = algorithm

    @cached_property
    def key(self) -> VerifierKey:
        """The key's public half."""
        return VerifierKey(self._name, self._algorithm, self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature of *message*."""
        return self._key.sign(message)

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._seed)

    def text(self) -> str:
        """Return the secret key as files keep it, `PRIVATE+KEY+NAME+ID+BASE64`, as Go has it."""
        body = encode(bytes([self._algorithm]) + self._seed)
        return f"{_PRIVATE}+{self._name}+{self.key.id.hex()}+{body}"


def make_signer(name: str, algorithm: int = ED25519) -> Ed25519Signer:
    """Return a signer with a new key."""
    return Ed25519Signer(name, os.urandom(SEED_BYTES), algorithm)


def parse_signer(text: str) -> Ed25519Signer:
    """Return the signer of a secret key as `Ed25519Signer.text` spells it; raises `KeyRefused`."""
    # What is wrong with a secret key is never said by quoting it.
    broken = KeyRefused("cannot use the signing key: its file does not hold one, or is damaged")
    parts = text.split("+", 4)
    if len(parts) != 5 or "+".join(parts[:2]) != _PRIVATE:
        raise broken
    try:
        raw = decode(parts[4], "key")
    except ProofInvalid:
        raise broken from None
    if len(raw) != 1 + SEED_BYTES:
        raise broken
    signer = Ed25519Signer(parts[2], raw[1:], raw[0])
    if signer.key.id.hex() != parts[3]:
        raise broken
    return signer


def check_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether *signature* of *message* is by *public*; it is a `ledger.signing.Check`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
