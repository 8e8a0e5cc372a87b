"""The tree: against the RFC's own recursive formula, and against published vectors."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import (
    EMPTY_ROOT,
    TreeHead,
    event_leaf,
    extend,
    format_edge,
    leaf_hash,
    node_hash,
    parse_head,
    root,
)

EMPTY = TreeHead(0, ())

# The eight entries, and the roots of the first one to eight of them, that the reference
# implementations of Certificate Transparency (RFC 6962) are tested with.
ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

leaves = st.lists(st.binary(min_size=32, max_size=32), max_size=70)


def merkle_tree_hash(hashes: list[bytes]) -> bytes:
    """The formula of RFC 6962 section 2.1, over leaf hashes."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    left, right = merkle_tree_hash(hashes[:k]), merkle_tree_hash(hashes[k:])
    return sha256(b"\x01" + left + right).digest()


def test_the_empty_tree_has_the_root_that_the_rfc_gives() -> None:
    """The root of the empty tree is the SHA-256 of no bytes."""
    expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert expected == EMPTY_ROOT.hex()
    assert expected == root(EMPTY).hex()


@pytest.mark.parametrize("count", range(1, 9))
def test_the_reference_entries_have_the_published_roots(count: int) -> None:
    """Trees of one to eight reference entries have the roots that others publish."""
    head = extend(EMPTY, map(leaf_hash, ENTRIES[:count]))
    assert ROOTS[count - 1] == root(head).hex()


@given(leaves)
def test_the_root_is_that_of_the_recursive_formula(hashes: list[bytes]) -> None:
    """Extending and folding the edge gives what the RFC's recursion gives."""
    assert merkle_tree_hash(hashes) == root(extend(EMPTY, hashes))


@given(leaves, st.data())
def test_extending_in_parts_is_extending_at_once(hashes: list[bytes], data: st.DataObject) -> None:
    """A head does not depend on how its leaves were grouped into appends."""
    cut = data.draw(st.integers(0, len(hashes)))
    first = extend(EMPTY, hashes[:cut])
    assert extend(EMPTY, hashes) == extend(first, hashes[cut:])
    assert extend(EMPTY, hashes[:cut]) == first


@given(leaves)
def test_the_edge_is_the_roots_of_the_complete_subtrees(hashes: list[bytes]) -> None:
    """Each binary digit of the size is one subtree of the edge, the largest first."""
    expected, start = [], 0
    for bit in reversed(range(len(hashes).bit_length())):
        if len(hashes) >> bit & 1:
            expected.append(merkle_tree_hash(hashes[start : start + (1 << bit)]))
            start += 1 << bit
    assert tuple(expected) == extend(EMPTY, hashes).edge


def test_a_leaf_is_not_a_node() -> None:
    """Hashing two hashes as an entry and as a node differ."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


def test_an_events_leaf_is_the_documented_record() -> None:
    """The leaf of an event is the hash of the JSON record that the docstring spells out."""
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    record = f'{{"facts":"{digest}","stream":"s","topic":"t.1","version":0}}'
    assert sha256(b"\x00" + record.encode()).digest() == event_leaf("s", 0, "t.1", b"{}")


@pytest.mark.parametrize(
    "other",
    [("z", 0, "t.1", b"{}"), ("s", 1, "t.1", b"{}"), ("s", 0, "t.2", b"{}"), ("s", 0, "t.1", b"")],
)
def test_an_events_leaf_binds_all_that_it_names(other: tuple[str, int, str, bytes]) -> None:
    """Another stream, version, topic or other facts make another leaf."""
    assert event_leaf("s", 0, "t.1", b"{}") != event_leaf(*other)


@given(leaves)
def test_a_head_is_read_back_as_it_was_written(hashes: list[bytes]) -> None:
    """Parsing what was formatted gives the same head."""
    head = extend(EMPTY, hashes)
    assert head == parse_head(head.size, format_edge(head))


@pytest.mark.parametrize(
    ("size", "edge"), [(1, b""), (2, b"x" * 64), (-1, b"x" * 32), (1, b"x" * 31)]
)
def test_an_edge_that_does_not_go_with_its_size_is_refused(size: int, edge: bytes) -> None:
    """What no tree has is not read as one."""
    with pytest.raises(ValueError, match="cannot have a tree"):
        parse_head(size, edge)
