"""The stand-alone verifier: alone, against our own code, against every edit of what it reads."""

from __future__ import annotations

import ast
import base64
import importlib.util
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from adapters import open_ledger
from adapters.ed25519_signer import Ed25519Signer, check_ed25519
from ledger import merkle
from ledger.checkpoint import Checkpoint, format_checkpoint
from ledger.note import (
    cosign_text,
    format_note,
    format_vkey,
    parse_note,
    sign_text,
    with_signatures,
)
from ledger.proofs import prove_consistency, prove_inclusion
from ledger.signing import COSIGNATURE, ED25519
from tests.cli.gesta import ROOT, gesta
from tests.e2e.shown_run import Shown, edited, show_run

FILE = ROOT / "verifier" / "gesta_verify.py"
WITNESSES = [
    Ed25519Signer(f"witness.example/{name}", name.encode() * 32, COSIGNATURE) for name in "abc"
]
LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(40)]


def load_verifier() -> Any:
    """The verifier as a module, to ask its parts."""
    spec = importlib.util.spec_from_file_location("gesta_verify", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verifier = load_verifier()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A run of a ledger with three, and its evidence."""
    return show_run(tmp_path_factory.mktemp("shown"))


def alone(directory: Path, *arguments: str | Path) -> tuple[int, list[str], str]:
    """Run the verifier with nothing but the standard library; return what comes of it."""
    copy = directory / "alone.py"
    copy.write_bytes(FILE.read_bytes())
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(copy), *map(str, arguments)],
        cwd=directory,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def verdict(document: Any, vkey: str, known: bytes | None = None) -> tuple[int, str]:
    """What the verifier says of a document, in this process: its exit code, and why."""
    policy = verifier.Policy()
    policy.quorum = "none"
    policy.logs = [verifier.Key(vkey)]
    kept = None if known is None else verifier.Checkpoint(known, "known checkpoint")
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    try:
        verifier.verify(data, policy, kept)
    except verifier.Invalid as error:
        return 1, str(error)
    except verifier.Diverged as error:
        return 3, str(error)
    return 0, ""


def test_it_checks_evidence_with_nothing_of_ours_installed(shown: Shown, tmp_path: Path) -> None:
    """Two verdicts, then what it cannot tell; no site packages, an empty directory."""
    code, lines, err = alone(tmp_path, shown.evidence, "--key", shown.vkey)
    assert (0, "") == (code, err)
    assert lines[0].startswith("integrity: VALID: 14 records of run T-1/shown of ledger ")
    assert lines[1].startswith(f"assurance: SIGNED by the key of {shown.key.name} alone")
    assert all(line.startswith("cannot tell: ") for line in lines[2:])
    assert any("the ledger was within its reach" in line for line in lines)
    assert any("left out before recording" in line for line in lines)


def test_it_checks_a_bare_bundle_and_says_what_is_not_in_it(shown: Shown, tmp_path: Path) -> None:
    """The Sigstore bundle alone proves the Statement; records are not in it."""
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(shown.bundle))
    code, lines, _ = alone(tmp_path, bundle, "--key", shown.vkey)
    assert 0 == code
    assert lines[0].startswith("integrity: VALID: the statement of run T-1/shown of ledger ")
    assert "cannot tell: what the records say: a bundle alone does not hold them" in lines


def test_it_imports_the_standard_library_alone_and_old_pythons_read_it() -> None:
    """No module of ours, none installed, and the grammar of Python 3.9."""
    tree = ast.parse(FILE.read_bytes(), feature_version=(3, 9))
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names <= sys.stdlib_module_names
    assert not names & {"adapters", "ledger", "projections"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--key", "nonsense"],
        ["--key", "a+00000000+AAAA"],
        ["--policy", "missing"],
        ["--key", "KEY", "--known-checkpoint", "missing"],
        ["--key", "KEY", "--known-checkpoint", "EVIDENCE"],
    ],
)
def test_a_question_that_cannot_be_asked_is_wrong_usage(
    shown: Shown, tmp_path: Path, words: list[str]
) -> None:
    """No key, no such file, a checkpoint that is none: 2, and one line that says why."""
    given_words = [
        {"KEY": shown.vkey, "EVIDENCE": str(shown.evidence)}.get(word, word) for word in words
    ]
    code, lines, err = alone(tmp_path, shown.evidence, *given_words)
    assert (2, []) == (code, lines)
    assert err.startswith("gesta_verify: cannot ")
    assert 1 == len(err.splitlines())


def test_another_key_does_not_vouch(shown: Shown, tmp_path: Path) -> None:
    """A key of the same name that did not sign: INVALID, on two lines."""
    other = format_vkey(Ed25519Signer(shown.key.name, b"x" * 32).key)
    code, lines, err = alone(tmp_path, shown.evidence, "--key", other)
    assert (1, "assurance: none", "") == (code, lines[1], err)
    assert lines[0].startswith("integrity: INVALID: checkpoint: ")
    assert 2 == len(lines)


def test_every_edit_of_the_file_is_found_or_takes_something_away(shown: Shown) -> None:
    """
    Whatever is changed, put in or taken out anywhere is INVALID, with two exceptions.

    What the bundle has for other verifiers is not read, and a private part or a blob that is gone
    is said to be gone.
    """
    document = shown.document
    missed = [one for one in edited(document) if verdict(one, shown.vkey)[0] != 1]
    for one in missed:
        _drop_unread(one["bundle"])
        for record in (*one["records"], one["seal"]):
            record.pop("private", None)
        one.pop("blobs", None)
    expected = shown.document
    _drop_unread(expected["bundle"])
    for record in (*expected["records"], expected["seal"]):
        record.pop("private")
    expected.pop("blobs")
    assert [] == [one for one in missed if one != expected]
    assert len(missed) < 60


def _drop_unread(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"].pop("publicKey", None)
    bundle["dsseEnvelope"]["signatures"][0].pop("keyid", None)


def test_no_edit_of_a_private_part_or_a_blob_passes(shown: Shown) -> None:
    """They may be absent; they may not be others."""
    for record in range(len(shown.document["records"])):
        for name in ("salt", "body"):
            document = shown.document
            private = document["records"][record]["private"]
            private[name] = private[name].replace("0", "1", 1).replace("a", "b", 1)
            if private == shown.document["records"][record]["private"]:
                continue
            code, why = verdict(document, shown.vkey)
            assert (1, True) == (code, f"record {record}: its private part" in why)
    blobs = shown.document["blobs"]
    assert len(blobs) >= 3
    for digest in blobs:
        document = shown.document
        document["blobs"][digest] = base64.b64encode(b"other").decode()
        assert (1, f"blob {digest}: not what its name says") == verdict(document, shown.vkey)
    document = shown.document
    document["blobs"]["00" * 32] = ""
    assert (1, f"blob {'00' * 32}: no record names it") == verdict(document, shown.vkey)


def test_what_is_gone_is_said_to_be_gone(shown: Shown, tmp_path: Path) -> None:
    """Without a private part and without blobs the records still hold, and the report says so."""
    document = shown.document
    document["records"][0]["private"] = None
    document["blobs"] = {}
    path = tmp_path / "less.json"
    path.write_text(json.dumps(document))
    code, lines, _ = alone(tmp_path, path, "--key", shown.vkey)
    assert 0 == code
    assert "cannot tell: what 1 private parts said, or why they are not there" in lines
    assert any("blobs that are named and not in the file" in line for line in lines)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_verdict(data: bytes) -> None:
    """No file makes it fail otherwise than by saying INVALID."""
    vkey = format_vkey(Ed25519Signer("a", b"x" * 32).key)
    assert 1 == verdict(data, vkey)[0]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def test_any_value_in_any_place_is_a_verdict(shown: Shown) -> None:
    """Values of other kinds, wherever they stand, are INVALID or are not read."""

    @given(_json, st.randoms(use_true_random=False))
    def check(value: Any, choice: random.Random) -> None:
        document: Any = shown.document
        holder: Any = None
        name: Any = None
        at: Any = document
        while isinstance(at, dict | list) and at and (holder is None or choice.random() < 0.8):
            holder = at
            name = choice.choice(list(at)) if isinstance(at, dict) else choice.randrange(len(at))
            at = at[name]
        assert holder is not None
        holder[name] = value
        assert verdict(document, shown.vkey)[0] in {0, 1}

    check()


# ---- its parts against ours --------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 1023))
def test_its_signatures_are_those_of_the_library(seed: bytes, message: bytes, flip: int) -> None:
    """What `cryptography` signs it accepts; with a bit flipped both refuse."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert verifier.ed25519(public, message, signature)
    number = int.from_bytes(signature, "little") ^ 1 << flip % 512
    other = number.to_bytes(64, "little")
    assert check_ed25519(public, message, other) == verifier.ed25519(public, message, other)
    assert not verifier.ed25519(public, message + b"x", signature)


# RFC 8032 section 7.1, tests 1 to 3: key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_rfcs_own_signatures_are_right(public: str, message: str, signature: str) -> None:
    """Those of RFC 8032; with the order of the group added to their second half they are not."""
    key, text, value = (bytes.fromhex(one) for one in (public, message, signature))
    assert verifier.ed25519(key, text, value)
    more = int.from_bytes(value[32:], "little") + verifier.L
    assert not verifier.ed25519(key, text, value[:32] + more.to_bytes(32, "little"))
    assert not verifier.ed25519(key, text, value[:-1])
    assert not verifier.ed25519((verifier.P + 1).to_bytes(32, "little"), text, value)


@pytest.mark.parametrize("size", range(1, 20))
def test_its_tree_is_ours(size: int) -> None:
    """Root, inclusion and consistency agree, written twice from one RFC."""
    whole = merkle.root(merkle.extend(merkle.EMPTY, LEAVES[:size]))
    assert whole == verifier.tree_root(LEAVES[:size])
    for index in range(size):
        path = prove_inclusion(LEAVES, index, size)
        verifier.check_inclusion(LEAVES[index], index, size, path, whole)
        for wrong in (path[1:], [*path, whole], path[::-1]):
            if wrong != path:
                with pytest.raises(verifier.Invalid):
                    verifier.check_inclusion(LEAVES[index], index, size, wrong, whole)
    for old in range(1, size):
        begun = merkle.root(merkle.extend(merkle.EMPTY, LEAVES[:old]))
        path = prove_consistency(LEAVES, old, size)
        assert (begun, whole) == verifier.consistent_roots(old, size, path, begun)
        assert verifier.consistent_roots(old, size, [*path, whole], begun) is None


# ---- what somebody kept, and who else has signed -----------------------------------------------


def head_of(document: dict[str, Any]) -> bytes:
    """The signed checkpoint in evidence."""
    proof = document["bundle"]["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    envelope: str = proof["checkpoint"]["envelope"]
    return envelope.encode()


def evidence(shown: Shown, directory: Path, *words: str) -> dict[str, Any]:
    """Evidence of the shown run, made now."""
    path = directory / "now.json"
    done = gesta(
        *("evidence", "T-1/shown", "-o", str(path), "--force", *words),
        cwd=directory,
        GESTA_HOME=str(shown.home),
    )
    assert 0 == done.code, done.err
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def test_a_kept_checkpoint_is_compared(tmp_path: Path) -> None:
    """The same head agrees; an older one needs a proof in the file, which is made for it."""
    shown = show_run(tmp_path / "shown")
    older = head_of(shown.document)
    (tmp_path / "kept").write_bytes(older)
    assert 0 == verdict(shown.document, shown.vkey, older)[0]
    with open_ledger(shown.home) as ledger, ledger.run(profile="local", directory=tmp_path):
        pass
    grown = evidence(shown, tmp_path)
    code, why = verdict(grown, shown.vkey, older)
    assert (1, True) == (code, "ask for evidence made with --known-checkpoint" in why)
    proved = evidence(shown, tmp_path, "--known-checkpoint", str(tmp_path / "kept"))
    assert 0 == verdict(proved, shown.vkey, older)[0]
    for wrong in edited(proved["consistency"]):
        assert 0 != verdict({**proved, "consistency": wrong}, shown.vkey, older)[0]
    code, lines, _ = alone(
        tmp_path,
        *(tmp_path / "now.json", "--key", shown.vkey, "--known-checkpoint", tmp_path / "kept"),
    )
    assert 0 == code
    assert not any("no checkpoint of yours" in line for line in lines)


def test_after_a_change_of_keys_both_are_needed_for_an_older_run(tmp_path: Path) -> None:
    """While both sign, either key vouches for the head; the Statement is by the older one."""
    shown = show_run(tmp_path / "shown")
    rotated = gesta("key", "rotate", cwd=tmp_path, GESTA_HOME=str(shown.home))
    assert 0 == rotated.code, rotated.err
    new = rotated.out.decode().strip()
    for words in ((), ("--finish",)):
        if words:
            done = gesta("key", "rotate", *words, cwd=tmp_path, GESTA_HOME=str(shown.home))
            assert 0 == done.code, done.err
        with open_ledger(shown.home) as ledger, ledger.run(profile="local", directory=tmp_path):
            pass
        evidence(shown, tmp_path)
        both = alone(tmp_path, "now.json", "--key", new, "--key", shown.vkey)
        assert 0 == both[0], both
        code, lines, _ = alone(tmp_path, "now.json", "--key", new)
        assert (1, True) == (code, "after a change of keys give the older too" in lines[0])
        # The head that both have signed is the one that most have signed.
        assert 0 == alone(tmp_path, "now.json", "--key", shown.vkey)[0]


def signed_by_thief(shown: Shown, size: int, root: bytes) -> bytes:
    """A checkpoint of another history, signed with the log's own key."""
    (file,) = (shown.home / "keys").iterdir()
    seed = base64.b64decode(file.read_text().strip().split("+", 4)[4])[1:]
    text = format_checkpoint(Checkpoint(shown.key.name, size, root))
    return format_note(sign_text(text, [Ed25519Signer(shown.key.name, seed)]))


def test_another_history_under_the_same_key_has_diverged(shown: Shown, tmp_path: Path) -> None:
    """Two heads of one size, or one that the log did not have then: 3, with both roots."""
    checkpoint = verifier.Checkpoint(head_of(shown.document), "head")
    other = signed_by_thief(shown, checkpoint.size, LEAVES[0])
    kept = tmp_path / "kept"
    kept.write_bytes(other)
    code, lines, _ = alone(
        tmp_path, shown.evidence, "--key", shown.vkey, "--known-checkpoint", kept
    )
    assert (3, "assurance: none") == (code, lines[1])
    assert lines[0].startswith("integrity: DIVERGED: two signed heads of ")
    assert LEAVES[0].hex() in lines[0]
    assert checkpoint.root.hex() in lines[0]


def test_an_earlier_head_that_the_log_never_had_has_diverged(shown: Shown, tmp_path: Path) -> None:
    """A proof that leads to the new root, from another old one than was signed: 3."""
    old = 3
    with open_ledger(shown.home) as ledger, ledger.journal.store.snapshot() as snapshot:
        leaves = [leaf for _, leaf in snapshot.leaves()]
    document = shown.document
    size = verifier.Checkpoint(head_of(document), "head").size
    document["consistency"] = {
        "old": old,
        "new": size,
        "hashes": [base64.b64encode(one).decode() for one in prove_consistency(leaves, old, size)],
    }
    genuine = merkle.root(merkle.extend(merkle.EMPTY, leaves[:old]))
    assert 0 == verdict(document, shown.vkey, signed_by_thief(shown, old, genuine))[0]
    code, why = verdict(document, shown.vkey, signed_by_thief(shown, old, LEAVES[1]))
    assert (3, True, True) == (code, genuine.hex() in why, LEAVES[1].hex() in why)


def cosigned(shown: Shown, witnesses: Sequence[Ed25519Signer]) -> dict[str, Any]:
    """The evidence under a head that *witnesses* have signed too."""
    document = shown.document
    note = parse_note(head_of(document))
    lines = [cosign_text(note.text, one, 1_750_000_000 + at) for at, one in enumerate(witnesses)]
    proof = document["bundle"]["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["checkpoint"]["envelope"] = format_note(with_signatures(note, lines)).decode()
    return document


def policy_text(shown: Shown, quorum: str = "quorum most") -> str:
    """A policy with three witnesses, of which two are asked for."""
    witnesses = [
        f"witness {name} {format_vkey(one.key)}" for name, one in zip("abc", WITNESSES, strict=True)
    ]
    return "\n".join(
        ["# of the auditor", f"log {shown.vkey}", *witnesses, "", "group most 2 a b c", quorum, ""]
    )


@pytest.mark.parametrize(
    ("signed", "quorum", "code", "said"),
    [
        ("ab", "quorum most", 0, "assurance: WITNESSED 2/3 (a, b), first at 2025-06-15 15:06:40"),
        ("abc", "quorum c", 0, "assurance: WITNESSED 3/3 (a, b, c), first at 2025-06-15"),
        ("a", "quorum none", 0, "assurance: WITNESSED 1/3 (a)"),
        ("a", "quorum most", 1, "assurance: none"),
        ("ab", "quorum c", 1, "assurance: none"),
        ("", "quorum none", 0, "assurance: SIGNED by the key of "),
    ],
)
def test_witnesses_count_by_the_policy(
    shown: Shown, tmp_path: Path, signed: str, quorum: str, code: int, said: str
) -> None:
    """Enough of them: WITNESSED k/n and since when; too few is INVALID."""
    (tmp_path / "policy").write_text(policy_text(shown, quorum))
    (tmp_path / "e.json").write_text(
        json.dumps(cosigned(shown, [WITNESSES["abc".index(one)] for one in signed]))
    )
    found, lines, _ = alone(tmp_path, "e.json", "--policy", "policy")
    assert code == found
    assert lines[1].startswith(said)


def test_a_wrong_cosignature_is_no_signature(shown: Shown, tmp_path: Path) -> None:
    """Of a known witness it rejects the head; of an unknown one it is ignored."""
    (tmp_path / "policy").write_text(policy_text(shown))
    document = cosigned(shown, WITNESSES[:2])
    proof = document["bundle"]["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    envelope = proof["checkpoint"]["envelope"]
    *lines, last = envelope.rstrip("\n").split("\n")
    head, _, body = last.rpartition(" ")
    raw = bytearray(base64.b64decode(body))
    raw[8] ^= 1
    wrong = f"{head} {base64.b64encode(bytes(raw)).decode()}"
    proof["checkpoint"]["envelope"] = "\n".join([*lines, wrong, ""])
    (tmp_path / "e.json").write_text(json.dumps(document))
    code, said, _ = alone(tmp_path, "e.json", "--policy", "policy")
    assert 1 == code
    assert "the signature of witness.example/b is wrong" in said[0]
    assert 0 == alone(tmp_path, "e.json", "--key", shown.vkey)[0]


@pytest.mark.parametrize(
    "change",
    [
        ("quorum most", ""),
        ("quorum most", "quorum nobody"),
        ("quorum most", "quorum most\nquorum a"),
        ("group most 2", "group most 4"),
        ("group most 2", "group most 0"),
        ("group most 2 a b c", "group most 2 a a b"),
        ("group most 2 a b c", "group most 2 a b d"),
        ("group most", "group a"),
        ("witness a ", "witness b "),
        ("log ", "tree "),
        ("log ", "log nonsense "),
    ],
)
def test_a_policy_that_cannot_be_read_is_wrong_usage(
    shown: Shown, tmp_path: Path, change: tuple[str, str]
) -> None:
    """Unknown lines and names, names twice, impossible numbers: 2."""
    text = policy_text(shown)
    assert change[0] in text
    (tmp_path / "policy").write_text(text.replace(*change, 1))
    code, _, err = alone(tmp_path, shown.evidence, "--policy", "policy")
    assert 2 == code
    assert "gesta_verify: cannot use" in err


def test_a_witness_is_not_taken_for_a_log(shown: Shown, tmp_path: Path) -> None:
    """A key says what it signs; in the other's place it is wrong usage."""
    code, _, err = alone(tmp_path, shown.evidence, "--key", format_vkey(WITNESSES[0].key))
    assert (2, True) == (code, "stands for a log's" in err)
    assert (COSIGNATURE, ED25519) == (WITNESSES[0].key.algorithm, shown.key.algorithm)
