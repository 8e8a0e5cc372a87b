"""The Merkle tree over the whole log, appended to without reading it again.

The tree is that of RFC 6962 section 2.1 (RFC 9162 section 2.1.1 is the same one), with SHA-256.
Rule 1: a leaf and an inner node are never mistaken for one another: a leaf is hashed after the
byte 0x00, a node after 0x01.
Rule 2: a head is a value. Extending one makes another, and the earlier one stays what it was.
Rule 3: what an event's leaf says is written down here alone, see `event_record`; the one exception
is in `ledger.sealing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


class TreeHead(msgspec.Struct, frozen=True):
    """The tree's size and its edge: the roots of the complete subtrees, largest first."""

    size: int
    edge: tuple[bytes, ...]


EMPTY = TreeHead(0, ())


class _EventRecord(msgspec.Struct, frozen=True):
    """What a leaf commits to; the fields stand in the order of their names, and so are written."""

    facts: str
    stream: str
    topic: str
    version: int


_encoder = msgspec.json.Encoder()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of the leaf whose entry is *data* (RFC 6962 section 2.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two subtrees (RFC 6962 section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def event_record(stream: str, version: int, topic: str, facts: bytes) -> bytes:
    """
    Return the entry of a stored event, which its leaf is the hash of.

    It is a JSON record, its keys sorted, without spaces, in UTF-8. Version 0 of the
    stream `s`, with the topic `t.1` and the facts `{}`, is this one, on one line:

        {"facts":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "stream":"s","topic":"t.1","version":0}

    *facts* are the bytes as stored; the record holds their SHA-256 in hexadecimal digits.
    """
    return _encoder.encode(_EventRecord(sha256(facts).hexdigest(), stream, topic, version))


def event_leaf(stream: str, version: int, topic: str, facts: bytes) -> bytes:
    """Return the leaf hash of a stored event: that of its `event_record`."""
    return leaf_hash(event_record(stream, version, topic, facts))


def extend(head: TreeHead, leaves: Iterable[bytes]) -> TreeHead:
    """
    Return the head of the tree with *leaves* appended.

    *leaves* are leaf hashes. The work is one node hash a leaf on average, whatever the size.
    """
    size, edge = head.size, list(head.edge)
    for leaf in leaves:
        subtree, merging = leaf, size
        # Each trailing one bit of the size is a complete subtree as large as the one in hand.
        while merging & 1:
            # As `node_hash` has it; a call for each would be a third of the work.
            subtree = sha256(b"\x01" + edge.pop() + subtree).digest()
            merging >>= 1
        edge.append(subtree)
        size += 1
    return TreeHead(size, tuple(edge))


def root(head: TreeHead) -> bytes:
    """Return the tree's root: the Merkle Tree Hash of all its leaves (RFC 6962 section 2.1)."""
    if not head.edge:
        return EMPTY_ROOT
    *larger, whole = head.edge
    for subtree in reversed(larger):
        whole = node_hash(subtree, whole)
    return whole


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over *leaves*, leaf hashes all in hand; faster for few than `extend`."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        # A node without a sibling goes up as it is: that is where a tree is not complete.
        alone = level[-1:] if len(level) & 1 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + alone
    return level[0]


def format_edge(head: TreeHead) -> bytes:
    """Return the edge as stores keep it: its hashes one after another, the largest tree's first."""
    return b"".join(head.edge)


def parse_head(size: int, edge: bytes) -> TreeHead:
    """
    Return the head that a store keeps as *size* and *edge*, see `format_edge`.

    Raises `ValueError` for an edge that does not go with the size.
    """
    if size < 0 or len(edge) != size.bit_count() * HASH_SIZE:
        raise ValueError(f"cannot have a tree of {size} leaves with an edge of {len(edge)} bytes")
    starts = range(0, len(edge), HASH_SIZE)
    return TreeHead(size, tuple([edge[start : start + HASH_SIZE] for start in starts]))
