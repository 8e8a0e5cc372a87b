"""DSSE 1.0.2: what is signed of a payload, the envelope, and the envelope's entry in a log.

Rule 1: the signature is over the payload's type and bytes, under lengths; no other pair of type
and payload has the same bytes to sign.
Rule 2: an entry in the log is the body that Rekor v2 logs (`hashedrekord` 0.0.2), in the one
spelling of RFC 8785, so that whoever checks Sigstore bundles can check ours.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec

from ledger.errors import ProofInvalid
from ledger.note import decode, encode
from ledger.signing import Check

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
KEY_DETAILS: Final = "PKIX_ED25519"
_PUBLIC_BYTES = 32
# What stands before the 32 bytes of an Ed25519 key in DER (RFC 8410 section 4).
_SPKI = bytes.fromhex("302a300506032b6570032100")
_encoder = msgspec.json.Encoder(order="sorted")


def pre_authentication(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the bytes that are signed, DSSE's PAE."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def format_public_key(public: bytes) -> str:
    """Return an Ed25519 key as SubjectPublicKeyInfo, DER in base64."""
    return encode(_SPKI + public)


def parse_public_key(text: str) -> bytes:
    """Return the 32 bytes of the key that *text* spells; raises `ProofInvalid`."""
    raw = decode(text, "key")
    if not raw.startswith(_SPKI) or len(raw) != len(_SPKI) + _PUBLIC_BYTES:
        raise ProofInvalid("cannot read key: it is not an Ed25519 key in DER")
    return raw[len(_SPKI) :]


def check_signature(payload: bytes, signature: str, public_key: str, check: Check) -> None:
    """Check a payload's *signature* by *public_key*, both in base64; raises `ProofInvalid`."""
    public, value = parse_public_key(public_key), decode(signature, "signature")
    if not check(public, pre_authentication(payload), value):
        raise ProofInvalid("cannot trust statement: its signature is not by the key beside it")


def envelope(payload: bytes, signature: str) -> dict[str, Any]:
    """Return the envelope of a payload with its one signature, in base64."""
    return {
        "payload": encode(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": "", "sig": signature}],
    }


def log_entry(payload: bytes, signature: str, public_key: str) -> bytes:
    """Return the entry that a log has for an envelope: Rekor v2's `hashedrekord` body."""
    digest = sha256(pre_authentication(payload)).digest()
    verifier = {"keyDetails": KEY_DETAILS, "publicKey": {"rawBytes": public_key}}
    return _encoder.encode(
        {
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {
                "hashedRekordV002": {
                    "data": {"algorithm": "SHA2_256", "digest": encode(digest)},
                    "signature": {"content": signature, "verifier": verifier},
                }
            },
        }
    )
