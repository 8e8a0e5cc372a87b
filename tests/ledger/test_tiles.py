"""Tiles: paths with one spelling, and files from which the whole tree can be had again."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ProofInvalid
from ledger.tiles import (
    MOST_ENTRY_BYTES,
    WIDTH,
    Tile,
    entry_bundles,
    format_tile_path,
    hash_tiles,
    parse_entry_bundle,
    parse_hash_tile,
    parse_tile_path,
)
from tests.ledger.merkle_reference import tree_hash

tiles = st.builds(
    Tile,
    st.none() | st.integers(0, 5),
    st.integers(0, 2**40),
    st.integers(1, WIDTH),
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(1, 0, 5), "tile/1/000.p/5"),
        (Tile(None, 0, 17), "tile/entries/000.p/17"),
        (Tile(None, 1000), "tile/entries/x001/000"),
        (Tile(5, 999), "tile/5/999"),
    ],
)
def test_a_tiles_path_is_the_documented_one(tile: Tile, path: str) -> None:
    """Groups of three digits, the earlier ones behind an x, and the width of a partial tile."""
    assert path == format_tile_path(tile)
    assert tile == parse_tile_path(path)


@given(tiles)
def test_a_path_is_read_back_as_it_was_written(tile: Tile) -> None:
    """Parsing what was formatted gives the same tile."""
    assert tile == parse_tile_path(format_tile_path(tile))


@given(
    st.text()
    | st.from_regex(r"tile/([0-9]|entries)/(x?[0-9]{1,4}/){0,3}[0-9]{1,4}(\.p/[0-9]{1,4})?")
)
def test_any_other_path_is_refused(path: str) -> None:
    """What is accepted is how its tile is spelled; all else is our own error."""
    try:
        tile = parse_tile_path(path)
    except ProofInvalid:
        return
    assert path == format_tile_path(tile)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/x000/001",
        "tile/0/001.p/256",
        "tile/0/001.p/0",
        "tile/0/001.p/05",
        "tile/6/001",
        "tile/0/1",
        "tile/0/001/",
        "tile/0/001\n",
        "/tile/0/001",
        "tile/0/x001/x067",
        "tile/entries/0\N{ARABIC-INDIC DIGIT ONE}1",
        "tile/0/" + "x999/" * 7 + "999",
    ],
)
def test_a_second_spelling_is_refused(path: str) -> None:
    """Leading zeros, whole tiles called partial, levels that do not exist."""
    with pytest.raises(ProofInvalid, match="cannot read tile path"):
        parse_tile_path(path)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1000, 66_000])
def test_every_tile_holds_the_roots_of_the_leaves_below_it(size: int) -> None:
    """The i-th hash of a tile is the root over its 256^level leaves (C2SP tlog-tiles)."""
    leaves = [sha256(str(number).encode()).digest() for number in range(size)]
    found = dict(hash_tiles(iter(leaves)))
    for tile, data in found.items():
        assert tile.level is not None
        below = WIDTH**tile.level
        start = tile.index * WIDTH * below
        expected = [
            tree_hash(leaves[at : at + below])
            for at in range(start, start + tile.width * below, below)
        ]
        assert expected == parse_hash_tile(data, tile.width)
    for level in range(3):
        whole, partial = divmod(size // WIDTH**level, WIDTH)
        indexes = {(tile.index, tile.width) for tile in found if tile.level == level}
        expected_tiles = {(index, WIDTH) for index in range(whole)}
        assert expected_tiles | ({(whole, partial)} if partial else set()) == indexes


@given(st.lists(st.binary(max_size=40), max_size=600))
def test_entries_are_read_back_from_their_bundles(entries: list[bytes]) -> None:
    """All of them in order, 256 a bundle, a partial one last."""
    bundles = list(entry_bundles(iter(entries)))
    assert [-(-len(entries) // WIDTH)] == [len(bundles)]
    read = [one for tile, data in bundles for one in parse_entry_bundle(data, tile.width)]
    assert entries == read


@given(st.binary(max_size=60), st.integers(1, 6))
def test_what_is_no_bundle_is_refused(data: bytes, width: int) -> None:
    """Bytes that are read as a bundle are the bundle of what was read."""
    try:
        entries = parse_entry_bundle(data, width)
    except ProofInvalid:
        return
    assert [(Tile(None, 0, width), data)] == list(entry_bundles(entries))


def test_an_entry_that_is_too_long_is_named() -> None:
    """65,535 bytes go in; one more is refused with its index, and nothing is cut off."""
    longest = bytes(MOST_ENTRY_BYTES)
    ((_, data),) = entry_bundles([b"a", longest])
    assert [b"a", longest] == parse_entry_bundle(data, 2)
    with pytest.raises(ProofInvalid, match="cannot export entry 2"):
        list(entry_bundles([b"", b"", longest + b"a"]))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_tile_of_another_length_is_refused(size: int) -> None:
    """One hash is 32 bytes."""
    with pytest.raises(ProofInvalid, match="not 1 hashes"):
        parse_hash_tile(bytes(size), 1)
