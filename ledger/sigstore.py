"""A signed Statement and its place in the log in Sigstore's forms, for verifiers of others.

Rule: these are encodings of what is proved elsewhere; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ledger.checkpoint import read_checkpoint
from ledger.dsse import KEY_DETAILS, envelope, format_public_key, log_entry, parse_public_key
from ledger.events import SignedStatement
from ledger.note import encode
from ledger.signing import ED25519, VerifierKey

BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
TRUSTED_ROOT: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


def make_bundle(
    signed: SignedStatement, position: int, hashes: Sequence[bytes], note: bytes, key: VerifierKey
) -> dict[str, Any]:
    """
    Return the bundle of a signed Statement whose log entry is the leaf at *position*.

    *hashes* prove it under the checkpoint *note*, which *key* has signed.
    """
    checkpoint = read_checkpoint(note)
    payload, index = signed.statement.encode(), str(position)
    entry = {
        "logIndex": index,
        "logId": {"keyId": encode(key.digest)},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "inclusionProof": {
            "logIndex": index,
            "rootHash": encode(checkpoint.root),
            "treeSize": str(checkpoint.size),
            "hashes": [encode(one) for one in hashes],
            "checkpoint": {"envelope": note.decode()},
        },
        "canonicalizedBody": encode(log_entry(payload, signed.signature, signed.public_key)),
    }
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": {
            "publicKey": {"hint": _hint(key.name, signed.public_key)},
            "tlogEntries": [entry],
        },
        "dsseEnvelope": envelope(payload, signed.signature),
    }


def _hint(name: str, public_key: str) -> str:
    """Return the id of the key that signed the Statement; the log may have another one by now."""
    return VerifierKey(name, ED25519, parse_public_key(public_key)).id.hex()


def format_trusted_root(keys: Sequence[VerifierKey]) -> bytes:
    """
    Return a Sigstore trusted root (v0.1) of the log that *keys* sign, for others' verifiers.

    A key is valid by the log's size, which a trusted root cannot say; it is valid for all time.
    """
    begin = datetime.fromtimestamp(0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    logs = [
        {
            "baseUrl": f"https://{key.name}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": format_public_key(key.public),
                "keyDetails": KEY_DETAILS,
                "validFor": {"start": begin},
            },
            "logId": {"keyId": encode(key.digest)},
        }
        for key in keys
    ]
    root: dict[str, Any] = {"mediaType": TRUSTED_ROOT, "tlogs": logs}
    for nothing in ("certificateAuthorities", "ctlogs", "timestampAuthorities"):
        root[nothing] = []
    return msgspec.json.format(msgspec.json.encode(root), indent=2) + b"\n"
