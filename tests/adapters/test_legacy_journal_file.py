"""The journal that is written when a run ends."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.legacy_journal import JournalFile
from adapters.legacy_journal_file import write_legacy_journal
from ledger.errors import WorkspaceError
from ledger.importing import import_journal
from ledger.ledger import Ledger
from tests.cli.gesta import LOCAL, profile

PLACE = "workspaces/T-1/runs/R-1/journal/events.jsonl"


@pytest.fixture
def ledger(home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch):
    """Give a ledger whose runs are local processes."""
    profile(home, "default", LOCAL)
    monkeypatch.chdir(repository)
    with open_ledger() as opened:
        yield opened


def do_run(ledger: Ledger) -> str:
    """Do a small run and return its stream."""
    with ledger.run(task="T-1", run="R-1") as run:
        run.execute(["echo", "hello"])
        run.write_file("notes.txt", b"done\n")
    return run.stream


def rewrite(ledger: Ledger, stream: str) -> Path | None:
    """Write the journal of a run once more."""
    hands = ledger.hands
    return write_legacy_journal(ledger.journal, hands.blobs, hands.files, hands.workspaces, stream)


def test_a_run_that_has_ended_has_its_journal(ledger: Ledger, home: Path) -> None:
    """It is where the replaced system had it, and there is nothing else in the run's directory."""
    do_run(ledger)
    text = (home / PLACE).read_text()
    assert 7 == len(text.splitlines())
    assert '"stdout_summary":"hello\\n"' in text
    assert [home / PLACE] == [path for path in (home / "workspaces").rglob("*") if path.is_file()]


def test_it_is_rebuilt_to_the_same_bytes(ledger: Ledger, home: Path) -> None:
    """Deleted with its directories, it is written again from what is on record."""
    stream = do_run(ledger)
    before = (home / PLACE).read_bytes()
    shutil.rmtree(home / "workspaces")
    assert home / PLACE == rewrite(ledger, stream)
    assert before == (home / PLACE).read_bytes()


def test_our_own_import_takes_it_whole(ledger: Ledger, home: Path) -> None:
    """Every line that we write is read, and all of its types are known."""
    do_run(ledger)
    journal = JournalFile(home / PLACE)
    done = import_journal(ledger.hands, journal, ledger.provenance(None), task="T-1")
    assert ([], []) == (done.bad, done.unknown)
    assert done.lines == done.imported == 7


def test_a_run_that_goes_on_has_none(ledger: Ledger, home: Path) -> None:
    """There is a journal when there is an end."""
    run = ledger.open(task="T-1", run="R-1")
    assert None is rewrite(ledger, run.stream)
    run.close()
    assert (home / PLACE).exists()


def test_a_run_path_of_the_callers_own_is_honoured(ledger: Ledger, tmp_path: Path) -> None:
    """The journal lies in the directory that the run was given."""
    with ledger.run(task="T-1", run="R-1", run_path=tmp_path / "mine"):
        pass
    assert (tmp_path / "mine" / "journal" / "events.jsonl").exists()


@pytest.mark.parametrize("place", ["T-1", "T-1/runs/R-1/journal", "T-1/runs/R-1/journal/x"])
def test_no_link_leads_the_file_elsewhere(
    ledger: Ledger, home: Path, tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What stands in the way is a warning, nothing is written through it, and the run is ended."""
    stream = do_run(ledger)
    shutil.rmtree(home / "workspaces")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = home / "workspaces" / place.replace("/x", "/events.jsonl")
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere if not place.endswith("x") else elsewhere / "file")
    with pytest.raises(WorkspaceError, match="cannot write"):
        rewrite(ledger, stream)
    with caplog.at_level(logging.WARNING, "gesta"):
        ledger.hands.ended(stream)
    assert [True] == ["cannot write" in line for line in caplog.messages]
    assert [] == list(elsewhere.iterdir())


def test_a_journal_that_cannot_be_written_fails_no_run(
    ledger: Ledger, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run ends as its commands went, and one line says what is not there."""
    workspaces = home / "workspaces"
    with ledger.run(task="T-1", run="R-1", run_path=workspaces / "T-1" / "runs" / "R-1") as run:
        run.execute(["true"])
        (run.run_path / "journal").write_text("in the way")
    assert "succeeded" == ledger.status("T-1/R-1")
    assert 1 == len(caplog.messages)
    assert caplog.messages[0].startswith(f"gesta: no journal of run {run.stream}: cannot write")
