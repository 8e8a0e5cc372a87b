"""Capturing a command's streams: seen live, kept up to a limit, counted beyond it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.redaction import RuleRedactor
from ledger.capture import Capture, blobs_of, store_clean
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
    """After discarding, every sink is done with."""
    capture = Capture(blobs(), RuleRedactor(), None, None, None)
    capture.stdout(b"x")
    capture.discard()
    with pytest.raises(AssertionError, match="written to after its end"):
        capture.stdout(b"y")


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
