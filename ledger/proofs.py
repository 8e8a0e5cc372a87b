"""Inclusion and consistency proofs of the tree: made in one pass, checked without the tree.

RFC 9162 section 2.1 (RFC 6962 section 2.1 has the same trees and the same proofs).
Rule 1: a proof is made from a stream of leaf hashes, in order, in memory that grows with the
logarithm of their number.
Rule 2: a check accepts one list of hashes for one claim: each of 32 bytes, none missing, none left
over, whatever the claim's numbers are.
Rule 3: a check returns nothing or raises; its answer cannot be overlooked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from ledger.errors import ProofInvalid
from ledger.merkle import EMPTY, EMPTY_ROOT, HASH_SIZE, extend, node_hash, root

# From where to where, as in Python's slices, in the tree's leaves.
_Range = tuple[int, int]


def prove_inclusion(leaves: Iterable[bytes], index: int, size: int) -> list[bytes]:
    """
    Return the hashes that prove leaf *index* to be in the tree of the first *size* *leaves*.

    They begin with the leaf's sibling (RFC 9162 section 2.1.3.1). Raises `ValueError` for an index
    that is not below *size*, and for fewer leaves than *size*.
    """
    if not 0 <= index < size:
        raise ValueError(f"cannot prove leaf {index} in a tree of {size}: it is not in there")
    return _roots(leaves, _inclusion_ranges(index, size), size)


def prove_consistency(leaves: Iterable[bytes], old: int, new: int) -> list[bytes]:
    """
    Return the hashes that prove the tree of *old* leaves to be the beginning of that of *new*.

    The order is that of RFC 9162 section 2.1.4.1; the proof is empty where *old* is zero or *new*.
    Raises `ValueError` if *old* is larger than *new*, and for fewer *leaves* than *new*.
    """
    if not 0 <= old <= new:
        raise ValueError(f"cannot prove a tree of {old} leaves consistent with one of {new}")
    if old in (0, new):
        return []
    return _roots(leaves, _consistency_ranges(old, new), new)


def check_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], tree_root: bytes
) -> None:
    """
    Check that the leaf whose hash is *leaf* stands at *index* in the tree of *size* leaves.

    The steps are those of RFC 9162 section 2.1.3.2. Raises `ProofInvalid`.
    """
    _check_hashes([leaf, *proof, tree_root])
    if not 0 <= index < size:
        raise ProofInvalid(f"cannot accept a proof of leaf {index}: the tree has {size} leaves")
    found, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid(f"cannot accept a proof of leaf {index}: hashes are left over")
        if found & 1 or found == last:
            computed = node_hash(sibling, computed)
            found, last = _climb(found, last)
        else:
            computed = node_hash(computed, sibling)
        found, last = found >> 1, last >> 1
    if last != 0:
        raise ProofInvalid(f"cannot accept a proof of leaf {index}: hashes are missing")
    if computed != tree_root:
        raise ProofInvalid(
            f"cannot accept a proof of leaf {index}: it leads to root {computed.hex()}, "
            f"the tree of {size} leaves has {tree_root.hex()}"
        )


def check_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """
    Check that the tree of *old* leaves is the beginning of the tree of *new*.

    The steps are those of RFC 9162 section 2.1.4.2. Raises `ProofInvalid`.
    """
    _check_hashes([old_root, new_root, *proof])
    claim = f"cannot accept that the tree of {old} leaves begins that of {new}"
    if not 0 <= old <= new:
        raise ProofInvalid(f"{claim}: it is larger")
    if old in (0, new):
        if proof:
            raise ProofInvalid(f"{claim}: hashes are left over")
        expected = new_root if old else EMPTY_ROOT
        if old_root != expected or (new == 0 and new_root != EMPTY_ROOT):
            raise ProofInvalid(f"{claim}: their roots are {old_root.hex()} and {new_root.hex()}")
        return
    path = list(proof)
    if old.bit_count() == 1:
        # The old tree is itself a subtree of the new one: the proof does not repeat its root.
        path.insert(0, old_root)
    if not path:
        raise ProofInvalid(f"{claim}: hashes are missing")
    # From the lowest subtree of the old tree's edge upwards, in both trees at once.
    below = ((old - 1) ^ old).bit_length() - 1
    roots = _climb_both(path, (old - 1) >> below, (new - 1) >> below, claim)
    if roots != (old_root, new_root):
        raise ProofInvalid(
            f"{claim}: the proof leads to roots {roots[0].hex()} and {roots[1].hex()}, "
            f"stated were {old_root.hex()} and {new_root.hex()}"
        )


def _climb_both(path: list[bytes], found: int, last: int, claim: str) -> tuple[bytes, bytes]:
    old_side = new_side = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid(f"{claim}: hashes are left over")
        if found & 1 or found == last:
            old_side, new_side = node_hash(sibling, old_side), node_hash(sibling, new_side)
            found, last = _climb(found, last)
        else:
            new_side = node_hash(new_side, sibling)
        found, last = found >> 1, last >> 1
    if last != 0:
        raise ProofInvalid(f"{claim}: hashes are missing")
    return old_side, new_side


def _climb(found: int, last: int) -> tuple[int, int]:
    """Go up as long as there is no sibling: on the right edge of a tree that is not complete."""
    while found and not found & 1:
        found, last = found >> 1, last >> 1
    return found, last


def _check_hashes(hashes: Iterable[bytes]) -> None:
    for one in hashes:
        if len(one) != HASH_SIZE:
            raise ProofInvalid(f"cannot accept a proof: a hash has {len(one)} bytes, not 32")


def _inclusion_ranges(index: int, size: int) -> list[_Range]:
    """Return which leaves lie below each hash of PATH(index, D[size]), in its order."""
    ranges: list[_Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _largest_power_below(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _consistency_ranges(old: int, new: int) -> list[_Range]:
    """Return which leaves lie below each hash of PROOF(old, D[new]), in its order."""
    ranges: list[_Range] = []
    start, end = 0, new
    while end != old:
        middle = start + _largest_power_below(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        ranges.append((start, end))
    return ranges[::-1]


def _largest_power_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


def _roots(leaves: Iterable[bytes], ranges: list[_Range], size: int) -> list[bytes]:
    """Return the root over each of *ranges*, which do not overlap, in one pass over *leaves*."""
    stream, at = iter(leaves), 0
    found: dict[_Range, bytes] = {}
    for start, end in sorted(ranges):
        at += _skip(stream, start - at)
        subtree = extend(EMPTY, islice(stream, end - start))
        at += subtree.size
        found[start, end] = root(subtree)
    at += _skip(stream, size - at)
    if at != size:
        raise ValueError(f"cannot prove anything in a tree of {size} leaves: {at} were handed in")
    return [found[one] for one in ranges]


def _skip(stream: Iterator[bytes], count: int) -> int:
    return sum(1 for _ in islice(stream, count))
