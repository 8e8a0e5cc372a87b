"""Capturing a command's streams: seen live, kept up to a limit, counted beyond it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.redaction import RuleRedactor
from ledger.capture import Capture, blobs_of, store_clean
from ledger.errors import StoreUnavailable
from ledger.outcomes import Blob, Captured
from tests.fakes.blobs import MemoryBlobs

pieces = st.lists(st.binary(max_size=6), max_size=6)


def blobs() -> MemoryBlobs:
    """Return an empty store."""
    return MemoryBlobs({}, lambda _: None)


def kept(data: bytes) -> Blob | None:
    """Return the blob of *data*, none of nothing."""
    return Blob(hashlib.sha256(data).hexdigest(), len(data), data) if data else None


@given(out=pieces, err=pieces, limit=st.integers(0, 20))
def test_the_caller_sees_everything_and_the_store_keeps_the_first_bytes(
    out: list[bytes], err: list[bytes], limit: int
) -> None:
    """Each stream has the limit for itself; what is beyond is counted, and said to be cut off."""
    seen: list[bytes] = []
    capture = Capture(blobs(), RuleRedactor(), limit, seen.append, None)
    for piece in out:
        capture.stdout(piece)
    for piece in err:
        capture.stderr(piece)
    output = capture.finish()
    assert out == seen
    for captured, whole in ((output.stdout, b"".join(out)), (output.stderr, b"".join(err))):
        assert Captured(len(whole), kept(whole[:limit]), len(whole) > limit) == captured
    assert output.stdin is None


def test_standard_input_is_kept_if_there_was_some() -> None:
    """What a command was given is kept as it was read, also if that was nothing."""
    capture = Capture(blobs(), RuleRedactor(), None, None, None)
    capture.stdin(b"")
    assert Captured(0, None, False) == capture.finish().stdin
    capture = Capture(blobs(), RuleRedactor(), None, None, None)
    capture.stdin(b"ab")
    capture.stdin(b"c")
    output = capture.finish()
    assert Captured(3, kept(b"abc"), False) == output.stdin
    assert [kept(b"abc")] == blobs_of(output)


def test_the_blobs_of_an_output_are_those_that_there_are() -> None:
    """A stream that brought nothing needs no blob."""
    capture = Capture(blobs(), RuleRedactor(), None, None, None)
    capture.stderr(b"oh")
    assert [kept(b"oh")] == blobs_of(capture.finish())


def test_what_is_discarded_is_forgotten() -> None:
    """After discarding nothing is kept; what comes is counted, and was cut off."""
    capture = Capture(blobs(), RuleRedactor(), None, None, None)
    capture.stdout(b"x")
    capture.discard()
    capture.stdout(b"y")
    assert Captured(2, None, truncated=True) == capture.finish().stdout


class FullSink:
    """A `BlobSink` on a disk that fills up after *room* bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, data: bytes) -> None:
        """Take the next bytes, while there is room."""
        self.room -= len(data)
        if self.room < 0:
            raise StoreUnavailable("cannot write a blob: disk full")

    def finish(self) -> Captured:
        """Make it durable, which needs room too."""
        raise StoreUnavailable("cannot write a blob: disk full")

    def discard(self) -> None:
        """Forget everything."""


class FullBlobs(MemoryBlobs):
    """A blob store on a disk that is nearly full."""

    def __init__(self, room: int) -> None:
        super().__init__({}, lambda _: None)
        self._room = room

    def sink(self, limit: int | None = None) -> Any:
        """Return a sink that will not have its bytes."""
        return FullSink(self._room)


@pytest.mark.parametrize("room", [0, 100])
def test_output_that_finds_no_room_is_cut_off_and_ends_nothing(room: int) -> None:
    """The command goes on and is seen, its bytes are counted, and how it ends can be recorded."""
    seen: list[bytes] = []
    capture = Capture(FullBlobs(room), RuleRedactor(), None, seen.append, None)
    capture.stdout(b"one ")
    capture.stdout(b"two")
    output = capture.finish()
    assert b"one two" == b"".join(seen)
    assert Captured(7, None, truncated=True) == output.stdout
    assert Captured(0, None, truncated=False) == output.stderr


@pytest.mark.parametrize("room", [0, 100])
def test_what_must_be_stored_is_stored_or_refused(room: int) -> None:
    """A patch that finds no room is an error, never an empty patch."""
    with pytest.raises(StoreUnavailable, match="disk full"):
        store_clean(FullBlobs(room), RuleRedactor(), [b"diff"])


def test_secrets_are_seen_live_and_never_kept() -> None:
    """The terminal gets the stream as it is; what is kept has a marker, and is counted by rule."""
    store = blobs()
    seen: list[bytes] = []
    redactor = RuleRedactor().knowing({"DB_PASSWORD": "correct horse"})
    capture = Capture(store, redactor, None, seen.append, None)
    capture.stdout(b"password is correct ho")
    capture.stdout(b"rse, done\n")
    captured = capture.finish().stdout

    assert b"password is correct horse, done\n" == b"".join(seen)
    assert captured.blob is not None
    assert captured.blob.row is not None
    assert b"correct horse" not in captured.blob.row
    assert 1 == sum(captured.redactions.values())
    assert 32 == captured.total


def test_what_is_stored_whole_is_cleaned_as_well() -> None:
    """A patch with a known value is kept without it, and says how often it was taken out."""
    redactor = RuleRedactor().knowing({"DB_PASSWORD": "correct horse"})
    blob, redactions = store_clean(blobs(), redactor, [b"+correct ", b"horse\n"])

    assert b"correct horse" not in (blob.row or b"correct horse")
    assert 1 == sum(redactions.values())
    empty, nothing = store_clean(blobs(), redactor, [])
    assert (0, {}) == (empty.size, nothing)
