"""Checkpoints: three lines, one spelling, signed under the name of their origin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ed25519_signer import Ed25519Signer, check_ed25519
from ledger.checkpoint import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    parse_size,
    read_checkpoint,
    sign_head,
)
from ledger.errors import ProofInvalid
from ledger.merkle import TreeHead, extend, leaf_hash, root
from ledger.note import format_note, sign_text

ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
LOG = Ed25519Signer("gesta/log", b"l" * 32)
HEAD = extend(TreeHead(0, ()), [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")])


def test_a_checkpoint_is_three_lines() -> None:
    """Origin, size, root."""
    whole = parse_checkpoint(f"example.com/behind-the-sofa\n20852163\n{ROOT}\n")
    assert ("example.com/behind-the-sofa", 20852163) == (whole.origin, whole.size)
    assert f"example.com/behind-the-sofa\n20852163\n{ROOT}\n" == format_checkpoint(whole)


def test_a_signed_head_is_opened_with_the_key_of_its_origin() -> None:
    """Size and root are the tree's."""
    data = sign_head(HEAD, "gesta/log", [LOG])
    expected = Checkpoint("gesta/log", 3, root(HEAD))
    assert expected == read_checkpoint(data)
    assert expected == open_checkpoint(data, [LOG.key], check_ed25519)


def test_the_key_of_another_origin_signs_nothing_here() -> None:
    """A log's signature counts for the log of its own name."""
    stranger = Ed25519Signer("gesta/other", b"l" * 32)
    data = sign_head(HEAD, "gesta/log", [stranger])
    with pytest.raises(ProofInvalid, match="no known key"):
        open_checkpoint(data, [stranger.key, LOG.key], check_ed25519)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"o\n1\n{ROOT}",
        f"o\n1\n{ROOT}\n\n",
        f"o\n1\n{ROOT}\nextension\n",
        f"o\n01\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n \n{ROOT}\n",
        f"o\n1_0\n{ROOT}\n",
        f"o\n\u0661\n{ROOT}\n",
        f"o\n{2**63}\n{ROOT}\n",
        f"o\n{'9' * 5000}\n{ROOT}\n",
        f"\n1\n{ROOT}\n",
        f"o o\n1\n{ROOT}\n",
        f"o+o\n1\n{ROOT}\n",
        f"{'o' * 256}\n1\n{ROOT}\n",
        f"o\n1\n{ROOT[:-4]}\n",
        "o\n1\n\n",
        f"o\n1\n{ROOT[:-1]}\n",
        f"o\n1\n{ROOT[:-2]}J=\n",
    ],
)
def test_what_is_not_spelled_like_a_checkpoint_is_none(text: str) -> None:
    """Extension lines, other spellings of a number and short hashes are refused."""
    with pytest.raises(ProofInvalid, match="cannot read"):
        parse_checkpoint(text)


@given(st.integers(0, 2**63 - 1))
def test_a_size_is_written_in_one_way(size: int) -> None:
    """In decimal, without leading zeros."""
    assert size == parse_size(str(size))


def test_a_note_that_is_no_checkpoint_is_refused() -> None:
    """However well it is signed."""
    data = format_note(sign_text("gesta/log\nhello\n", [LOG]))
    with pytest.raises(ProofInvalid, match="three lines"):
        open_checkpoint(data, [LOG.key], check_ed25519)
