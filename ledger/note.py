"""Signed notes: a text, and below a blank line who signed it (C2SP signed-note v1.0.0).

    gesta/4f1c2a5e-6a0e-4d6a-9f2b-0a4c6f1b7d11
    128
    9EfvkSIwWcf8Cnf6VNXF5mSvSUI3WZpMlNPUj05Xm0c=

    — gesta/4f1c2a5e-6a0e-4d6a-9f2b-0a4c6f1b7d11 base64(key id || signature)

Rule 1: one value has one spelling. What is parsed and formatted again is the same bytes.
Rule 2: a signature by an unknown key is ignored; one by a known key that is wrong rejects the
whole note.
Rule 3: what is signed follows from the key's algorithm alone: the text itself (0x01), or the text
under a time (0x04, C2SP tlog-cosignature v1).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence

import msgspec

from ledger.errors import ProofInvalid
from ledger.signing import COSIGNATURE, ED25519, Check, Signer, VerifierKey

# More than anybody needs; whoever sends more only wants us to be busy.
MOST_SIGNATURES = 100
MOST_BYTES = 1_000_000
_DASH = "\N{EM DASH} "
_TIME_BYTES = 8


class Signature(msgspec.Struct, frozen=True):
    """One signature line: whose it claims to be, and what stands after the key id."""

    name: str
    key_id: bytes
    value: bytes


class Note(msgspec.Struct, frozen=True):
    """A text that ends in a newline, and its signatures; nothing of it is checked yet."""

    text: str
    signatures: tuple[Signature, ...]


class Opened(msgspec.Struct, frozen=True):
    """A note's text, and the keys whose signatures are right, each with its cosigned time."""

    text: str
    signers: tuple[tuple[VerifierKey, int | None], ...]


def format_vkey(key: VerifierKey) -> str:
    """Return a key's one spelling, `NAME+ID+BASE64` (C2SP signed-note, "Verifier keys")."""
    return f"{key.name}+{key.id.hex()}+{encode(bytes([key.algorithm]) + key.public)}"


def parse_vkey(text: str) -> VerifierKey:
    """Return the key that *text* spells; raises `ProofInvalid`."""
    name, _, rest = text.partition("+")
    key_id, _, body = rest.partition("+")
    raw = decode(body, "key")
    if not is_name(name) or len(raw) != 33 or raw[0] not in {ED25519, COSIGNATURE}:
        raise ProofInvalid(f"cannot use key {text!r}: it is not NAME+ID+KEY of an Ed25519 key")
    key = VerifierKey(name, raw[0], raw[1:])
    if key.id.hex() != key_id:
        raise ProofInvalid(f"cannot use key {text!r}: its id is not that of its name and key")
    return key


def format_note(note: Note) -> bytes:
    """Return a note's bytes."""
    lines = [format_signature(one) for one in note.signatures]
    return f"{note.text}\n{''.join(lines)}".encode()


def format_signature(signature: Signature) -> str:
    """Return a signature's line, with its newline."""
    return f"{_DASH}{signature.name} {encode(signature.key_id + signature.value)}\n"


def parse_note(data: bytes) -> Note:
    """Return the note that *data* spells; raises `ProofInvalid`."""
    if len(data) > MOST_BYTES:
        raise ProofInvalid(f"cannot read note: it is larger than {MOST_BYTES} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise ProofInvalid(f"cannot read note: it is not UTF-8 ({error.reason})") from error
    if any(character < " " and character != "\n" for character in whole):
        raise ProofInvalid("cannot read note: it has control characters")
    above, blank, below = whole.rpartition("\n\n")
    if not blank or not below:
        raise ProofInvalid("cannot read note: it has no signatures")
    return Note(f"{above}\n", parse_signatures(below))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Return the signatures of lines as `format_signature` makes them; raises `ProofInvalid`."""
    *each, last = lines.split("\n")
    if last or len(each) > MOST_SIGNATURES:
        raise ProofInvalid("cannot read note: its last line does not end, or it has too many")
    return tuple(_parse_signature(line) for line in each)


def _parse_signature(line: str) -> Signature:
    name, space, body = line.removeprefix(_DASH).partition(" ")
    raw = decode(body, "signature")
    if not line.startswith(_DASH) or not space or not is_name(name) or len(raw) < 5:
        raise ProofInvalid(f"cannot read note: {line!r} is not a signature")
    return Signature(name, raw[:4], raw[4:])


def sign_text(text: str, signers: Iterable[Signer]) -> Note:
    """Return *text* (which ends in a newline) signed by every one of *signers*."""
    message = text.encode()
    return Note(
        text,
        tuple(Signature(one.key.name, one.key.id, one.sign(message)) for one in signers),
    )


def cosign_text(text: str, signer: Signer, time: int) -> Signature:
    """Return a witness's signature of *text* as of *time*, in seconds since 1970."""
    value = signer.sign(cosignature_message(text, time))
    return Signature(signer.key.name, signer.key.id, time.to_bytes(_TIME_BYTES, "big") + value)


def cosignature_message(text: str, time: int) -> bytes:
    """Return what a witness signs (C2SP tlog-cosignature v1)."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def open_note(data: bytes, keys: Sequence[VerifierKey], check: Check) -> Opened:
    """
    Return a note's text and who of *keys* signed it, at least one of them.

    Raises `ProofInvalid` for bytes that are no note, for a signature by one of *keys* that is
    wrong, and if none of them signed.
    """
    opened = check_note(parse_note(data), keys, check)
    if not opened.signers:
        raise ProofInvalid("cannot trust note: no known key signed it")
    return opened


def check_note(note: Note, keys: Sequence[VerifierKey], check: Check) -> Opened:
    """Return who of *keys* signed *note*, perhaps nobody; raises `ProofInvalid` as `open_note`."""
    known = {(key.name, key.id): key for key in keys}
    signers: dict[VerifierKey, int | None] = {}
    for one in note.signatures:
        key = known.get((one.name, one.key_id))
        if key is None:
            continue
        time, message, signature = _signed(note.text, key, one.value)
        if not check(key.public, message, signature):
            raise ProofInvalid(f"cannot trust note: the signature of {key.name} is wrong")
        signers.setdefault(key, time)
    return Opened(note.text, tuple(signers.items()))


def _signed(text: str, key: VerifierKey, value: bytes) -> tuple[int | None, bytes, bytes]:
    if key.algorithm == ED25519:
        return None, text.encode(), value
    time = int.from_bytes(value[:_TIME_BYTES], "big")
    return time, cosignature_message(text, time), value[_TIME_BYTES:]


def with_signatures(note: Note, more: Iterable[Signature]) -> Note:
    """Return *note* with *more* signatures below its own, those that it has left out."""
    found = dict.fromkeys([*note.signatures, *more])
    return Note(note.text, tuple(found))


def is_name(name: str) -> bool:
    """Say whether a key may have this name: Unicode, not empty, no space, no plus, no control."""
    return bool(name) and not any(
        character == "+"
        or character < "!"
        or character.isspace()
        or "\ud800" <= character <= "\udfff"
        for character in name
    )


def encode(data: bytes) -> str:
    """Return *data* in base64 (RFC 4648 section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode(text: str, what: str) -> bytes:
    """Return what *text* spells in base64, if that is its one spelling; raises `ProofInvalid`."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofInvalid(f"cannot read {what}: {text!r} is not base64") from error
    if encode(raw) != text:
        raise ProofInvalid(f"cannot read {what}: {text!r} is not how base64 spells it")
    return raw
