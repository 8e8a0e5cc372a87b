"""Importing journals of the replaced system: in order, once, and clean of secrets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from ledger import events as e
from ledger.errors import IdInvalid, ImportExists, RunBusy, RunNotFound
from ledger.importing import Imported, import_journal
from ledger.legacy import BadLine, LegacyLine
from tests.fakes.fuse import Crash
from tests.fakes.world import World

TOKEN = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"


class Journal:
    """A journal that was read by somebody else."""

    def __init__(self, lines: Sequence[LegacyLine | BadLine], digest: str = "0f" * 32) -> None:
        self.name, self.digest = "events.jsonl", digest
        self._lines = lines

    def lines(self) -> Iterator[LegacyLine | BadLine]:
        """Yield the lines."""
        yield from self._lines


def line(number: int, type: str = "COMMAND_EXEC", payload: bytes | None = b"{}") -> LegacyLine:
    """Return a line."""
    return LegacyLine(
        number=number,
        type=type,
        is_known=type != "FOO",
        time=f"2026-11-23T00:25:{number % 60:02}",
        trace=None,
        spelling="payload",
        payload=payload,
        others=None,
    )


BAD = BadLine(number=2, reason="empty", message="it is empty")


def take_over(world: World, journal: Journal, task: str = "T-1") -> Imported:
    """Import *journal* in *world*."""
    who = world.provenance(None)
    return import_journal(world.ledger.hands, journal, who, task=task, run="R-9")


def lines_of(world: World, stream: str) -> list[int]:
    """Return the line numbers on record, in the order of the record."""
    return [
        event.line for event in world.events(stream) if isinstance(event, e.LegacyEventImported)
    ]


def test_every_line_becomes_one_event_in_its_order(world: World) -> None:
    """Bad lines are reported and leave no event; unknown types are reported and imported."""
    done = take_over(world, Journal([line(1), BAD, line(3, "FOO"), line(4, "FOO")]))
    assert [1, 3, 4] == lines_of(world, done.stream)
    assert (4, 3, 0, [BAD]) == (done.lines, done.imported, done.earlier, done.bad)
    assert [("FOO", 3, 2)] == [(one.type, one.first_line, one.lines) for one in done.unknown]
    first = world.events(done.stream)[0]
    assert isinstance(first, e.LegacyEventImported)
    assert isinstance(first.private, e.LegacyText)
    assert ("T-1", "R-9", "0f" * 32) == (first.task, first.run, first.private.file)
    assert first.private.payload is not None
    assert b"{}" == world.blobs.read(first.private.payload.sha256)


def test_the_same_journal_is_imported_once_a_task(world: World) -> None:
    """A second time is refused with nothing recorded; another task has a stream of its own."""
    journal = Journal([line(1), BAD])
    done = take_over(world, journal)
    with pytest.raises(ImportExists, match=f"it was imported before, as stream {done.stream}"):
        take_over(world, journal)
    assert [1] == lines_of(world, done.stream)
    assert done.stream != take_over(world, journal, "T-2").stream


def test_an_import_that_died_goes_on_after_the_last_line_on_record(world: World) -> None:
    """Nothing is there twice and nothing is left out, wherever the process died."""
    journal = Journal([line(number) for number in range(1, 500)])
    world.machine.fuse.break_on("store.append", after=1)
    with pytest.raises(Crash):
        take_over(world, journal)
    world.machine.fuse.mend()
    later = world.again()
    done = take_over(later, journal)
    assert list(range(1, 500)) == lines_of(later, done.stream)
    assert (499, 200) == (done.imported, done.earlier)


def test_secrets_are_taken_out_of_everything_that_a_line_says(world: World) -> None:
    """Of a token in the payload, and of one in the type, nothing is stored."""
    done = take_over(
        world, Journal([line(1, f"X {TOKEN}", b'{"command":"export T=%s"}' % TOKEN.encode())])
    )
    (event,) = world.events(done.stream)
    assert isinstance(event, e.LegacyEventImported)
    assert isinstance(event.private, e.LegacyText)
    assert event.private.payload is not None
    assert TOKEN not in event.private.type
    assert TOKEN.encode() not in world.blobs.read(event.private.payload.sha256)
    assert 2 == sum(event.redactions.values())
    assert event.size == event.private.payload.size


def test_an_imported_journal_is_no_run(world: World) -> None:
    """It is found by whoever asks for it as what it is, and nothing can be done in it."""
    done = take_over(world, Journal([line(1)]))
    assert done.stream == world.ledger.find(done.stream, imported=True)
    with pytest.raises(RunNotFound, match="it is an imported journal; see `gesta audit"):
        world.ledger.find(done.stream)
    with pytest.raises(RunNotFound):
        world.ledger.find("T-1/R-9")
    assert "imported" == world.journal.load(done.stream).status


def test_a_run_of_the_same_names_has_nothing_to_do_with_it(world: World) -> None:
    """Task and run of an import may be those of a run: their streams are two."""
    done = take_over(world, Journal([line(1)]))
    with world.ledger.run(task="T-1", run="R-9") as run:
        assert done.stream != run.stream
    assert run.stream == world.ledger.find("T-1/R-9")


def test_nobody_imports_one_journal_twice_at_once(world: World) -> None:
    """While one process imports it another is refused."""
    journal = Journal([line(1)])
    done = take_over(world, journal, "T-2")
    with (
        world.ledger.hands.locks.hold(done.stream),
        pytest.raises(RunBusy, match=r"cannot import events.jsonl: another process is importing"),
    ):
        take_over(world, journal, "T-2")


def test_bad_names_are_refused_before_anything_is_recorded(world: World) -> None:
    """A task is an id, as everywhere."""
    before = world.journal.store.tree_head().size
    with pytest.raises(IdInvalid):
        take_over(world, Journal([line(1)]), "../T")
    assert before == world.journal.store.tree_head().size


def test_the_ledgers_own_stream_is_no_run_either(world: World) -> None:
    """Asked for by its id, it is not found."""
    with pytest.raises(RunNotFound):
        world.ledger.find(world.journal.store.ledger_id)
