"""The ledgers that benchmarks are run on are lawful, lifelike and repeatable."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.make_ledger import make_ledger
from ledger import events as e
from ledger.journal import Journal
from ledger.recorded import Recorded
from ledger.run import LEGAL, Run, evolve

EVENTS = 12_000


@pytest.fixture(scope="module")
def journal(tmp_path_factory) -> Iterator[Journal]:
    """A ledger made once for this file's tests."""
    with contextlib.closing(make_ledger(tmp_path_factory.mktemp("made") / "home", EVENTS)) as made:
        yield made


@pytest.fixture(scope="module")
def records(journal) -> list[Recorded]:
    """Everything that is on record in it."""
    return list(journal.read())


def streams(records: list[Recorded]) -> dict[str, list[Recorded]]:
    """Return the runs of a ledger, by stream."""
    found: dict[str, list[Recorded]] = {}
    for record in records[1:]:
        found.setdefault(record.stream, []).append(record)
    return found


def test_it_has_as_many_events_as_were_asked_for(records) -> None:
    """The positions are without a gap, and later ones were recorded later."""
    assert list(range(EVENTS)) == [record.position for record in records]
    assert sorted(record.recorded for record in records) == [r.recorded for r in records]
    assert [] == [r.position for r in records if r.occurred > r.recorded]


def test_every_history_is_lawful(records) -> None:
    """No stream holds an event that may not follow the one before."""
    for history in streams(records).values():
        run = Run()
        for record in history:
            assert type(record.event) in LEGAL[run.phase], (record.stream, record.version)
            run = evolve(run, record.event)  # type: ignore[arg-type]
        assert len(history) == run.version + 1


def test_commands_files_and_causes_are_numbered_as_a_walk_does(records) -> None:
    """A command or file has its run's next number; what causes an event is on record before it."""
    for history in streams(records).values():
        run = Run()
        seen: set[str] = set()
        for record in history:
            event = record.event
            if isinstance(event, e.CommandRequested | e.CommandDenied):
                assert f"c{run.requests + 1}" == event.command
            if isinstance(event, e.FileWriteRequested | e.FileRead | e.FileDenied):
                assert f"f{run.files + 1}" == event.file
            assert (record.cause in seen) if seen else (record.cause is None)
            seen.add(record.id)
            run = evolve(run, event)  # type: ignore[arg-type]


def test_runs_are_as_agents_leave_them(records) -> None:
    """The usual run has some 82 events, a few have many more, and every kind of end is there."""
    runs = list(streams(records).values())
    sizes = [len(history) for history in runs]
    assert 55 <= statistics.median(sizes) <= 110
    assert max(sizes) > 4 * statistics.median(sizes)
    kinds = {type(record.event) for record in records}
    assert {
        *(e.RunOpened, e.WorktreeCreated, e.SandboxCreated, e.FallbackTaken),
        *(e.CommandRequested, e.CommandExecuted, e.CommandTimedOut, e.CommandCancelled),
        *(e.CommandDenied, e.FileRead, e.FileWriteRequested, e.FileWritten, e.FileDenied),
        *(e.PatchCaptured, e.ArtifactStored, e.CleanedUp, e.RunCompleted, e.RunAbandoned),
        e.RunSealed,
    } <= kinds
    assert len({record.actor for record in records}) > 4
    assert len({record.host for record in records}) > 4


def test_runs_lie_between_one_another_in_the_log(records) -> None:
    """Most runs have another one's events between their own."""
    apart = [
        history[-1].position - history[0].position >= len(history)
        for history in streams(records).values()
    ]
    assert sum(apart) > len(apart) / 2


def test_every_output_can_be_read_and_most_are_of_two_to_ten_kilobytes(journal, records) -> None:
    """The outputs that the events name are in the store."""
    sizes = []
    for record in records:
        text = getattr(record.event, "private", None)
        if isinstance(text, e.StreamsText) and text.stdout is not None:
            sizes.append(text.stdout.size)
            if text.stdout.size <= 65_536:
                assert journal.store.blob_row(text.stdout.sha256) is not None
    assert 2_000 <= statistics.median(sizes) <= 10_000
    assert 65_536 < max(sizes) <= 260_100


def test_the_same_seed_makes_the_same_events(tmp_path) -> None:
    """Two ledgers of one seed differ in the ids of ledger and home alone; another seed differs."""

    def made(name: str, seed: int) -> list[tuple[str, int, str]]:
        with contextlib.closing(make_ledger(tmp_path / name, 600, seed=seed)) as journal:
            return [(r.stream, r.occurred, r.id) for r in journal.read()][1:]

    first = made("one", 5)
    assert first == made("two", 5)
    assert first != made("three", 6)


def test_there_is_never_a_second_ledger_in_one_home(tmp_path: Path) -> None:
    """A home that has a ledger is left as it is."""
    make_ledger(tmp_path / "home", 50).close()
    with pytest.raises(FileExistsError):
        make_ledger(tmp_path / "home", 50)


def test_distinct_outputs_are_all_different(tmp_path: Path) -> None:
    """With `distinct_outputs` no two commands share a blob."""
    with contextlib.closing(make_ledger(tmp_path / "home", 2000, distinct_outputs=True)) as journal:
        named = [
            record.event.private.stdout.sha256
            for record in journal.read(topics=("command.executed.1",))
            if isinstance(record.event, e.CommandExecuted)
            and isinstance(record.event.private, e.StreamsText)
            and record.event.private.stdout is not None
        ]
    assert len(named) == len(set(named)) > 100
