"""Blobs: what becomes a row, what a file, and what is noticed when reading."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.blobs import ROW_LIMIT, Blobs
from ledger.errors import BlobMissing, StoreUnavailable
from ledger.outcomes import Blob, Captured

ROOT = Path(__file__).parents[2]
LARGE = bytes(range(256)) * 1024
MEGABYTE = 1 << 20


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where files of blobs are."""
    return tmp_path / "blobs"


@pytest.fixture
def rows() -> dict[str, bytes]:
    """What the store has as rows."""
    return {}


@pytest.fixture
def blobs(directory: Path, rows: dict[str, bytes]) -> Blobs:
    """A blob store beside the rows."""
    return Blobs(directory, rows.get)


def digest_of(data: bytes) -> str:
    """Return the name of a blob of *data*."""
    return sha256(data).hexdigest()


def file_of(directory: Path, data: bytes) -> Path:
    """Return where the file of a blob of *data* is."""
    digest = digest_of(data)
    return directory / "sha256" / digest[:2] / digest[2:]


def zstd() -> Any:
    """Return the compression module."""
    if sys.version_info >= (3, 14):
        from compression import zstd as module
    else:
        from backports import zstd as module
    return module


@pytest.mark.parametrize("size", [0, 1, ROW_LIMIT])
def test_a_small_blob_is_a_row_and_no_file(blobs: Blobs, directory: Path, size: int) -> None:
    """Up to the limit the bytes come back with the blob, for the event's own transaction."""
    data = b"x" * size
    assert Blob(digest_of(data), size, data) == blobs.put(data)
    assert not directory.exists()


def test_a_large_blob_is_one_compressed_file(blobs: Blobs, directory: Path) -> None:
    """Over the limit it is a file under its digest, and nothing else is left."""
    data = b"x" * (ROW_LIMIT + 1)
    assert Blob(digest_of(data), ROW_LIMIT + 1) == blobs.put(data)
    files = [one for one in directory.rglob("*") if one.is_file()]
    assert [file_of(directory, data)] == files
    assert files[0].stat().st_size < 1000
    assert 0o600 == files[0].stat().st_mode & 0o777
    assert data == blobs.read(digest_of(data))
    assert data == b"".join(blobs.chunks(digest_of(data)))


def test_a_row_is_read_where_there_is_one(blobs: Blobs, rows: dict[str, bytes]) -> None:
    """Small blobs are read from the store."""
    rows[digest_of(b"row")] = b"row"
    assert b"row" == blobs.read(digest_of(b"row"))
    assert [b"row"] == list(blobs.chunks(digest_of(b"row")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.binary(max_size=200) | st.just(LARGE[:50_000]), max_size=8),
    limit=st.none() | st.integers(0, 200_000),
)
def test_a_sink_keeps_the_first_bytes_and_counts_them_all(
    blobs: Blobs, pieces: list[bytes], limit: int | None
) -> None:
    """Whatever the pieces and the limit, what is kept is what came first, under its digest."""
    data = b"".join(pieces)
    kept = data if limit is None else data[:limit]
    sink = blobs.sink(limit)
    for piece in pieces:
        sink.write(piece)
    captured = sink.finish()
    assert (len(data), len(kept) < len(data)) == (captured.total, captured.truncated)
    if not kept:
        assert captured.blob is None
    elif len(kept) <= ROW_LIMIT:
        assert Blob(digest_of(kept), len(kept), kept) == captured.blob
    else:
        assert Blob(digest_of(kept), len(kept)) == captured.blob
        assert kept == blobs.read(digest_of(kept))


