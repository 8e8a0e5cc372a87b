"""Outcomes kept as files: whole or not at all, for nobody else, and where there is no room left."""

from __future__ import annotations

import resource
from pathlib import Path

import msgspec
import pytest

from adapters.spool import SpoolFiles
from ledger.errors import StoreUnavailable
from ledger.outcomes import Blob, Captured, Executed, Lost, NotStarted, Output, TimedOut, Usage
from ledger.recorded import Provenance
from ledger.spool import Spooled

STREAM = "01a21100-d584-7ff1-9a7a-48a59a36635f"
WHO = Provenance(actor="ann", via="os_user", host="h", trace="0" * 32)
OUTPUT = Output(
    stdout=Captured(6, Blob("ab" * 32, 6, b"hello\n"), truncated=False, redactions={"jwt": 1}),
    stderr=Captured(70_000, Blob("cd" * 32, 70_000), truncated=False),
    rule_set="ef" * 32,
)


def spooled(**changes: object) -> Spooled:
    """Return an outcome, with *changes*."""
    plain = Spooled(
        stream=STREAM,
        command="c1",
        cause="0" * 32,
        occurred=1_750_000_000_000_000,
        who=WHO,
        outcome=Executed(exit_code=3, usage=Usage(duration_us=5)),
        output=OUTPUT,
        changed=("Makefile",),
    )
    return msgspec.structs.replace(plain, **changes)


@pytest.fixture
def spool(tmp_path: Path) -> SpoolFiles:
    """A spool whose directory is not there yet."""
    return SpoolFiles(tmp_path / "spool")


@pytest.mark.parametrize(
    "outcome",
    [
        Executed(signal=9, usage=Usage(duration_us=5), killed_by_memory_limit=True),
        TimedOut(usage=Usage(duration_us=5, cpu_us=1)),
        NotStarted(reason="not_found", message="it is not there"),
        Lost(message="it vanished"),
    ],
)
def test_what_is_kept_comes_back(spool: SpoolFiles, outcome: object) -> None:
    """Every kind of outcome, with its output and its small blobs."""
    kept = spooled(outcome=outcome)
    place = spool.keep(kept)
    assert [(place, kept)] == spool.kept(STREAM)
    assert [STREAM] == spool.streams()
    spool.remove(place)
    spool.remove(place)
    assert ([], []) == (spool.streams(), spool.kept(STREAM))


def test_a_file_is_for_nobody_else(spool: SpoolFiles) -> None:
    """Neither the file nor its directory is open to others."""
    path = Path(spool.keep(spooled()))
    assert (0o600, 0o700) == (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777)


def test_they_come_in_the_order_in_which_they_occurred(spool: SpoolFiles) -> None:
    """The tenth command is after the ninth, whatever its name sorts like."""
    later, earlier = spooled(command="c10", occurred=20), spooled(command="c9", occurred=10)
    spool.keep(later)
    spool.keep(earlier)
    assert ["c9", "c10"] == [kept.command for _, kept in spool.kept(STREAM)]
    assert [] == spool.kept("another")


def test_room_is_set_aside_used_and_given_back(spool: SpoolFiles, tmp_path: Path) -> None:
    """What was set aside becomes the file; what was not used goes."""
    spool.reserve(STREAM)
    spool.reserve(STREAM)
    (room,) = (tmp_path / "spool").iterdir()
    assert room.stat().st_blocks * 512 >= 200_000
    assert [STREAM] == spool.reserved()
    spool.keep(spooled())
    assert ([], [STREAM]) == (spool.reserved(), spool.streams())
    spool.reserve(STREAM)
    spool.release(STREAM)
    spool.release(STREAM)
    assert [] == spool.reserved()


def test_what_is_damaged_is_left_and_told(spool: SpoolFiles) -> None:
    """Half a file, or one of another run's name, is not read and not deleted."""
    whole = Path(spool.keep(spooled()))
    half = whole.with_name(f"{STREAM}-c2.json")
    half.write_bytes(whole.read_bytes()[:50])
    foreign = whole.with_name("another-c1.json")
    foreign.write_bytes(whole.read_bytes())
    assert [str(whole)] == [place for place, _ in spool.kept(STREAM)]
    assert [(STREAM, str(half)), ("another", str(foreign))] == sorted(spool.damaged())
    assert half.exists()


def test_without_room_for_the_output_the_outcome_is_kept_all_the_same(spool: SpoolFiles) -> None:
    """What does not fit is what was printed; it is cut off, and that is said."""
    large = b"x" * 60_000
    output = msgspec.structs.replace(
        OUTPUT, stdout=Captured(60_000, Blob("ab" * 32, 60_000, large), truncated=False)
    )
    spool.reserve(STREAM)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        spool.keep(spooled(output=output))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    ((_, kept),) = spool.kept(STREAM)
    assert Captured(60_000, None, truncated=True) == kept.output.stdout
    assert OUTPUT.stderr == kept.output.stderr
    assert spooled().outcome == kept.outcome


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Neither room nor an outcome can be put where a file is in the way."""
    (tmp_path / "spool").write_text("in the way")
    spool = SpoolFiles(tmp_path / "spool")
    with pytest.raises(StoreUnavailable, match="cannot begin a command: there is no room"):
        spool.reserve(STREAM)
    with pytest.raises(StoreUnavailable, match="cannot write"):
        spool.keep(spooled())
    spool.release(STREAM)
