"""What a reader may ask of a real store: runs by what they are, and events by what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters import open_ledger
from ledger.events import Event
from ledger.journal import Journal
from ledger.recorded import Provenance, Said
from projections.reading import AuditFilter, RunFilter, audit, runs
from tests.projections.records import SECOND, ending, executed, opened, requested, sandboxed

WHO = Provenance(actor="ada", via="argument", host="here", trace="a" * 32)


@pytest.fixture
def journal(home: Path) -> Iterator[Journal]:
    """Give a journal of three runs, an hour apart; the second fell back, the third is open."""
    with open_ledger(home) as ledger:
        _append(ledger.journal, "s1", 0, opened(), *ending())
        middle = (*sandboxed(), requested(1, "make"), executed(1, 2), *ending("failed"))
        _append(ledger.journal, "s2", 1, opened(run="R-2"), *middle)
        _append(ledger.journal, "s3", 2, opened(task="T-2", run="R-3"))
        yield ledger.journal


def _append(journal: Journal, stream: str, hour: int, *events: Event) -> None:
    said = [Said(event=event, occurred=hour * 3600 * SECOND) for event in events]
    journal.append(stream, -1, said, WHO)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["R-3", "R-2", "R-1"]),
        ({"task": "T-1"}, ["R-2", "R-1"]),
        ({"status": "failed"}, ["R-2"]),
        ({"since": 3600 * SECOND}, ["R-3", "R-2"]),
        ({"fell_back": True}, ["R-2"]),
        ({"leaked": True}, []),
        ({"repository": "/home/ada/project/.git"}, ["R-3", "R-2", "R-1"]),
        ({"repository": "/elsewhere/.git"}, []),
        ({"directory": "/home/ada/project/src", "status": "open"}, ["R-3"]),
    ],
)
def test_runs_are_found_newest_first_by_what_they_are(
    journal: Journal, wanted: dict[str, Any], found: list[str]
):
    """Every filter narrows, and filters narrow together."""
    assert found == [row.run for row in runs(journal, RunFilter(**wanted))]


def test_a_limit_is_one_on_those_that_are_wanted(journal: Journal):
    """Runs that are passed over do not count."""
    assert ["R-2"] == [row.run for row in runs(journal, RunFilter(task="T-1"), limit=1)]


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        ({}, list(range(16))),
        ({"events": frozenset({"RunOpened"})}, [1, 6, 15]),
        ({"since": 2 * 3600 * SECOND}, [0, 15]),
        ({"until": 0}, [1, 2, 3, 4, 5]),
        ({"search": "REQUESTED: MAKE"}, [9]),
        ({"search": "R-3"}, [15]),
    ],
)
def test_events_are_found_in_the_order_of_the_log(
    journal: Journal, wanted: dict[str, Any], positions: list[int]
):
    """Whoever asks for the whole ledger gets all streams as they were recorded."""
    assert positions == [row.position for row in audit(journal, AuditFilter(**wanted))]


def test_one_stream_can_be_asked_for(journal: Journal):
    """Its rows are the same as in the whole."""
    whole = [row for row in audit(journal, AuditFilter()) if row.stream == "s2"]
    assert whole == list(audit(journal, AuditFilter(), stream="s2"))
