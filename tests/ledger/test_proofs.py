"""Proofs: against the RFC's own recursion, and nothing but the one right proof accepted."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ProofInvalid
from ledger.merkle import EMPTY_ROOT, TreeHead, extend, root
from ledger.proofs import check_consistency, check_inclusion, prove_consistency, prove_inclusion
from tests.ledger.merkle_reference import path, proof, root_of_path, tree_hash

ALL = 20
LEAVES = [sha256(str(number).encode()).digest() for number in range(300)]
hashes = st.binary(min_size=32, max_size=32)
trees = st.lists(hashes, min_size=1, max_size=70, unique=True)


def mutations(right: list[bytes]) -> Iterator[list[bytes]]:
    """Every proof that differs from *right* by one flip, drop, insertion, swap or length."""
    for at, one in enumerate(right):
        yield [*right[:at], bytes([one[0] ^ 1]) + one[1:], *right[at + 1 :]]
        yield [*right[:at], one[:-1] + bytes([one[-1] ^ 0x80]), *right[at + 1 :]]
        yield [*right[:at], one[:-1], *right[at + 1 :]]
        yield [*right[:at], one + b"\0", *right[at + 1 :]]
        yield [*right[:at], *right[at + 1 :]]
    for at in range(len(right) + 1):
        for more in (b"", bytes(32), *right[:1]):
            yield [*right[:at], more, *right[at:]]
    for at in range(len(right) - 1):
        yield [*right[:at], right[at + 1], right[at], *right[at + 2 :]]


@pytest.mark.parametrize("size", range(1, ALL))
def test_every_inclusion_proof_of_small_trees_is_the_rfcs(size: int) -> None:
    """Making one in a stream gives PATH, and the check accepts it for its leaf and no other."""
    leaves = LEAVES[:size]
    whole = tree_hash(leaves)
    for index in range(size):
        made = prove_inclusion(iter(leaves), index, size)
        assert path(index, leaves) == made
        for other in range(size + 1):
            if other == index:
                check_inclusion(leaves[index], other, size, made, whole)
            else:
                with pytest.raises(ProofInvalid):
                    check_inclusion(leaves[index], other, size, made, whole)


@pytest.mark.parametrize("new", range(ALL))
def test_every_consistency_proof_of_small_trees_is_the_rfcs(new: int) -> None:
    """Making one in a stream gives PROOF, and the check accepts it for its sizes."""
    for old in range(new + 1):
        made = prove_consistency(iter(LEAVES), old, new)
        assert (proof(old, LEAVES[:new]) if old else []) == made
        check_consistency(old, new, made, tree_hash(LEAVES[:old]), tree_hash(LEAVES[:new]))


@given(trees, st.data())
def test_inclusion_agrees_with_the_reference(leaves: list[bytes], data: st.DataObject) -> None:
    """For any leaves, the stream, the recursion and the check say the same."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    made = prove_inclusion(leaves, index, len(leaves))
    assert path(index, leaves) == made
    check_inclusion(leaves[index], index, len(leaves), made, tree_hash(leaves))


@given(trees, st.data())
def test_consistency_agrees_with_the_reference(leaves: list[bytes], data: st.DataObject) -> None:
    """For any leaves and any beginning of them, the stream, the recursion and the check agree."""
    old = data.draw(st.integers(1, len(leaves)))
    made = prove_consistency(leaves, old, len(leaves))
    assert proof(old, leaves) == made
    check_consistency(old, len(leaves), made, tree_hash(leaves[:old]), tree_hash(leaves))


@given(hashes, st.integers(0, 40), st.integers(0, 40), st.lists(hashes, max_size=7), st.booleans())
def test_a_check_accepts_exactly_what_the_reference_accepts(
    leaf: bytes, index: int, size: int, given_hashes: list[bytes], right: bool
) -> None:
    """For any claim at all, the iterative check and the recursive one give one answer."""
    led_to = root_of_path(leaf, index, size, given_hashes) if index < size else None
    stated = led_to if right and led_to is not None else sha256(leaf).digest()
    if led_to is not None and led_to == stated:
        check_inclusion(leaf, index, size, given_hashes, stated)
    else:
        with pytest.raises(ProofInvalid):
            check_inclusion(leaf, index, size, given_hashes, stated)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 11, 33])
