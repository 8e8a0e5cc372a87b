"""Blobs that events name are read, each once, and what is wrong is said of the event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from ledger.blob_check import check_blobs
from ledger.errors import BlobDamaged
from ledger.store import ScannedRow
from ledger.verdict import Finding, Findings
from tests.fakes.blobs import MemoryBlobs

DATA = {hashlib.sha256(data).hexdigest(): data for data in (b"one", b"two")}
ONE, TWO = DATA
GONE = "0" * 64


class Reading(MemoryBlobs):
    """A blob store that counts what is read of it; *damaged* ones cannot be expanded."""

    def __init__(self, files: dict[str, bytes], damaged: str | None = None) -> None:
        super().__init__(files, rows=lambda digest: None)
        self.damaged = damaged
        self.read_of: list[str] = []

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes."""
        self.read_of.append(digest)
        if digest == self.damaged:
            raise BlobDamaged(f"cannot read blob {digest}: it is cut off")
        yield from super().chunks(digest)


def row(position: int, *names: tuple[str, int], body: bytes | None = None) -> ScannedRow:
    """Return a stored event whose private part names blobs of these digests and sizes."""
    named = [{"stdout": {"sha256": digest, "size": size}} for digest, size in names]
    stored = json.dumps(named, separators=(",", ":")).encode() if body is None else body
    return position, "run", position, "command.executed.1", b"{}", b"", b"salt", stored


def checked(blobs: MemoryBlobs, *rows: ScannedRow) -> tuple[int, list[Finding]]:
    """Return how many blobs were read, and what was found."""
    findings = Findings()
    return check_blobs(rows, blobs, findings), findings.first


def test_a_blob_that_many_events_name_is_read_once() -> None:
    """What is as it was named is no finding."""
    blobs = Reading(DATA)
    assert (2, []) == checked(blobs, row(0, (ONE, 3), (TWO, 3)), row(1, (ONE, 3)))
    assert {ONE, TWO} == set(blobs.read_of)
    assert 2 == len(blobs.read_of)


def test_a_blob_that_is_gone_is_missing() -> None:
    """Its event is named."""
    count, (finding,) = checked(Reading(DATA), row(0, (ONE, 3)), row(7, (GONE, 1)))
    assert (2, "missing", 7, "run") == (count, finding.kind, finding.position, finding.stream)
    assert f"cannot read blob {GONE}" in finding.what


def test_other_bytes_under_its_name_are_no_blob() -> None:
    """Neither with another digest nor with another length; and a file may be damaged."""
    _, (changed,) = checked(Reading({**DATA, ONE: b"onE"}), row(0, (ONE, 3)))
    _, (longer,) = checked(Reading(DATA), row(0, (ONE, 4)))
    _, (damaged,) = checked(Reading(DATA, damaged=ONE), row(0, (ONE, 3)))
    assert ["invalid"] * 3 == [one.kind for one in (changed, longer, damaged)]
    assert f"blob {ONE} has 3 bytes, not the 4 of its name" == longer.what
    assert "it is cut off" in damaged.what


def test_a_private_part_that_is_gone_or_is_no_json_names_nothing() -> None:
    """That is another check's finding."""
    cut = json.dumps({"sha256": ONE, "size": 3}, separators=(",", ":")).encode()[:-1]
    gone: ScannedRow = (*row(0)[:6], None, None)
    assert (0, []) == checked(Reading(DATA), gone, row(1, body=cut), row(2, body=b"[" * 9))
