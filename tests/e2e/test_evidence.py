"""The evidence of a real run before verifiers that we did not write, and edits of it."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.link.v0.link_pb2 import Link
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError as EnvelopeRefused
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # its own front door
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint, verify_checkpoint
from sigstore._internal.trust import KeyringPurpose, RekorKeyring
from sigstore.errors import VerificationError
from sigstore.models import TransparencyLogEntry, TrustedRoot
from sigstore_models.rekor.v1 import TransparencyLogEntry as EntryMessage

from ledger.dsse import format_public_key
from tests.cli.gesta import ROOT, gesta
from tests.e2e.shown_run import Shown, show_run

NODE = ROOT / "tests" / "node"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A run of a ledger with three, and its evidence."""
    return show_run(tmp_path_factory.mktemp("shown"))


def node_verdicts(shown: Shown, bundles: list[Any]) -> list[str]:
    """What `@sigstore/verify` says of each bundle, by our trusted root."""
    if not (NODE / "node_modules").is_dir():
        pytest.skip("tests/node/node_modules is not there: `make environment` needs npm for it")
    done = subprocess.run(
        ["node", str(NODE / "verify.js"), str(shown.root)],
        input="\n".join(map(json.dumps, bundles)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.splitlines()


def test_npms_sigstore_verifies_the_bundle(shown: Shown) -> None:
    """`@sigstore/verify` 4.1.3, as it comes, with a trusted root that `gesta evidence` wrote."""
    assert ["VERIFIED"] == node_verdicts(shown, [shown.bundle])
    installed = json.loads((NODE / "node_modules/@sigstore/verify/package.json").read_text())
    assert "4.1.3" == installed["version"]


def test_npms_sigstore_refuses_every_edit_of_what_it_checks(shown: Shown) -> None:
    """Statement, signature, log entry, path, root and checkpoint: one character is enough."""
    checked = list(edits_of_what_is_checked(shown.bundle))
    verdicts = node_verdicts(shown, checked)
    accepted = [
        one for one, verdict in zip(checked, verdicts, strict=True) if verdict == "VERIFIED"
    ]
    assert [] == accepted
    assert len(checked) > 20


def edits_of_what_is_checked(bundle: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """
    The bundle with one edit each, of what is signed or hashed.

    `rootHash` and `treeSize` beside the proof are not: @sigstore/verify takes the checkpoint's.
    """
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    places: list[tuple[Any, ...]] = [
        ("dsseEnvelope", "payload"),
        ("dsseEnvelope", "payloadType"),
        ("dsseEnvelope", "signatures", 0, "sig"),
        ("verificationMaterial", "publicKey", "hint"),
        *(
            ("verificationMaterial", "tlogEntries", 0, *way)
            for way in (
                ("canonicalizedBody",),
                ("logId", "keyId"),
                ("inclusionProof", "hashes"),
                *(("inclusionProof", "hashes", at) for at in range(3)),
            )
        ),
    ]
    assert len(entry["inclusionProof"]["hashes"]) >= 3
    for way in places:
        holder = bundle
        for name in way[:-1]:
            holder = holder[name]
        value = holder[way[-1]]
        others = [value[1:], value[:-1]] if isinstance(value, list) else flips(value)
        for other in others:
            changed = copy.deepcopy(bundle)
            holder = changed
            for name in way[:-1]:
                holder = holder[name]
            holder[way[-1]] = other
            yield changed
    yield from edited_checkpoints(bundle)


def flips(text: str) -> list[str]:
    """*text* with one character changed, at its beginning and in its middle."""
    return [
        text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in (0, len(text) // 2)
    ]


def edited_checkpoints(bundle: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The bundle with another origin, size or root in its checkpoint, or another signature."""
    note = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]
    envelope = note["envelope"]
    origin, size, root, *_ = envelope.split("\n")
    for old, new in (
        (f"{origin}\n", f"{origin}x\n"),
        (f"\n{size}\n", f"\n{int(size) + 1}\n"),
        (root, flips(root)[1]),
        (envelope[-20:], flips(envelope[-20:])[1]),
    ):
        changed = copy.deepcopy(bundle)
        proof = changed["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
        proof["checkpoint"]["envelope"] = envelope.replace(old, new, 1)
        yield changed


def entry_of(bundle: dict[str, Any]) -> TransparencyLogEntry:
    """The log entry of a bundle as sigstore-python has it."""
    plain = bundle["verificationMaterial"]["tlogEntries"][0]
    return TransparencyLogEntry(EntryMessage.from_json(json.dumps(plain).encode()))


@pytest.fixture(scope="module")
def keyring(shown: Shown) -> RekorKeyring:
    """The log's key as sigstore-python takes it from a trusted root."""
    root = TrustedRoot.from_file(str(shown.root))
    return root.rekor_keyring(KeyringPurpose.VERIFY)


def test_sigstore_python_accepts_proof_and_checkpoint(shown: Shown, keyring: RekorKeyring) -> None:
    """Its Merkle code accepts the path, its checkpoint code the note, by our trusted root."""
    entry = entry_of(shown.bundle)
    verify_merkle_inclusion(entry)
    verify_checkpoint(keyring, entry)
    proof = shown.bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    read = SignedCheckpoint.from_text(proof["checkpoint"]["envelope"]).checkpoint
    assert (shown.key.name, int(proof["treeSize"])) == (read.origin, read.log_size)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_sigstore_python_refuses_another_path(shown: Shown, at: int) -> None:
    """One bit of one hash, one hash fewer, another leaf: each is refused."""
    bundle = shown.bundle
    proof = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["hashes"][at] = flips(proof["hashes"][at])[1]
    with pytest.raises(VerificationError):
        verify_merkle_inclusion(entry_of(bundle))
    bundle = shown.bundle
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    del entry["inclusionProof"]["hashes"][at]
    with pytest.raises(VerificationError):
        verify_merkle_inclusion(entry_of(bundle))
    bundle = shown.bundle
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    entry["canonicalizedBody"] = base64.b64encode(b"{}").decode()
    with pytest.raises(VerificationError):
        verify_merkle_inclusion(entry_of(bundle))


def test_sigstore_python_refuses_another_checkpoint(shown: Shown, keyring: RekorKeyring) -> None:
    """Another origin, size, root or signature is refused."""
    changed = list(edited_checkpoints(shown.bundle))
    assert 4 == len(changed)
    for bundle in changed:
        with pytest.raises(VerificationError):
            verify_checkpoint(keyring, entry_of(bundle))


def test_securesystemslib_verifies_the_envelope(shown: Shown) -> None:
    """DSSE by the library of in-toto and TUF; another payload, type or signature is refused."""
    key = SSlibKey("", "ed25519", "ed25519", {"public": shown.key.public.hex()})
    plain = shown.bundle["dsseEnvelope"]
    assert {"": key} == Envelope.from_dict(copy.deepcopy(plain)).verify([key], 1)
    for name in ("payload", "payloadType"):
        for other in flips(plain[name]):
            changed = {**copy.deepcopy(plain), name: other}
            with pytest.raises(EnvelopeRefused):
                Envelope.from_dict(changed).verify([key], 1)
    for other in flips(plain["signatures"][0]["sig"]):
        changed = {**plain, "signatures": [{"keyid": "", "sig": other}]}
        with pytest.raises(EnvelopeRefused):
            Envelope.from_dict(changed).verify([key], 1)


def read_statement(plain: dict[str, Any]) -> Statement:
    """A Statement as in-toto's own library reads it from its JSON."""
    return Statement.copy_from_pb(ParseDict(plain, StatementMessage()))


def test_in_toto_attestation_accepts_the_statement(shown: Shown) -> None:
    """A valid Statement v1 with a digest, whose predicate is a link and nothing else."""
    plain = json.loads(base64.b64decode(shown.bundle["dsseEnvelope"]["payload"]))
    read_statement(plain).validate()
    link = ParseDict(plain["predicate"], Link())
    assert ("T-1/shown", []) == (link.name, list(link.command))
    assert {"0": 1, "3": 1} == dict(link.byproducts["exit_codes"])


def test_in_toto_attestation_refuses_a_statement_without_its_digest(shown: Shown) -> None:
    """Without the digest of its subject, or without a subject or its type, it is no Statement."""
    plain = json.loads(base64.b64decode(shown.bundle["dsseEnvelope"]["payload"]))
    for name, other in (
        ("subject", []),
        ("subject", [{"name": "x"}]),
        ("_type", "https://in-toto.io/Statement/v0.1"),
        ("predicateType", ""),
        ("predicate", {}),
    ):
        with pytest.raises(ValueError, match=r"required|Wrong"):
            read_statement({**plain, name: other}).validate()


def openssl_says(shown: Shown, message: bytes, signature: bytes, directory: Path) -> bool:
    """Whether `openssl pkeyutl` accepts an Ed25519 signature by the log's key."""
    pem = f"-----BEGIN PUBLIC KEY-----\n{format_public_key(shown.key.public)}\n"
    files = {"key.pem": f"{pem}-----END PUBLIC KEY-----\n".encode()}
    files |= {"message": message, "signature": signature}
    for name, data in files.items():
        (directory / name).write_bytes(data)
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem"]
        + ["-sigfile", "signature", "-in", "message"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    assert ("Verified Successfully" in done.stdout) == (done.returncode == 0)
    return done.returncode == 0


def test_openssl_verifies_checkpoint_and_statement(shown: Shown, tmp_path: Path) -> None:
    """Both are plain Ed25519 signatures; with one character changed they are none."""
    bundle = shown.bundle
    proof = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    text, _, line = proof["checkpoint"]["envelope"].partition("\n\n")
    note = f"{text}\n".encode()
    by_log = base64.b64decode(line.split(" ")[2])[4:]
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    kind = bundle["dsseEnvelope"]["payloadType"].encode()
    statement = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    by_key = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    for message, signature in ((note, by_log), (statement, by_key)):
        assert openssl_says(shown, message, signature, tmp_path)
        assert not openssl_says(shown, message.replace(b"g", b"h", 1), signature, tmp_path)
        assert not openssl_says(shown, message, bytes([signature[0] ^ 1]) + signature[1:], tmp_path)


def test_evidence_is_written_whole_and_over_nothing(shown: Shown, tmp_path: Path) -> None:
    """A file that is there stays as it is, unless that is asked for; its owner alone may read."""
    target = tmp_path / "evidence.json"
    target.write_text("mine")
    words, home = ("evidence", "T-1/shown", "-o", str(target)), str(shown.home)
    refused = gesta(*words, cwd=tmp_path, GESTA_HOME=home)
    assert 2 == refused.code
    assert "it is there already; --force replaces it" in refused.err
    assert "mine" == target.read_text()
    done = gesta(*words, "--force", cwd=tmp_path, GESTA_HOME=home)
    assert 0 == done.code
    assert "the record was within the command's reach" in done.err
    assert b"records of run T-1/shown, under the signed head of" in done.out
    assert {} == json.loads(target.read_bytes())["blobs"]
    assert 0o600 == target.stat().st_mode & 0o777
    assert [target] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody"], "cannot find run nobody"),
        (["shown", "--known-checkpoint", "nothing"], "cannot read checkpoint nothing"),
        (["shown", "--known-checkpoint", "empty"], "cannot read note"),
    ],
)
def test_what_cannot_be_shown_leaves_no_file(
    shown: Shown, tmp_path: Path, words: list[str], said: str
) -> None:
    """One line says why."""
    (tmp_path / "empty").touch()
    done = gesta("evidence", *words, "-o", "e", cwd=tmp_path, GESTA_HOME=str(shown.home))
    assert done.code in {1, 2}
    assert f"gesta: {said}" in done.err
    assert 1 == len(done.err.splitlines())
    assert not (tmp_path / "e").exists()


def test_an_open_run_has_no_evidence_yet(home: Path, tmp_path: Path) -> None:
    """It is not sealed, and the error says when it will be."""
    (tmp_path / "work").mkdir()
    opened = gesta("open", "--task", "T-1", "--profile", "local", cwd=tmp_path / "work")
    assert 0 == opened.code, opened.err
    done = gesta("evidence", "-o", "e", cwd=tmp_path)
    assert 1 == done.code
    assert "it has no signed seal; it gets one when it has ended" in done.err


def keys_of(value: Any) -> set[str]:
    """The names of all keys in *value*, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def test_the_documentation_names_every_key_that_is_ours(shown: Shown) -> None:
    """docs/format.md has each key of the evidence file, the Statement and a seal's facts."""
    text = (ROOT / "docs" / "format.md").read_text()
    document = shown.document
    statement = json.loads(base64.b64decode(document["bundle"]["dsseEnvelope"]["payload"]))
    said = statement["predicate"]["byproducts"]
    ours = set(document) | set(document["records"][0]) | set(document["seal"]["private"])
    ours |= set(statement["predicate"]) | keys_of({**said, "exit_codes": {}})
    ours |= keys_of(json.loads(document["seal"]["facts"]))
    assert set() == {name for name in ours if f"`{name}`" not in text and f".{name}`" not in text}
