"""Signed notes and keys: against a published vector, and against everything that is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ed25519_signer import Ed25519Signer, check_ed25519, parse_signer
from ledger.errors import ProofInvalid
from ledger.note import (
    Note,
    Signature,
    check_note,
    cosign_text,
    cosignature_message,
    format_note,
    format_vkey,
    is_name,
    open_note,
    parse_note,
    parse_vkey,
    sign_text,
    with_signatures,
)
from ledger.signing import COSIGNATURE, ED25519, VerifierKey

# The pair of keys, the text and the signature that implementations of signed notes share.
SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNED = (
    f"{TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg"
    "KvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

ANN = Ed25519Signer("example/ann", b"a" * 32)
BOB = Ed25519Signer("example/bob", b"b" * 32)
WITNESS = Ed25519Signer("example/witness", b"w" * 32, COSIGNATURE)
NOTE = sign_text("a\n\nb\n", [ANN, BOB])

names = st.text(min_size=1, max_size=20).filter(is_name)


def test_the_published_vector_is_signed_and_opened() -> None:
    """Key, id and signature are what other implementations have."""
    signer = parse_signer(SECRET)
    assert SECRET == signer.text()
    assert PUBLIC == format_vkey(signer.key)
    assert SIGNED == format_note(sign_text(TEXT, [signer]))
    assert TEXT == open_note(SIGNED, [parse_vkey(PUBLIC)], check_ed25519).text


def test_who_signed_is_who_is_known_and_right() -> None:
    """A signature by somebody unknown is ignored."""
    assert ((BOB.key, None),) == open_note(format_note(NOTE), [BOB.key], check_ed25519).signers


def test_a_note_that_nobody_known_signed_is_refused() -> None:
    """Without a known key there is nothing to trust."""
    with pytest.raises(ProofInvalid, match="no known key"):
        open_note(format_note(NOTE), [WITNESS.key], check_ed25519)


def test_a_known_key_that_is_wrong_rejects_the_whole_note() -> None:
    """However right the other signatures are."""
    first, second = NOTE.signatures
    forged = Signature(first.name, first.key_id, second.value)
    for signatures in ((forged, second), (second, forged), (first, forged)):
        data = format_note(Note(NOTE.text, signatures))
        with pytest.raises(ProofInvalid, match="example/ann is wrong"):
            open_note(data, [ANN.key, BOB.key], check_ed25519)


def test_a_key_of_the_same_name_is_another_key() -> None:
    """Name and id together are the key: one name can have several, as while one is replaced."""
    new = Ed25519Signer(ANN.key.name, b"n" * 32)
    note = sign_text("a\n", [new, ANN])
    assert ((ANN.key, None),) == check_note(note, [ANN.key], check_ed25519).signers
    both = check_note(note, [ANN.key, new.key], check_ed25519).signers
    assert {ANN.key, new.key} == {key for key, _ in both}


def test_a_cosignature_says_when() -> None:
    """It is over the text under the time (C2SP tlog-cosignature v1), not over the text."""
    assert b"cosignature/v1\ntime 7\na\n" == cosignature_message("a\n", 7)
    signature = cosign_text("a\n", WITNESS, 1_750_000_000)
    assert 72 == len(signature.value)
    note = with_signatures(sign_text("a\n", [ANN]), [signature, signature])
    opened = open_note(format_note(note), [ANN.key, WITNESS.key], check_ed25519)
    assert ((ANN.key, None), (WITNESS.key, 1_750_000_000)) == opened.signers
    later = Signature(signature.name, signature.key_id, b"\0" * 7 + b"\1" + signature.value[8:])
    with pytest.raises(ProofInvalid, match="example/witness is wrong"):
        check_note(Note("a\n", (later,)), [WITNESS.key], check_ed25519)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"a\n",
        b"a\n\n",
        b"a\n\n\n",
        b"a\n\nno signature\n",
        SIGNED[:-1],
        SIGNED + b"\n",
        SIGNED.replace("—".encode(), b"-"),
        SIGNED.replace("— ".encode(), "—  ".encode()),
        SIGNED.replace("— ".encode(), "—\t".encode()),
        SIGNED.replace(b"Neumann ", b"+Neumann "),
        SIGNED.replace(b"Neumann ", b"Neu\xc2\xa0mann "),
        SIGNED.replace(b"AM=\n", b"AN=\n"),
        SIGNED.replace(b"AM=\n", b"AM\n"),
        SIGNED.replace(b"AM=\n", b"AM=\r\n"),
        SIGNED.replace(b"If", b"I\0f"),
        SIGNED.replace(b"If", b"I\xfff"),
        "a\n\n— x AAAA\n".encode(),
        SIGNED + SIGNED.splitlines(keepends=True)[-1] * 100,
        b"a" * 1_000_001 + SIGNED,
    ],
)
def test_what_is_not_spelled_like_a_note_is_none(data: bytes) -> None:
    """There is one way to spell a note, and a limit to it."""
    with pytest.raises(ProofInvalid, match="cannot read"):
        parse_note(data)


@pytest.mark.parametrize("end", range(len(PUBLIC)))
def test_no_part_of_a_key_is_a_key(end: int) -> None:
    """A key that was cut off anywhere is refused."""
    with pytest.raises(ProofInvalid, match="cannot"):
        parse_vkey(PUBLIC[:end])
    with pytest.raises(ProofInvalid, match="cannot"):
        parse_vkey(PUBLIC[end + 1 :])


@given(st.integers(0, len(PUBLIC) - 1), st.characters(codec="utf-8"))
def test_a_key_with_another_character_is_no_key(at: int, character: str) -> None:
    """Every character of a key counts."""
    other = PUBLIC[:at] + character + PUBLIC[at + 1 :]
    if other != PUBLIC:
        with pytest.raises(ProofInvalid, match="cannot"):
            parse_vkey(other)


def test_a_key_of_an_unknown_algorithm_is_refused() -> None:
    """It is not taken for one that we can check."""
    strange = format_vkey(VerifierKey("x", 0x06, b"k" * 32))
    with pytest.raises(ProofInvalid, match="Ed25519"):
        parse_vkey(strange)


@given(names, st.sampled_from([ED25519, COSIGNATURE]), st.binary(min_size=32, max_size=32))
def test_keys_come_back_as_they_were(name: str, algorithm: int, public: bytes) -> None:
    """What is formatted is parsed to the same."""
    key = VerifierKey(name, algorithm, public)
    assert key == parse_vkey(format_vkey(key))


@given(
    st.lists(st.text(st.characters(codec="utf-8", min_codepoint=32), max_size=10), min_size=1),
    st.lists(
        st.builds(
            Signature,
            names,
            st.binary(min_size=4, max_size=4),
            st.binary(min_size=1, max_size=80),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_notes_come_back_as_they_were(lines: list[str], signatures: list[Signature]) -> None:
    """Blank lines in the text too: it ends at the last one."""
    note = Note("".join(f"{line}\n" for line in lines), tuple(signatures))
    assert note == parse_note(format_note(note))


@given(st.binary(max_size=300))
def test_whatever_is_parsed_is_spelled_as_it_was(data: bytes) -> None:
    """No bytes make the parser do anything but refuse, or return what they spell."""
    for candidate in (data, SIGNED[:-70] + data, data + SIGNED):
        try:
            note = parse_note(candidate)
        except ProofInvalid:
            continue
        assert candidate == format_note(note)
