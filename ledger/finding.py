"""Finds a run by what a person types: `RUN`, `TASK/RUN`, a stream id, or nothing for the newest.

Rule: the first event of a stream says what it is; events after it, of whatever type, are not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ledger.errors import RunAmbiguous, RunNotFound
from ledger.events import LegacyEventImported, RunOpened
from ledger.ids import named_stream
from ledger.journal import Journal
from ledger.recorded import Recorded

OPENED = ("run.opened.1",)

# Finds stream and task of the runs of an id, in one task or, where that is empty, in any.
Named = Callable[[str, str], Iterable[tuple[str, str]]]


def find_newest(journal: Journal) -> str:
    """Return the stream of the run that was opened last; raises `RunNotFound`."""
    newest = journal.latest(topics=OPENED, limit=1)
    if not newest:
        raise RunNotFound("cannot find a run: none is on record yet")
    return newest[0].stream


def find_run(journal: Journal, words: str, named: Named, *, imported: bool) -> str:
    """
    Return the stream of the run that *words* name; *named* is asked where they are no whole name.

    With *imported*, the stream id of an imported journal will do. Raises `RunNotFound`,
    `RunAmbiguous`.
    """
    task, _, run = words.rpartition("/")
    for stream in _likely(journal, task, run):
        # What came after it may be of a type that is not known here, and is no matter.
        first = journal.first(stream)
        if first and isinstance(first.event, LegacyEventImported) and not imported:
            raise RunNotFound(
                f"cannot find run {words}: it is an imported journal; see `gesta audit {words}`"
            )
        if first and isinstance(first.event, LegacyEventImported | RunOpened):
            return stream
    found = list(named(task, run))
    if not found:
        raise RunNotFound(f"cannot find run {words}: none on record has this id")
    if len(found) > 1:
        tasks = ", ".join(sorted(its_task for _, its_task in found))
        raise RunAmbiguous(f"cannot tell which run {words} is meant: tasks {tasks} have one")
    return found[0][0]


def read_named(
    journal: Journal, task: str, run: str, *, after: int = -1
) -> Iterator[tuple[str, str]]:
    """Yield stream and task of the runs of an id that were opened above position *after*."""
    for record in journal.read(after=after, topics=OPENED):
        event = opened(record)
        if event.run == run and task in ("", event.task):
            yield record.stream, event.task


def opened(record: Recorded) -> RunOpened:
    """Return a recorded event as the opening that it is."""
    assert isinstance(record.event, RunOpened)
    return record.event


def _likely(journal: Journal, task: str, run: str) -> Iterator[str]:
    """Yield the streams that a run of these words may have, without a look at the others."""
    if task:
        yield named_stream(journal.store.ledger_id, task, run)
    elif len(run) == len(journal.store.ledger_id):
        yield run
