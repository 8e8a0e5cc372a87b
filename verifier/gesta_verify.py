#!/usr/bin/env python3
"""
Check what a gesta ledger handed out of a run, with nothing of gesta installed.

    python3 gesta_verify.py EVIDENCE --key VKEY
    python3 gesta_verify.py EVIDENCE --policy FILE [--known-checkpoint FILE]

One file, the standard library alone, Python 3.9 or newer. It shares no code with gesta; it is
written from the formats: RFC 8032 (Ed25519), RFC 9162 section 2.1 (Merkle trees), DSSE 1.0.2,
in-toto Statement v1, the Sigstore bundle v0.3, and C2SP's signed-note, tlog-checkpoint,
tlog-cosignature and tlog-policy.

EVIDENCE is what `gesta evidence` wrote, or the Sigstore bundle alone. Get the key from somewhere
else than the file: a key that travels with what it signs proves nothing.

Exit codes: 0 all that was asked holds, 1 INVALID, 2 wrong usage, 3 DIVERGED.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import sys
import unicodedata
from datetime import datetime, timezone

EVIDENCE = "application/vnd.gesta.evidence.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
LINK = "https://in-toto.io/attestation/link/v0.3"
SEALED = "run.sealed.2"
SPKI = bytes.fromhex("302a300506032b6570032100")
LOG, COSIGNATURE = 1, 4


class Invalid(Exception):
    """What was handed in does not hold; the text says where."""


class Diverged(Exception):
    """It holds, and contradicts a head of the same log that somebody kept."""


class Usage(Exception):
    """The question cannot be asked like this."""


# ---- Ed25519 (RFC 8032 section 5.1) -----------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def recover_x(y: int, sign: int) -> int | None:
    """Return the x that goes with *y* (section 5.1.3), or None."""
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


def decompress(data: bytes) -> tuple | None:
    """Return the point that 32 bytes spell, or None (section 5.1.3)."""
    number = int.from_bytes(data, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def add(one: tuple, other: tuple) -> tuple:
    """Add two points in extended coordinates (section 5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, point: tuple) -> tuple:
    """Multiply a point by a number."""
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether *signature* of *message* is by *public* (section 5.1.7, without cofactor)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left = multiply(s, BASE)
    right = add(r, multiply(int.from_bytes(digest, "little") % L, key))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % P == 0


# ---- Merkle trees (RFC 9162 section 2.1) ------------------------------------------------------


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of *data*."""
    return hashlib.sha256(data).digest()


def tree_root(leaves: list) -> bytes:
    """Return MTH over leaf hashes, level by level; an odd last one goes up as it is."""
    level = list(leaves)
    if not level:
        return sha256(b"")
    while len(level) > 1:
        pairs = [sha256(b"\x01" + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]


def check_inclusion(leaf: bytes, index: int, size: int, path: list, root: bytes) -> None:
    """Check a leaf's place in a tree: the turns from the root down, then the hashes upwards."""
    if not 0 <= index < size:
        raise Invalid(f"inclusion: there is no leaf {index} in a log of {size}")
    turns = []
    while size > 1:
        half = 1 << (size - 1).bit_length() - 1
        turns.append(index >= half)
        index, size = (index - half, size - half) if index >= half else (index, half)
    if len(path) != len(turns):
        raise Invalid(f"inclusion: {len(path)} hashes where {len(turns)} are needed")
    computed = leaf
    for is_right, sibling in zip(reversed(turns), path):
        computed = sha256(b"\x01" + (sibling + computed if is_right else computed + sibling))
    if computed != root:
        raise Invalid("inclusion: the path does not lead to the root of the checkpoint")


def consistent_roots(old: int, new: int, path: list, old_root: bytes) -> tuple | None:
    """Return both roots that a consistency proof leads to, or None if it has another length."""
    turns, is_whole, size = [], True, new
    while old != size:
        half = 1 << (size - 1).bit_length() - 1
        turns.append(old > half)
        if old > half:
            old, size, is_whole = old - half, size - half, False
        else:
            size = half
    path = list(path)
    if len(path) != len(turns) + (not is_whole):
        return None
    first = second = old_root if is_whole else path.pop(0)
    for is_right, sibling in zip(reversed(turns), path):
        if is_right:
            first, second = sha256(b"\x01" + sibling + first), sha256(b"\x01" + sibling + second)
        else:
            second = sha256(b"\x01" + second + sibling)
    return first, second