def test_no_mutation_of_an_inclusion_proof_is_accepted(size: int) -> None:
    """Flip, drop, insert, swap, shorten or lengthen a hash: the proof is refused."""
    whole = tree_hash(LEAVES[:size])
    for index in range(size):
        right = prove_inclusion(LEAVES, index, size)
        for wrong in mutations(right):
            if wrong == right:
                continue
            with pytest.raises(ProofInvalid):
                check_inclusion(LEAVES[index], index, size, wrong, whole)


@pytest.mark.parametrize("new", [1, 2, 3, 7, 8, 11, 33])
def test_no_mutation_of_a_consistency_proof_is_accepted(new: int) -> None:
    """Flip, drop, insert, swap, shorten or lengthen a hash: the proof is refused."""
    whole = tree_hash(LEAVES[:new])
    for old in range(new + 1):
        begun = tree_hash(LEAVES[:old])
        right = prove_consistency(LEAVES, old, new)
        for wrong in mutations(right):
            if wrong == right:
                continue
            with pytest.raises(ProofInvalid):
                check_consistency(old, new, wrong, begun, whole)


@pytest.mark.parametrize("old", [1, 3, 4, 6, 7])
def test_a_consistency_proof_holds_for_both_roots_only(old: int) -> None:
    """Another old or new root is refused with the roots that convict, and the wrong way round."""
    made = prove_consistency(LEAVES, old, 7)
    begun, whole = tree_hash(LEAVES[:old]), tree_hash(LEAVES[:7])
    for roots in ((EMPTY_ROOT, whole), (begun, EMPTY_ROOT)):
        with pytest.raises(ProofInvalid, match=EMPTY_ROOT.hex()[:16]):
            check_consistency(old, 7, made, *roots)
    if old < 7:
        with pytest.raises(ProofInvalid, match="larger"):
            check_consistency(7, old, made, whole, begun)


def test_the_empty_tree_begins_every_tree() -> None:
    """Nothing needs a proof of that, and another root of nothing is refused."""
    check_consistency(0, 9, [], EMPTY_ROOT, LEAVES[0])
    check_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    with pytest.raises(ProofInvalid):
        check_consistency(0, 9, [], LEAVES[1], LEAVES[0])
    with pytest.raises(ProofInvalid):
        check_consistency(0, 0, [], EMPTY_ROOT, LEAVES[0])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3), (5, 4)])
def test_there_is_no_proof_of_a_leaf_that_is_not_in_the_tree(index: int, size: int) -> None:
    """Neither made nor accepted."""
    with pytest.raises(ValueError, match="not in there"):
        prove_inclusion(LEAVES, index, size)
    with pytest.raises(ProofInvalid, match="the tree has"):
        check_inclusion(LEAVES[0], index, size, [], LEAVES[0])


def test_a_proof_of_more_leaves_than_there_are_is_not_made() -> None:
    """A stream that ends early is said to, whichever proof was wanted of it."""
    for count in (0, 3, 7):
        with pytest.raises(ValueError, match=f"{count} were handed in"):
            prove_inclusion(LEAVES[:count], 0, 8)
        with pytest.raises(ValueError, match=f"{count} were handed in"):
            prove_consistency(LEAVES[:count], 5, 8)
    with pytest.raises(ValueError, match="cannot prove a tree"):
        prove_consistency(LEAVES, 9, 8)


def test_proving_needs_no_more_memory_for_more_leaves() -> None:
    """A proof in a tree of 60 000 leaves is made with less memory than one leaf in ten takes."""
    leaf, size = LEAVES[0], 60_000
    whole = root(extend(TreeHead(0, ()), (leaf for _ in range(size))))
    tracemalloc.start()
    made = prove_inclusion((leaf for _ in range(size)), 12_345, size)
    other = prove_consistency((leaf for _ in range(size)), 12_345, size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    check_inclusion(leaf, 12_345, size, made, whole)
    assert len(other) <= 2 * size.bit_length()
    assert peak < size * 32 // 10
