"""The formulas of RFC 9162 section 2.1 as the RFC writes them: recursive, slow, plainly right."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def node(left: bytes, right: bytes) -> bytes:
    """HASH(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def split(count: int) -> int:
    """The largest power of two smaller than *count*."""
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """MTH(D_n), section 2.1.1, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(tree_hash(leaves[:k]), tree_hash(leaves[k:]))


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D_n), section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), tree_hash(leaves[k:])]
    return [*path(m - k, leaves[k:]), tree_hash(leaves[:k])]


def proof(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D_n), section 2.1.4.1, for 0 < m <= n."""
    return subproof(m, leaves, whole=True)


def subproof(m: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D_n, b), section 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [tree_hash(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole=whole), tree_hash(leaves[k:])]
    return [*subproof(m - k, leaves[k:], whole=False), tree_hash(leaves[:k])]


def root_of_path(leaf: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to, by the recursion of section 2.1.3.1 turned round."""
    if size == 1:
        return None if hashes else leaf
    if not hashes:
        return None
    *below, last = hashes
    k = split(size)
    if index < k:
        left = root_of_path(leaf, index, k, below)
        return None if left is None else node(left, last)
    right = root_of_path(leaf, index - k, size - k, below)
    return None if right is None else node(last, right)