# ---- forms: one value, one spelling -----------------------------------------------------------


def unbase64(text: object, what: str, size: int | None = None) -> bytes:
    """Return what *text* spells in base64, if that is its one spelling and of this size."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Invalid(f"{what}: not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise Invalid(f"{what}: not how base64 spells it")
    if size not in (None, len(raw)):
        raise Invalid(f"{what}: {len(raw)} bytes where {size} belong")
    return raw


def decimal(text: str, what: str) -> int:
    """Return a decimal number that is spelled without leading zeros."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and str(int(text)) == text):
        raise Invalid(f"{what}: not how a number is written")
    return int(text)


def loads(text: object, what: str) -> object:
    """Return what *text* spells in JSON; no object names a key twice."""

    def unique(pairs: list) -> dict:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Invalid(f"{what}: a key is there twice")
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise Invalid(f"{what}: not JSON") from None


def spell(value: object) -> bytes:
    """Return JSON with sorted keys and no spaces, in UTF-8."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except RecursionError:
        raise Invalid("file: nested too deeply") from None
    return utf8(text)


def utf8(text: str) -> bytes:
    """Return the bytes of *text*; what is no Unicode has bytes that nothing else has."""
    return text.encode("utf-8", "surrogatepass")


def get(value: object, kind: type, *names: object) -> object:
    """Return what *value* has under *names*, one below the other, if it is of this *kind*."""
    at = "file"
    for name in names:
        at = f"{at}.{name}"
        if isinstance(name, int):
            value = value[name] if isinstance(value, list) and len(value) > name else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Invalid(f"{at}: missing, or of another kind")
    return value


# ---- keys, notes, checkpoints, policies (C2SP) ------------------------------------------------


class Key:
    """A public key under its name; *algorithm* is 1 for a log and 4 for a witness."""

    def __init__(self, vkey: str) -> None:
        name, _, rest = vkey.partition("+")
        key_id, _, body = rest.partition("+")
        try:
            raw = unbase64(body, "key", 33)
        except Invalid:
            raw = b"\0"
        if not is_name(name) or raw[0] not in (LOG, COSIGNATURE):
            raise Usage(f"cannot use key {vkey!r}: it is not NAME+ID+KEY of an Ed25519 key")
        self.name, self.algorithm, self.public = name, raw[0], raw[1:]
        self.digest = sha256(name.encode() + b"\n" + raw)
        if self.digest[:4].hex() != key_id:
            raise Usage(f"cannot use key {vkey!r}: its id is not that of its name and key")


def is_name(text: str) -> bool:
    """Say whether a key may have this name."""
    return bool(text) and not any(
        character == "+" or character.isspace() or unicodedata.category(character)[0] == "C"
        for character in text
    )


def read_note(data: object, what: str) -> tuple:
    """Return the text of a signed note, and its signatures: name, key id, the rest."""
    try:
        whole = data.decode() if isinstance(data, bytes) else data
        whole.encode()
    except UnicodeError:
        raise Invalid(f"{what}: not UTF-8") from None
    text, blank, below = whole.rpartition("\n\n")
    if not blank or not below.endswith("\n") or any(c < " " and c != "\n" for c in whole):
        raise Invalid(f"{what}: not a signed note")
    signatures = []
    for line in below[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, body = rest.partition(" ")
        raw = unbase64(body, what)
        if dash != "\N{EM DASH}" or not is_name(name) or len(raw) < 5:
            raise Invalid(f"{what}: not a signed note")
        signatures.append((name, raw[:4], raw[4:]))
    return text + "\n", signatures


def signers(text: str, signatures: list, keys: list, what: str) -> dict:
    """Return which of *keys* signed, with the witnesses' times; a wrong one rejects the note."""
    found = {}
    for name, key_id, value in signatures:
        for key in keys:
            if (key.name, key.digest[:4]) != (name, key_id):
                continue
            time, message, signature = None, text.encode(), value
            if key.algorithm == COSIGNATURE:
                time, signature = int.from_bytes(value[:8], "big"), value[8:]
                message = f"cosignature/v1\ntime {time}\n".encode() + message
            if not ed25519(key.public, message, signature):
                raise Invalid(f"{what}: the signature of {name} is wrong")
            found.setdefault(key, time)
            break
    return found


