"""Projections for tests: small ones, with handlers that can be made to fail."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger import events as e
from ledger.recorded import Recorded
from projections.projection import Projection, Table, on
from projections.rows import Rows


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many events a stream has, and where its last one is."""

    stream: str
    events: int
    last: int


TALLIES = Table("tallies", Tally, key=("stream",), indexes=(("last",),), about="One row a stream.")


class Tallies(Projection):
    """Counts the events of each stream; *fails_at* is the position of one that it refuses."""

    name = "tallies"
    version = 1
    tables = (TALLIES,)
    by_stream = True

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at

    @on()
    def every(self, record: Recorded, rows: Rows) -> None:
        """Count an event."""
        row = rows.get(TALLIES, record.stream) or Tally(stream=record.stream, events=0, last=-1)
        rows.put(TALLIES, Tally(stream=row.stream, events=row.events + 1, last=record.position))
        if record.position == self.fails_at:
            # Put already: none of it may be seen.
            raise ArithmeticError("no more than this")


class NewTallies(Tallies):
    """The same, in another version."""

    version = 2


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How often commands exited with *code*."""

    code: int
    times: int


EXITS = Table("exits", Exit, key=("code",), about="One row an exit code.")


class Exits(Projection):
    """Counts exit codes; needs nothing else."""

    name = "exits"
    version = 1
    tables = (EXITS,)

    @on(e.CommandExecuted)
    def count(self, record: Recorded, rows: Rows) -> None:
        """Count an exit code."""
        assert isinstance(record.event, e.CommandExecuted)
        code = record.event.exit_code
        if code is not None:
            row = rows.get(EXITS, code) or Exit(code=code, times=0)
            rows.put(EXITS, Exit(code=code, times=row.times + 1))


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """A number that may not fit its column."""

    position: int
    number: int


COUNTS = Table("counts", Count, key=("position",), about="One row an event.")


class Unfit(Projection):
    """Gives a row at every event; that at *unfit_at* does not fit the table."""

    name = "unfit"
    version = 1
    tables = (COUNTS,)

    def __init__(self, unfit_at: int, value: Any) -> None:
        self.unfit_at = unfit_at
        self.value = value

    @on()
    def every(self, record: Recorded, rows: Rows) -> None:
        """Put a row."""
        number = self.value if record.position == self.unfit_at else 1
        rows.put(COUNTS, Count(position=record.position, number=number))


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A text that can be searched."""

    number: int
    stream: str
    text: str
    note: str | None = None


WORDS = Table("words", Word, key=("number",), search=("text", "note"), about="One row a text.")


class Words(Projection):
    """Holds texts that are put by hand."""

    name = "words"
    version = 1
    tables = (WORDS,)
    by_stream = True
