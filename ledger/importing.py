"""Takes over a journal of the system that this one replaces: line by line, in its order.

Rule 1: a line becomes a `LegacyEventImported` in a stream of the journal's own, never an event of
a run; what could not be read is reported by number and reason.
Rule 2: importing the same bytes for the same task twice is refused; an import that was interrupted
goes on after the last line on record.
Rule 3: secrets are taken out of everything; memory is bounded by the longest line.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from ledger import decide
from ledger.capture import store_clean
from ledger.errors import ImportExists, RunBusy
from ledger.events import LegacyEventImported, RunEvent
from ledger.hands import Hands
from ledger.ids import check_id, imported_stream
from ledger.legacy import BadLine, LegacyJournal, LegacyLine
from ledger.outcomes import Blob
from ledger.recorded import Provenance, Said
from ledger.redaction import Redactor
from ledger.replay import fold
from ledger.run import Phase, Run
from ledger.withholding import DEFAULT_PATTERNS

# What is recorded in one transaction: so many lines, or so many bytes of blobs, if these are more.
_LINES = 200
_BYTES = 1024 * 1024


class Unknown(msgspec.Struct, kw_only=True):
    """A type of event that the replaced system did not have: its first line, and how many."""

    type: str
    first_line: int
    lines: int = 0


class Imported(msgspec.Struct, kw_only=True):
    """
    What came of an import.

    *lines* are those of the journal, *imported* those that are on record now, *earlier* those of
    them that an interrupted import had recorded. *spelled* counts how their payloads are spelled.
    """

    stream: str
    task: str
    run: str | None
    file: str
    sha256: str
    lines: int = 0
    imported: int = 0
    earlier: int = 0
    spelled: dict[str, int] = {}
    bad: list[BadLine] = []
    unknown: list[Unknown] = []


def import_journal(
    hands: Hands,
    journal: LegacyJournal,
    who: Provenance,
    *,
    task: str,
    run: str | None = None,
) -> Imported:
    """
    Record the lines of *journal* for *task*, and say what came of it.

    *run* is what the run was called there. Raises `IdInvalid`, `InputInvalid`, `ImportExists`,
    `RunBusy`, `StoreUnavailable`.
    """
    check_id("task", task)
    if run is not None:
        check_id("run", run)
    stream = imported_stream(hands.journal.store.ledger_id, task, journal.digest)
    try:
        with hands.locks.hold(stream):
            return _Import(hands, journal, who, stream, task, run).do()
    except RunBusy:
        raise RunBusy(f"cannot import {journal.name}: another process is importing it") from None


class _Import:
    def __init__(
        self,
        hands: Hands,
        journal: LegacyJournal,
        who: Provenance,
        stream: str,
        task: str,
        run: str | None,
    ) -> None:
        self._hands, self._source, self._who = hands, journal, who
        self._redactor: Redactor = hands.redactor(DEFAULT_PATTERNS).knowing(hands.environment)
        self._state, self._last_line = self._resume(stream)
        self._events: list[RunEvent] = []
        self._blobs: list[Blob] = []
        self._done = Imported(
            stream=stream, task=task, run=run, file=journal.name, sha256=journal.digest
        )

    def do(self) -> Imported:
        """Import what is not on record yet."""
        done, spelled = self._done, Counter[str]()
        unknown: dict[str, Unknown] = {}
        fresh = 0
        for line in self._source.lines():
            done.lines += 1
            if isinstance(line, BadLine):
                done.bad.append(line)
                continue
            done.imported += 1
            spelled[line.spelling] += 1
            if not line.is_known:
                first = Unknown(type=line.type, first_line=line.number)
                unknown.setdefault(line.type, first).lines += 1
            if line.number <= self._last_line:
                done.earlier += 1
                continue
            fresh += 1
            self._take(line)
        self._record()
        if done.earlier and not fresh:
            raise ImportExists(
                f"cannot import {done.file} for task {done.task}: it was imported before, as "
                f"stream {done.stream}; see `gesta audit {done.stream}`"
            )
        done.spelled, done.unknown = dict(sorted(spelled.items())), list(unknown.values())
        return done

    def _resume(self, stream: str) -> tuple[Run, int]:
        """Return the state of the import and the line it has come to, from its last event alone."""
        last = self._hands.journal.last(stream)
        if last is None:
            return Run(), 0
        assert isinstance(last.event, LegacyEventImported)
        before = Run(version=last.version - 1, phase=Phase.IMPORTED)
        return fold([last.event], before), last.event.line

    def _take(self, line: LegacyLine) -> None:
        redactions: Counter[str] = Counter()
        payload, others = (self._store(data, redactions) for data in (line.payload, line.others))
        clean = msgspec.structs.replace(
            line,
            type=self._clean(line.type, redactions),
            time=line.time and self._clean(line.time, redactions),
            trace=line.trace and self._clean(line.trace, redactions),
        )
        done = self._done
        event = decide.import_line(
            self._state,
            clean,
            task=done.task,
            name=done.run,
            file=done.sha256,
            payload=payload,
            others=others,
            redactions=dict(redactions),
            rule_set=self._redactor.digest,
        )
        self._events.append(event)
        self._blobs += [blob for blob in (payload, others) if blob]
        held = sum(len(blob.row) for blob in self._blobs if blob.row)
        if len(self._events) >= _LINES or held >= _BYTES:
            self._record()

    def _record(self) -> None:
        if not self._events:
            return
        now = self._hands.clock.now()
        said = [Said(event=event, occurred=now) for event in self._events]
        self._hands.journal.append(
            self._done.stream, self._state.version, said, self._who, blobs=self._blobs
        )
        self._state = fold(self._events, self._state)
        self._events, self._blobs = [], []

    def _store(self, data: bytes | None, redactions: Counter[str]) -> Blob | None:
        if data is None:
            return None
        blob, counts = store_clean(self._hands.blobs, self._redactor, [data])
        redactions.update(counts)
        return blob

    def _clean(self, text: str, redactions: Counter[str]) -> str:
        redacted = self._redactor.text(text)
        redactions.update(redacted.counts)
        return redacted.value