class Checkpoint:
    """A log's head as somebody signed it."""

    def __init__(self, data: object, what: str) -> None:
        self.text, self.signatures = read_note(data, what)
        lines = self.text.split("\n")
        if len(lines) != 4 or lines[3] or not is_name(lines[0]):
            raise Invalid(f"{what}: not three lines of a checkpoint")
        self.origin, self.size = lines[0], decimal(lines[1], what)
        self.root = unbase64(lines[2], what, 32)


class Policy:
    """Whose signatures are asked for: the log's keys, witnesses, and how many of them."""

    def __init__(self) -> None:
        self.logs, self.witnesses, self.groups, self.quorum = [], {}, {}, None

    def parse(self, text: str) -> None:
        """Take in a C2SP tlog-policy file."""
        for line in text.split("\n"):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if not self._take(words):
                raise Usage(f"cannot use policy: {line.strip()!r} is not one of its lines")
        if not self.logs or self.quorum is None:
            raise Usage("cannot use policy: it names no log, or no quorum")

    def _take(self, words: list) -> bool:
        kind, names = words[0], {*self.witnesses, *self.groups}
        if kind == "log" and len(words) in (2, 3):
            self.logs.append(Key(words[1]))
        elif kind == "witness" and len(words) in (3, 4) and words[1] not in {*names, "none"}:
            self.witnesses[words[1]] = Key(words[2])
        elif kind == "group" and len(words) > 3 and words[1] not in {*names, "none"}:
            members = words[3:]
            many = {"any": "1", "all": str(len(members))}.get(words[2], words[2])
            if not set(members) <= names or len(set(members)) != len(members):
                return False
            if not (many.isascii() and many.isdigit() and 1 <= int(many) <= len(members)):
                return False
            self.groups[words[1]] = (int(many), members)
        elif kind == "quorum" and len(words) == 2 and self.quorum is None:
            self.quorum = words[1]
            return words[1] in {*names, "none"}
        else:
            return False
        return True

    def is_met(self, signed: dict, name: str | None = None) -> bool:
        """Say whether the witnesses named *signed* make up the quorum."""
        name = self.quorum if name is None else name
        if name in self.groups:
            many, members = self.groups[name]
            return sum(self.is_met(signed, member) for member in members) >= many
        return name == "none" or name in signed


# ---- the bundle -------------------------------------------------------------------------------


