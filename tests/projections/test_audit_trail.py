"""One row an event, with a sentence for every type."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ledger import events as e
from ledger.events import Event
from ledger.ostext import Bytes64
from projections.audit_trail import AuditRow, fold_audit_trail
from projections.sentences import MISSING, readable, sentence
from tests.ledger.samples import HAD
from tests.projections.records import (
    SECOND,
    ending,
    executed,
    histories,
    opened,
    recorded,
    requested,
    sandboxed,
)
from tests.strategies import erased, events

LOST, KEY = "boundary, network", "sandbox.may_lose"


def trail(*history: Event) -> list[AuditRow]:
    """Return the rows of a history."""
    return list(fold_audit_trail(recorded(*history)))


def test_a_run_reads_as_what_happened():
    """Who wants to know what was done reads the sentences from top to bottom."""
    rows = trail(opened(), *sandboxed(), requested(1, "echo", "a b"), executed(1, 3), *ending())
    assert [
        "run opened (held) under profile default",
        f"sandbox local used in place of e2b (e2b: no_key), losing {LOST}; allowed by {KEY}",
        "sandbox local local-s1-1 created",
        "c1 requested: echo 'a b'",
        "c1 exited with 3 after 0.003 s, 4 bytes of stdout and 0 bytes of stderr",
        "patch captured: 1 files, +2 -3, 190 bytes, 0 commits kept",
        "sandbox 1 cleaned up",
        "run succeeded (commands)",
        "run sealed: 8 records, root 0000000000000000… of 8",
    ] == [row.what for row in rows]


def test_a_row_says_who_when_where_and_with_what_isolation():
    """Where is the sandbox that the run has by then, or the host."""
    rows = trail(opened(), *sandboxed(), requested(1), executed(1), *ending())
    assert ["host", "host", "local local-s1-1"] == [row.where for row in rows[:3]]
    assert (HAD, "host", None) == (rows[3].isolation, rows[6].where, rows[6].isolation)
    row = rows[3]
    assert (3, "T-1", "R-1", "CommandRequested", "command.requested.1", "c1") == (
        row.position,
        row.task,
        row.run,
        row.event,
        row.topic,
        row.command,
    )
    assert ("ada", "os_user", 3 * SECOND, 3 * SECOND + 1) == (
        row.actor,
        row.via,
        row.occurred_at,
        row.recorded_at,
    )


def test_streams_that_alternate_do_not_mix():
    """Each event is in its own run's place, whatever another run did in between."""
    one = recorded(opened(), *sandboxed(), requested(1))
    two = recorded(opened(run="R-2"), requested(1), stream="s2", first=10)
    mixed = [one[0], two[0], *one[1:3], two[1], one[3]]
    rows = list(fold_audit_trail(mixed))
    assert ["R-1", "R-2", "R-1", "R-1", "R-2", "R-1"] == [row.run for row in rows]
    assert ["host", "local local-s1-1"] == [row.where for row in rows[4:]]


def test_the_ledger_s_own_events_belong_to_no_run():
    """They are in the trail all the same."""
    (row,) = trail(e.LedgerCreated(ledger="l", home="h"))
    assert ("ledger l created in home h", None, None) == (row.what, row.task, row.run)


def test_bytes_that_are_not_utf_8_are_readable():
    """A sentence is Unicode whatever it speaks of."""
    assert "caf\\xe9" == readable(Bytes64("Y2Fm6Q=="))
    text = e.CommandText(argv=("cat", Bytes64("Y2Fm6Q==")), cwd="/w")
    assert "c1 requested: cat 'caf\\xe9'" == sentence(requested_as(text))


def requested_as(text: e.CommandText) -> e.CommandRequested:
    """Return a request with *text* as its private part."""
    return msgspec.structs.replace(requested(1), private=text)


@given(events())
def test_every_event_has_a_sentence_with_and_without_its_private_part(event: Event):
    """What is missing is said to be; nothing else changes and nothing fails."""
    whole, bare = sentence(event), sentence(erased(event))  # type: ignore[arg-type]
    whole.encode()
    bare.encode()
    assert bare
    assert whole == bare or MISSING in bare or isinstance(event, e.RunCompleted)


@given(histories(), st.frozensets(st.integers(0, 12)))
def test_every_event_has_exactly_one_row(history: list[Event], missing: frozenset[int]):
    """Whatever is on record, and whatever of it is gone."""
    rows = list(fold_audit_trail(recorded(*history, missing=missing)))
    assert list(range(len(history))) == [row.position for row in rows]
    assert [at in missing for at in range(len(history))] == [row.missing for row in rows]