def test_a_large_blob_takes_little_memory(blobs: Blobs) -> None:
    """A hundred megabytes are written and read within a few."""
    piece = LARGE * 4
    sink = blobs.sink()
    sink.write(b"x" * MEGABYTE)
    tracemalloc.start()
    for _ in range(100):
        sink.write(piece)
    captured = sink.finish()
    assert captured.blob is not None
    assert 101 * MEGABYTE == sum(map(len, blobs.chunks(captured.blob.digest)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MEGABYTE


def test_writing_the_same_bytes_twice_is_once(blobs: Blobs, directory: Path) -> None:
    """The second writer finds the name taken by the same bytes."""
    assert blobs.put(LARGE) == blobs.put(LARGE)
    assert 1 == sum(one.is_file() for one in directory.rglob("*"))


def test_writing_again_mends_a_damaged_file(blobs: Blobs, directory: Path) -> None:
    """A file that lost its bytes is replaced by whoever brings them again."""
    blobs.put(LARGE)
    file_of(directory, LARGE).write_bytes(b"")
    blobs.put(LARGE)
    assert LARGE == blobs.read(digest_of(LARGE))


@pytest.mark.parametrize("finished", [False, True])
def test_a_discarded_sink_leaves_what_was_finished(
    blobs: Blobs, directory: Path, finished: bool
) -> None:
    """Before the end nothing is left; after it discarding changes nothing."""
    sink = blobs.sink()
    sink.write(LARGE)
    if finished:
        sink.finish()
    sink.discard()
    sink.discard()
    assert finished == any(one.is_file() for one in directory.rglob("*"))


def test_a_dropped_sink_leaves_nothing(blobs: Blobs, directory: Path) -> None:
    """A sink that nobody finished removes its draft."""
    sink = blobs.sink()
    sink.write(LARGE)
    del sink
    assert [] == [one for one in directory.rglob("*") if one.is_file()]


def test_a_finished_sink_takes_nothing_more(blobs: Blobs) -> None:
    """Writing after the end is our own mistake, and said to be."""
    sink = blobs.sink()
    assert Captured(total=0, blob=None, truncated=False) == sink.finish()
    with pytest.raises(ValueError, match="it is finished"):
        sink.write(b"x")
    with pytest.raises(ValueError, match="it is finished"):
        sink.finish()


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "", "A" * 64])
def test_a_blob_that_is_not_there_is_missing(blobs: Blobs, digest: str) -> None:
    """An unknown digest, or what is none, is said to be missing."""
    with pytest.raises(BlobMissing, match=r"cannot read blob .*: it is not in the store"):
        blobs.read(digest)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:-10],
        lambda whole: whole + b"more",
        lambda whole: b"not compressed",
        lambda whole: whole[:50] + b"\x00\x00\x00\x00" + whole[54:],
        lambda whole: zstd().compress(b"another"),
        lambda whole: zstd().compress(LARGE) + zstd().compress(b"more"),
    ],
    ids=["empty", "cut off", "extended", "foreign", "overwritten", "another", "two frames"],
)
def test_a_damaged_file_is_noticed(blobs: Blobs, directory: Path, damage: Any) -> None:
    """Cut off, extended, overwritten or another's: it is not handed out whole."""
    blobs.put(LARGE)
    path = file_of(directory, LARGE)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BlobMissing, match=r"cannot read blob .*: its "):
        blobs.read(digest_of(LARGE))
    with pytest.raises(BlobMissing, match=r"cannot read blob .*: its "):
        list(blobs.chunks(digest_of(LARGE)))


def test_a_damaged_row_is_noticed(blobs: Blobs, rows: dict[str, bytes]) -> None:
    """A row is checked against its name too."""
    rows[digest_of(b"row")] = b"changed"
    with pytest.raises(BlobMissing, match="its bytes do not match its name"):
        blobs.read(digest_of(b"row"))


def test_a_file_that_expands_without_end_takes_little_memory(blobs: Blobs, directory: Path) -> None:
    """A small file that holds a gigabyte of zeros is refused without holding it."""
    path = file_of(directory, LARGE)
    path.parent.mkdir(parents=True)
    compressor = zstd().ZstdCompressor()
    pieces = [compressor.compress(bytes(MEGABYTE)) for _ in range(256)]
    path.write_bytes(b"".join([*pieces, compressor.flush()]))
    tracemalloc.start()
    with pytest.raises(BlobMissing, match="its bytes do not match its name"):
        blobs.read(digest_of(LARGE))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MEGABYTE


def test_a_symbolic_link_is_not_followed(blobs: Blobs, directory: Path) -> None:
    """A link in a blob's place is not read, whatever it points to."""
    blobs.put(LARGE)
    path = file_of(directory, LARGE)
    path.rename(directory / "elsewhere")
    path.symlink_to(directory / "elsewhere")
    with pytest.raises(BlobMissing, match="cannot read blob"):
        blobs.read(digest_of(LARGE))


def test_a_killed_writer_leaves_only_a_draft(blobs: Blobs, directory: Path) -> None:
    """After SIGKILL in the middle nothing has the blob's name, and writing it works."""
    program = f"""
import sys
from pathlib import Path
from adapters.blobs import Blobs
sink = Blobs(Path({str(directory)!r}), lambda _digest: None).sink()
sink.write(bytes(range(256)) * 1024)
print("written", flush=True)
sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert b"written\n" == process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert [True] == [one.name.startswith(".draft-") for one in directory.iterdir()]
    with pytest.raises(BlobMissing):
        blobs.read(digest_of(LARGE))
    blobs.put(LARGE)
    assert LARGE == blobs.read(digest_of(LARGE))


def test_a_full_disk_is_said(directory: Path) -> None:
    """A file that finds no room fails as unavailable, and its draft is gone."""
    program = f"""
import os, resource
from pathlib import Path
from adapters.blobs import Blobs
from ledger.errors import StoreUnavailable
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sink = Blobs(Path({str(directory)!r}), lambda _digest: None).sink()
try:
    for _ in range(20):
        sink.write(os.urandom(50_000))
    sink.finish()
except StoreUnavailable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("cannot write a blob: ")
    assert [] == list(directory.iterdir())


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Where no directory can be made, keeping a large blob fails as unavailable."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="cannot write a blob"):
        Blobs(tmp_path / "file" / "blobs", lambda _digest: None).put(LARGE)