def to_sign(payload: bytes) -> bytes:
    """Return what is signed of a Statement: DSSE's PAE."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def log_entry(payload: bytes, signature: str, public_key: str) -> bytes:
    """Return Rekor v2's hashedrekord body, which is the entry of a signed Statement in the log."""
    digest = base64.b64encode(sha256(to_sign(payload))).decode()
    verifier = {"keyDetails": "PKIX_ED25519", "publicKey": {"rawBytes": public_key}}
    record = {
        "data": {"algorithm": "SHA2_256", "digest": digest},
        "signature": {"content": signature, "verifier": verifier},
    }
    body = {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": record}}
    return spell(body)


def check_bundle(bundle: dict, policy: Policy) -> tuple:
    """Check a bundle; return its Statement's bytes, its checkpoint and its leaf's index."""
    if get(bundle, str, "mediaType") != BUNDLE:
        raise Invalid("bundle: not a Sigstore bundle v0.3")
    if len(get(bundle, list, "verificationMaterial", "tlogEntries")) != 1:
        raise Invalid("bundle: not one log entry")
    entry = get(bundle, dict, "verificationMaterial", "tlogEntries", 0)
    proof = get(entry, dict, "inclusionProof")
    checkpoint = Checkpoint(get(proof, str, "checkpoint", "envelope"), "checkpoint")
    keys = [key for key in policy.logs if key.name == checkpoint.origin]
    by = signers(checkpoint.text, checkpoint.signatures, keys, "checkpoint")
    if not by:
        raise Invalid(f"checkpoint: of {checkpoint.origin}, signed by none of the keys given")
    payload, body = check_statement(bundle, entry, policy)
    index = decimal(get(proof, str, "logIndex"), "logIndex")
    stated = {
        "logIndex": (get(entry, str, "logIndex"), str(index)),
        "treeSize": (get(proof, str, "treeSize"), str(checkpoint.size)),
        "rootHash": (unbase64(get(proof, str, "rootHash"), "rootHash"), checkpoint.root),
        "kind": (get(entry, str, "kindVersion", "kind"), "hashedrekord"),
        "version": (get(entry, str, "kindVersion", "version"), "0.0.2"),
    }
    for name, (said, expected) in stated.items():
        if said != expected:
            raise Invalid(f"bundle: {name} is not that of the checkpoint and the proof")
    log_id = unbase64(get(entry, str, "logId", "keyId"), "logId", 32)
    # While a key is being replaced two have signed; the file names one, perhaps not the one given.
    known = {key.digest[:4]: key.digest for key in by}
    if log_id[:4] not in {key_id for _, key_id, _ in checkpoint.signatures} or (
        known.get(log_id[:4], log_id) != log_id
    ):
        raise Invalid("bundle: logId is not that of a key that signed the checkpoint")
    path = [unbase64(one, "inclusion", 32) for one in get(proof, list, "hashes")]
    check_inclusion(sha256(b"\x00" + body), index, checkpoint.size, path, checkpoint.root)
    return payload, checkpoint, index


def check_statement(bundle: dict, entry: dict, policy: Policy) -> tuple:
    """Check the envelope and its signature; return the Statement's bytes and its log entry."""
    if get(bundle, str, "dsseEnvelope", "payloadType") != PAYLOAD_TYPE:
        raise Invalid("statement: not an in-toto Statement")
    if len(get(bundle, list, "dsseEnvelope", "signatures")) != 1:
        raise Invalid("statement: not one signature")
    payload = unbase64(get(bundle, str, "dsseEnvelope", "payload"), "statement")
    signature = get(bundle, str, "dsseEnvelope", "signatures", 0, "sig")
    raw = unbase64(signature, "signature", 64)
    body = unbase64(get(entry, str, "canonicalizedBody"), "log entry")
    way = ("spec", "hashedRekordV002", "signature", "verifier", "publicKey", "rawBytes")
    public_key = get(loads(body, "log entry"), str, *way)
    if body != log_entry(payload, signature, public_key):
        raise Invalid("log entry: not that of the Statement and its signature")
    public = unbase64(public_key, "statement key")
    if public not in {SPKI + key.public for key in policy.logs}:
        raise Invalid(
            "statement: signed by none of the keys given; after a change of keys give the older too"
        )
    if not ed25519(public[len(SPKI) :], to_sign(payload), raw):
        raise Invalid("statement: its signature is wrong")
    return payload, body


def read_facts(payload: bytes, index: int, checkpoint: Checkpoint) -> dict:
    """Return the facts that a run's Statement states."""
    statement = loads(payload, "statement")
    facts = get(statement, dict, "predicate", "byproducts")
    for wanted, *way in (
        (STATEMENT, "_type"),
        (LINK, "predicateType"),
        (get(facts, str, "root"), "subject", 0, "digest", "sha256"),
    ):
        if get(statement, str, *way) != wanted:
            raise Invalid(f"statement: its {way[0]} is not {wanted}")
    if not get(facts, int, "log_size") <= index < checkpoint.size:
        raise Invalid("statement: it stands in the log before what it speaks of")
    return facts


# ---- the records beside the bundle ------------------------------------------------------------


def leaf_of(record: dict, stream: str) -> tuple:
    """Return the leaf hash of a record, and its facts."""
    version, topic = get(record, int, "version"), get(record, str, "topic")
    text = get(record, str, "facts")
    facts = loads(text, f"record {version}")
    signed = get(facts, dict, "event").get("signed")
    if topic == SEALED and signed is not None:
        payload = utf8(get(signed, str, "statement"))
        entry = log_entry(payload, get(signed, str, "signature"), get(signed, str, "public_key"))
        check_seal_facts(facts, text, payload, stream, version)
    else:
        digest = hashlib.sha256(utf8(text)).hexdigest()
        entry = spell({"facts": digest, "stream": stream, "topic": topic, "version": version})
    return sha256(b"\x00" + entry), facts


def check_seal_facts(facts: dict, text: str, payload: bytes, stream: str, version: int) -> None:
    """Check that a seal's facts say what its Statement says, in their one spelling."""
    stated = get(loads(payload, "statement"), dict, "predicate", "byproducts")
    event = get(facts, dict, "event")
    numbers = ("count", "root", "log_size")
    if (
        {name: value for name, value in facts.items() if name != "event"} != stated.get("seal")
        or [event.get(name) for name in numbers] != [stated.get(name) for name in numbers]
        or set(event) != {*numbers, "signed"}
        or (stated.get("stream"), stated.get("count")) != (stream, version)
        or spell(facts) != utf8(text)
    ):
        raise Invalid(f"record {version}: a seal whose facts are not what its Statement says")


def check_records(evidence: dict, stated: dict, payload: bytes) -> Seen:
    """Check records, seal, private parts and blobs; return what was seen of each."""
    stream, leaves, seen = get(stated, str, "stream"), [], Seen()
    for version, record in enumerate(get(evidence, list, "records")):
        if get(record, int, "version") != version:
            raise Invalid(f"records: version {record['version']} stands where {version} belongs")
        leaf, facts = leaf_of(record, stream)
        leaves.append(leaf)
        seen.take(record, facts)
    if len(leaves) != get(stated, int, "count"):
        raise Invalid(f"records: {len(leaves)} are there, the run had {stated['count']}")
    if tree_root(leaves).hex() != get(stated, str, "root"):
        raise Invalid("records: their root is not the one that is signed; one of them was changed")
    seal = get(evidence, dict, "seal")
    _, facts = leaf_of(seal, stream)
    if seal["topic"] != SEALED or seal["version"] != len(leaves):
        raise Invalid("seal: not the one over these records")
    if utf8(get(facts, str, "event", "signed", "statement")) != payload:
        raise Invalid("seal: it holds another Statement than the bundle")
    seen.take(seal, facts)
    seen.compare(stated)
    seen.check_blobs(get({"blobs": {}, **evidence}, dict, "blobs"))
    return seen


class Seen:
    """What the records of a run were found to say."""

    def __init__(self) -> None:
        self.absent, self.is_reachable, self.requested = 0, False, False
        self.named, self.blobs_absent = {}, 0
        self.said, self.exit_codes = {"task": None, "run": None, "outcome": None}, {}

    def take(self, record: dict, facts: dict) -> None:
        """Take in a record whose leaf was computed; check its private part."""
        event, topic = get(facts, dict, "event"), record["topic"]
        if record.get("private") is None:
            self.absent += 1
        else:
            self._check_private(record, get(facts, str, "commitment"))
        if topic.startswith("run.opened."):
            self.said.update(task=event.get("task"), run=event.get("run"))
        elif topic.startswith("run.completed."):
            self.said.update(outcome=event.get("outcome"))
        elif topic.startswith("run.abandoned."):
            self.said.update(outcome="abandoned")
        elif topic.startswith("command.requested."):
            self.requested = True
            self.is_reachable |= get(event, str, "had", "record") == "reachable"
        elif topic.startswith(("command.executed.", "command.outcome_found.")):
            self.exit_codes[get(event, str, "command")] = event.get("exit_code")

    def _check_private(self, record: dict, commitment: str) -> None:
        what = f"record {record['version']}"
        body = get(record, str, "private", "body")
        try:
            salt = bytes.fromhex(get(record, str, "private", "salt"))
        except ValueError:
            raise Invalid(f"{what}: its salt is not hexadecimal") from None
        if hashlib.sha256(salt + utf8(body)).hexdigest() != commitment:
            raise Invalid(f"{what}: its private part is not the one that was committed to")
        waiting = [loads(body, what)]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                if set(value) == {"sha256", "size"} and isinstance(value["sha256"], str):
                    self.named[value["sha256"]] = value["size"]
                value = list(value.values())
            if isinstance(value, list):
                waiting += value

    def compare(self, stated: dict) -> None:
        """Check that the Statement says of the records what they say themselves."""
        codes = {}
        for code in self.exit_codes.values():
            if code is not None:
                codes[str(code)] = codes.get(str(code), 0) + 1
        record = ("reachable" if self.is_reachable else "out_of_reach") if self.requested else None
        for name, value in {**self.said, "exit_codes": codes, "record": record}.items():
            if stated.get(name) != value:
                raise Invalid(f"statement: {name} is not what the records say")

    def check_blobs(self, blobs: dict) -> None:
        """Check the blobs in the file against the names that the records have for them."""
        present = 0
        for digest, text in blobs.items():
            if digest not in self.named:
                raise Invalid(f"blob {digest}: no record names it")
            if text is None:
                continue
            data = unbase64(text, f"blob {digest}")
            if hashlib.sha256(data).hexdigest() != digest or len(data) != self.named[digest]:
                raise Invalid(f"blob {digest}: not what its name says")
            present += 1
        self.blobs_absent = len(self.named) - present


# ---- a head that somebody kept ----------------------------------------------------------------


def check_known(known: Checkpoint, checkpoint: Checkpoint, evidence: dict) -> None:
    """Check that the log of *checkpoint* is that of *known*, grown or not."""
    if known.origin != checkpoint.origin:
        raise Usage(f"cannot compare the logs {known.origin} and {checkpoint.origin}")
    old, new = sorted((known, checkpoint), key=lambda one: one.size)
    if old.size == new.size:
        if old.root != new.root:
            raise Diverged(
                f"two signed heads of {known.origin} at size {known.size}: root "
                f"{known.root.hex()} was kept, {checkpoint.root.hex()} is in the file"
            )
        return
    if old.size == 0:
        return
    proof = get({"consistency": {}, **evidence}, dict, "consistency")
    if (proof.get("old"), proof.get("new")) != (old.size, new.size):
        raise Invalid(
            f"known checkpoint: nothing in the file leads from {old.size} events to {new.size}; "
            "ask for evidence made with --known-checkpoint"
        )
    path = [unbase64(one, "consistency", 32) for one in get(proof, list, "hashes")]
    roots = consistent_roots(old.size, new.size, path, old.root)
    if roots is None:
        raise Invalid("consistency: a proof of these sizes has another number of hashes")
    if roots[1] == new.root and roots[0] != old.root:
        raise Diverged(
            f"the log of {new.size} events has {roots[0].hex()} as its root at {old.size}; "
            f"{old.root.hex()} was signed then"
        )
    if roots != (old.root, new.root):
        raise Invalid("consistency: the proof does not hold")


# ---- verdicts ---------------------------------------------------------------------------------


def say_when(time: int) -> str:
    """Return a witness's time in words."""
    try:
        when = datetime.fromtimestamp(time, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return f"second {time}"
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def assurance(checkpoint: Checkpoint, policy: Policy) -> str:
    """Return who vouches for the head, in words; raise Invalid where the policy wants more."""
    keys = {key: name for name, key in policy.witnesses.items()}
    by = signers(checkpoint.text, checkpoint.signatures, list(keys), "checkpoint")
    signed = {keys[key]: time for key, time in by.items()}
    if not policy.is_met(signed):
        raise Invalid(
            f"policy: its quorum is not met, {len(signed)} of {len(keys)} witnesses have signed"
        )
    if not signed:
        return f"SIGNED by the key of {checkpoint.origin} alone: whoever holds it could rewrite all"
    names, first = ", ".join(sorted(signed)), say_when(min(signed.values()))
    return f"WITNESSED {len(signed)}/{len(keys)} ({names}), first at {first}"


def verify(data: bytes, policy: Policy, known: Checkpoint | None) -> tuple:
    """Check everything; return the two verdicts and what cannot be told."""
    document = loads(data, "evidence")
    is_evidence = isinstance(document, dict) and document.get("mediaType") == EVIDENCE
    evidence = document if is_evidence else {"bundle": document}
    payload, checkpoint, index = check_bundle(get(evidence, dict, "bundle"), policy)
    stated = read_facts(payload, index, checkpoint)
    seen = check_records(evidence, stated, payload) if is_evidence else None
    if known is not None:
        check_known(known, checkpoint, evidence)
    by = assurance(checkpoint, policy)
    run = f"run {stated.get('task')}/{stated.get('run')} of ledger {stated.get('ledger')}"
    what = f"{stated.get('count')} records of {run}" if is_evidence else f"the statement of {run}"
    integrity = f"VALID: {what}, as of {stated['log_size']} events, root {stated['root']}"
    return integrity, by, list(unknown(stated, seen, known))


def unknown(stated: dict, seen: Seen | None, known: Checkpoint | None) -> list:
    """Return what this check cannot tell."""
    lines = [
        "whether what was recorded is true, and whether anything was left out before recording",
        f"whether the run has records after the first {stated['log_size']} events of the log",
        "whether its key holder, signing, left out records of the run that lie before those",
    ]
    if known is None:
        lines.append("whether others were shown another history: no checkpoint of yours was given")
    if stated.get("record") == "reachable":
        lines.append("whether a command of the run interfered: the ledger was within its reach")
    if seen is None:
        lines.append("what the records say: a bundle alone does not hold them")
    elif seen.absent:
        lines.append(f"what {seen.absent} private parts said, or why they are not there")
    if seen is not None and seen.blobs_absent:
        lines.append(f"what is in {seen.blobs_absent} blobs that are named and not in the file")
    return lines


def read(path: str, what: str) -> bytes:
    """Return a file's bytes."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Usage(f"cannot read {what} {path}: {error.strerror}") from None


def arguments(words: list) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        prog="gesta_verify.py", description="Check the evidence of a run of a gesta ledger."
    )
    parser.add_argument("evidence", help="what `gesta evidence` wrote, or its Sigstore bundle")
    parser.add_argument("--key", action="append", default=[], help="a key of the log, as a vkey")
    parser.add_argument("--policy", help="a C2SP tlog-policy file: keys, witnesses, quorum")
    parser.add_argument("--known-checkpoint", help="a checkpoint of the log that you have kept")
    return parser.parse_args(words)


def prepare(chosen: argparse.Namespace) -> tuple:
    """Return the policy and the known checkpoint that the command line asks for."""
    policy = Policy()
    if chosen.policy is None:
        policy.quorum = "none"
    else:
        try:
            policy.parse(read(chosen.policy, "policy").decode())
        except UnicodeDecodeError:
            raise Usage(f"cannot use policy {chosen.policy}: it is not UTF-8") from None
    policy.logs += [Key(text) for text in chosen.key]
    if not policy.logs:
        raise Usage("cannot verify without a key: give --key or --policy, from a source you trust")
    if any(key.algorithm != LOG for key in policy.logs) or any(
        key.algorithm != COSIGNATURE for key in policy.witnesses.values()
    ):
        raise Usage("cannot use the keys: a witness's stands for a log's, or the other way round")
    if chosen.known_checkpoint is None:
        return policy, None
    try:
        data = read(chosen.known_checkpoint, "checkpoint")
        known = Checkpoint(data, "known checkpoint")
        by = signers(known.text, known.signatures, policy.logs, "known checkpoint")
    except Invalid as error:
        raise Usage(f"cannot use the checkpoint that you kept: {error}") from None
    if not by:
        raise Usage("cannot use the checkpoint that you kept: none of the keys given signed it")
    return policy, known


def main(words: list) -> int:
    """Check what the command line names; return the exit code."""
    chosen = arguments(words)
    try:
        policy, known = prepare(chosen)
        integrity, by, cannot_tell = verify(read(chosen.evidence, "evidence"), policy, known)
    except Usage as error:
        print(f"gesta_verify: {printable(error)}", file=sys.stderr)
        return 2
    except Invalid as error:
        print(f"integrity: INVALID: {printable(error)}\nassurance: none")
        return 1
    except Diverged as error:
        print(f"integrity: DIVERGED: {printable(error)}\nassurance: none")
        return 3
    print(f"integrity: {printable(integrity)}\nassurance: {printable(by)}")
    for one in cannot_tell:
        print(f"cannot tell: {printable(one)}")
    return 0


def printable(text: object) -> str:
    """Return *text* on one line of ASCII, whatever it holds: the file may be an attacker's."""
    return str(text).encode("unicode_escape").decode("ascii")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
