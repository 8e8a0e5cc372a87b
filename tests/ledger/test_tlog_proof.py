"""A proof as text: one spelling, and good for one leaf of one log."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ed25519_signer import Ed25519Signer, check_ed25519
from ledger.checkpoint import Checkpoint, sign_head
from ledger.errors import ProofInvalid
from ledger.merkle import TreeHead, extend, leaf_hash, root
from ledger.proofs import prove_inclusion
from ledger.tlog_proof import (
    MOST_HASHES,
    TlogProof,
    check_tlog_proof,
    format_tlog_proof,
    parse_tlog_proof,
)

ORIGIN = "gesta/7d444840-9dc0-11d1-b245-5ffdce74fad2"
SIGNER = Ed25519Signer(ORIGIN, b"s" * 32)
LEAVES = [leaf_hash(f"entry {number}".encode()) for number in range(11)]
HEAD = extend(TreeHead(0, ()), LEAVES)
NOTE = sign_head(HEAD, ORIGIN, [SIGNER])

proofs = st.builds(
    TlogProof,
    index=st.integers(0, 2**63 - 1),
    hashes=st.lists(st.binary(min_size=32, max_size=32), max_size=MOST_HASHES).map(tuple),
    checkpoint=st.just(NOTE),
    extra=st.none() | st.binary(min_size=1, max_size=40),
)


def proof_of(index: int) -> TlogProof:
    """The right proof of the leaf at *index*."""
    hashes = tuple(prove_inclusion(LEAVES, index, len(LEAVES)))
    return TlogProof(index=index, hashes=hashes, checkpoint=NOTE)


def test_the_text_is_the_documented_one() -> None:
    """Title, extra, index, hashes from the leaf's side, an empty line, the note as it is."""
    made = TlogProof(index=7, hashes=(bytes(32), b"\xff" * 32), checkpoint=NOTE, extra=b"hello")
    expected = (
        "c2sp.org/tlog-proof@v1\n"
        "extra aGVsbG8=\n"
        "index 7\n"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        "//////////////////////////////////////////8=\n"
        "\n"
    )
    assert expected.encode() + NOTE == format_tlog_proof(made)


@pytest.mark.parametrize("index", range(11))
def test_the_right_proof_gives_the_checkpoint_it_leads_to(index: int) -> None:
    """Read back from its text, it proves its leaf in the signed tree."""
    read = parse_tlog_proof(format_tlog_proof(proof_of(index)))
    expected = Checkpoint(ORIGIN, 11, root(HEAD))
    assert expected == check_tlog_proof(read, LEAVES[index], [SIGNER.key], check_ed25519)


def test_a_proof_is_good_for_its_leaf_and_its_log_alone() -> None:
    """Another leaf, another index or another key: refused."""
    made = proof_of(4)
    stranger = Ed25519Signer(ORIGIN, b"t" * 32)
    with pytest.raises(ProofInvalid, match="leads to root"):
        check_tlog_proof(made, LEAVES[5], [SIGNER.key], check_ed25519)
    with pytest.raises(ProofInvalid):
        check_tlog_proof(proof_of(5), LEAVES[4], [SIGNER.key], check_ed25519)
    with pytest.raises(ProofInvalid, match="no known key"):
        check_tlog_proof(made, LEAVES[4], [stranger.key], check_ed25519)


@given(proofs)
def test_a_proof_is_read_back_as_it_was_written(proof: TlogProof) -> None:
    """Parsing what was formatted gives the same proof."""
    assert proof == parse_tlog_proof(format_tlog_proof(proof))


@given(proofs, st.data())
def test_whatever_is_read_is_the_one_spelling_of_it(proof: TlogProof, data: st.DataObject) -> None:
    """Bytes that were changed anywhere are refused, or are another proof's only text."""
    text = bytearray(format_tlog_proof(proof))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        read = parse_tlog_proof(bytes(text))
    except ProofInvalid:
        return
    assert bytes(text) == format_tlog_proof(read)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No other error than ours comes of a proof that is none."""
    with pytest.raises(ProofInvalid):
        parse_tlog_proof(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1", b"@v2"),
        (b"index 7", b"index 07"),
        (b"index 7", b"index -1"),
        (b"index 7\n", b""),
        (b"extra aGVsbG8=\n", b"extra \n"),
        (b"extra aGVsbG8=\n", b"extra aGVsbG8\n"),
        (b"A=\n", b"B=\n"),
        (b"A=\n", b"A=\r\n"),
        (b"A=\n\n", b"A=\n"),
        (b"index 7\n", b"index 7\nAAAA\n"),
        (b"index 7\n", b"index 7\n" + f"{sha256(b'').hexdigest()}\n".encode()),
    ],
)
def test_a_second_spelling_is_refused(old: bytes, new: bytes) -> None:
    """Another version, leading zeros, no padding, other line ends, hashes of other lengths."""
    made = TlogProof(index=7, hashes=(bytes(32),), checkpoint=NOTE, extra=b"hello")
    text = format_tlog_proof(made)
    assert old in text
    with pytest.raises(ProofInvalid):
        parse_tlog_proof(text.replace(old, new, 1))


def test_more_hashes_than_any_tree_needs_are_refused() -> None:
    """63 are the most."""
    made = TlogProof(index=0, hashes=(bytes(32),) * (MOST_HASHES + 1), checkpoint=NOTE)
    with pytest.raises(ProofInvalid, match="64 hashes"):
        parse_tlog_proof(format_tlog_proof(made))
