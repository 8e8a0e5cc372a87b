"""The log as tiles: files that any web server serves and any C2SP tlog-tiles client reads.

    tile/0/x001/x234/067        hashes 256 n … 256 n + 255 of level 0, here n = 1234067
    tile/1/000.p/5              the first 5 hashes of level 1, each the root of a whole tile below
    tile/entries/000.p/17       the first 17 entries of the log, each after its length

Rule 1: a path has one spelling: no leading zeros but those of its groups of three digits.
Rule 2: tiles are made in one pass over the leaves, in memory of one tile a level.
Rule 3: an entry has at most 65,535 bytes; a longer one cannot be in such a log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from ledger.errors import ProofInvalid
from ledger.merkle import EMPTY, HASH_SIZE, extend, root

WIDTH = 256
MOST_LEVEL = 5
MOST_ENTRY_BYTES = 0xFFFF
_LENGTH_BYTES = 2
_PATH = re.compile(
    r"tile/(?P<level>[0-5]|entries)/(?P<groups>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


class Tile(msgspec.Struct, frozen=True):
    """
    The *index*-th tile of a *level*, or of the entries where *level* is `None`.

    *width* is how many hashes or entries it holds; fewer than 256 only in a level's last tile.
    """

    level: int | None
    index: int
    width: int = WIDTH


def format_tile_path(tile: Tile) -> str:
    """Return where the tile is to be found, below the log's prefix."""
    level = "entries" if tile.level is None else tile.level
    digits = str(tile.index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    partial = "" if tile.width == WIDTH else f".p/{tile.width}"
    return f"tile/{level}/{number}{partial}"


def parse_tile_path(path: str) -> Tile:
    """Return the tile that is to be found at *path*; raises `ProofInvalid`."""
    found = _PATH.fullmatch(path)
    if found is not None:
        level = None if found["level"] == "entries" else int(found["level"])
        index = int(found["groups"].replace("x", "").replace("/", ""))
        tile = Tile(level, index, int(found["width"] or WIDTH))
        if index < 2**63 and tile.width <= WIDTH and format_tile_path(tile) == path:
            return tile
    raise ProofInvalid(f"cannot read tile path {path!r}: it is not how a tile's path is spelled")


def hash_tiles(leaves: Iterable[bytes]) -> Iterator[tuple[Tile, bytes]]:
    """Yield all levels' tiles above *leaves*, each as soon as it is full, the partial ones last."""
    levels: list[list[bytes]] = [[]]
    counts = [0]
    for leaf in leaves:
        level, hash_ = 0, leaf
        while True:
            row = levels[level]
            row.append(hash_)
            if len(row) < WIDTH:
                break
            yield Tile(level, counts[level]), b"".join(row)
            hash_ = root(extend(EMPTY, row))
            row.clear()
            counts[level] += 1
            level += 1
            if level == len(levels):
                levels.append([])
                counts.append(0)
    for level, row in enumerate(levels):
        if row:
            yield Tile(level, counts[level], len(row)), b"".join(row)


def entry_bundles(entries: Iterable[bytes]) -> Iterator[tuple[Tile, bytes]]:
    """
    Yield the bundles of *entries*, 256 each, a partial one last.

    Raises `ProofInvalid` for an entry that is too long.
    """
    bundle, width, index = bytearray(), 0, 0
    for entry in entries:
        if len(entry) > MOST_ENTRY_BYTES:
            at = index * WIDTH + width
            raise ProofInvalid(f"cannot export entry {at}: it has {len(entry)} bytes, over 65535")
        bundle += len(entry).to_bytes(_LENGTH_BYTES, "big") + entry
        width += 1
        if width == WIDTH:
            yield Tile(None, index), bytes(bundle)
            bundle, width, index = bytearray(), 0, index + 1
    if width:
        yield Tile(None, index, width), bytes(bundle)


def parse_hash_tile(data: bytes, width: int = WIDTH) -> list[bytes]:
    """Return the hashes of a tile of this *width*; raises `ProofInvalid`."""
    if len(data) != width * HASH_SIZE:
        raise ProofInvalid(f"cannot read tile: it has {len(data)} bytes, not {width} hashes")
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


def parse_entry_bundle(data: bytes, width: int = WIDTH) -> list[bytes]:
    """Return the entries of a bundle of this *width*; raises `ProofInvalid`."""
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) < width:
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:at])
    if at != len(data) or len(entries) != width:
        raise ProofInvalid(f"cannot read entries: they are not {width} entries in a bundle")
    return entries
