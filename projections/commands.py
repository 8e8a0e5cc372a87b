"""One row a command: what was asked for, how it ended, what it took and what it printed.

Rule 1: a row is the fold of the events that carry its command's id, in order.
Rule 2: a command that was requested and of which nothing more is on record has the status
`no_recorded_outcome`: it is not known to have failed, and not known to be running.
Rule 3: what a missing private part would have said is `None`, and `missing` is set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from ledger import events as e
from ledger.events import BlobName, Form, OsText, StdinKind
from ledger.recorded import Recorded
from projections.projection import Projection, Table, on
from projections.rows import Rows

CommandStatus = Literal[
    "no_recorded_outcome",
    "succeeded",
    "failed",
    "signalled",
    "timed_out",
    "cancelled",
    "lost",
    "not_started",
    "denied",
]


class StreamRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One stream of a command: bytes that it brought, bytes stored, whether some were cut off.

    *redactions* counts by rule the secrets that were taken out. *sha256* names the blob; `None`
    where nothing is stored or its name is missing.
    """

    total: int
    stored: int
    truncated: bool
    redactions: dict[str, int] = {}
    sha256: str | None


class CommandRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    A command as a reader wants it, or a cell in a *language*.

    Times and durations are in microseconds, memory in kibibytes. Where *argv_blob* is set, *argv*
    holds the first argument alone. *rule* is what denied it, *message* why it did not start.
    *late* marks an outcome that was found after the command had been called lost.
    """

    stream: str
    command: str
    position: int
    requested_at: int
    ended_at: int | None = None
    form: Form
    language: str | None = None
    step: str | None
    argv: tuple[OsText, ...] | None
    argv_blob: BlobName | None
    cwd: OsText | None
    may_fail: bool
    stdin_kind: StdinKind | None = None
    time_limit: float | None = None
    sandbox: int | None = None
    status: CommandStatus
    exit_code: int | None = None
    signal: int | None = None
    killed_by_memory_limit: bool = False
    late: bool = False
    duration_us: int | None = None
    cpu_us: int | None = None
    peak_memory_kb: int | None = None
    stdout: StreamRow | None = None
    stderr: StreamRow | None = None
    stdin: StreamRow | None = None
    reason: str | None = None
    rule: str | None = None
    message: str | None = None
    missing: bool


COMMANDS = Table(
    "commands",
    CommandRow,
    key=("stream", "command"),
    indexes=(
        ("position",),
        ("requested_at", "duration_us"),
        ("status", "position"),
        ("exit_code", "position"),
        ("duration_us",),
    ),
    about="One row a command: what was asked for, how it ended, what it took and printed.",
)


class Commands(Projection):
    """One row a command: what was asked for, how it ended, what it took and printed."""

    name = "commands"
    version = 1
    tables = (COMMANDS,)
    by_stream = True

    @on(
        e.CommandRequested,
        e.CommandDenied,
        e.CommandNotStarted,
        e.CommandExecuted,
        e.CommandTimedOut,
        e.CommandCancelled,
        e.CommandLost,
        e.CommandOutcomeFound,
    )
    def of_command(self, record: Recorded, rows: Rows) -> None:
        """Move the command's row."""
        event = record.event
        command: str = event.command  # type: ignore[attr-defined]  # all of these have one
        # The first event of a command has no earlier row.
        is_first = isinstance(event, e.CommandRequested | e.CommandDenied)
        known = None if is_first else rows.get(COMMANDS, record.stream, command)
        row = follow(known, record)
        if row is not None:
            rows.put(COMMANDS, row)


def fold_commands(records: Iterable[Recorded]) -> list[CommandRow]:
    """Return the rows of one run's commands, in the order they were asked for."""
    rows: dict[str, CommandRow] = {}
    for record in records:
        command = getattr(record.event, "command", None)
        if isinstance(command, str):
            row = follow(rows.get(command), record)
            if row is not None:
                rows[command] = row
    return list(rows.values())


def follow(row: CommandRow | None, record: Recorded) -> CommandRow | None:
    """Return a command's row after one more of its events; `None` before it was asked for."""
    event = record.event
    match event:
        case e.CommandRequested() | e.CommandDenied():
            return _asked(record, event)
        case e.CommandNotStarted() if row is not None:
            text = event.private if isinstance(event.private, e.MessageText) else None
            return msgspec.structs.replace(
                row,
                status="not_started",
                reason=event.reason,
                message=text.message if text else None,
                ended_at=record.occurred,
                missing=row.missing or text is None,
            )
        case e.CommandEnding() if row is not None:
            return _ended(row, record, event)
        case _:
            return row


def _asked(record: Recorded, event: e.CommandRequested | e.CommandDenied) -> CommandRow:
    text = event.private if isinstance(event.private, e.CommandText | e.CommandDeniedText) else None
    row = CommandRow(
        stream=record.stream,
        command=event.command,
        position=record.position,
        requested_at=record.occurred,
        form=event.form,
        language=text.language if text else None,
        step=text.step if text else None,
        argv=text.argv if text else None,
        argv_blob=text.argv_blob if text else None,
        cwd=text.cwd if text else None,
        may_fail=event.may_fail,
        status="no_recorded_outcome",
        missing=text is None,
    )
    if isinstance(event, e.CommandDenied):
        return msgspec.structs.replace(
            row,
            status="denied",
            reason=event.reason,
            rule=text.rule if isinstance(text, e.CommandDeniedText) else None,
            ended_at=record.occurred,
        )
    return msgspec.structs.replace(
        row, stdin_kind=event.stdin, time_limit=event.time_limit, sandbox=event.sandbox
    )


def _ended(row: CommandRow, record: Recorded, event: e.CommandEnding) -> CommandRow:
    text = event.private if isinstance(event.private, e.StreamsText) else None
    seen = any((event.stdout, event.stderr, event.stdin))
    return msgspec.structs.replace(
        row,
        status=_status(event),
        exit_code=getattr(event, "exit_code", None),
        signal=getattr(event, "signal", None),
        killed_by_memory_limit=getattr(event, "killed_by_memory_limit", False),
        late=isinstance(event, e.CommandOutcomeFound),
        ended_at=record.occurred,
        duration_us=event.duration_us,
        cpu_us=event.cpu_us,
        peak_memory_kb=event.peak_memory_kb,
        stdout=_stream(event.stdout, text.stdout if text else None),
        stderr=_stream(event.stderr, text.stderr if text else None),
        stdin=_stream(event.stdin, text.stdin if text else None),
        reason=getattr(event, "reason", None),
        missing=row.missing or (seen and text is None),
    )


def _status(event: e.CommandEnding) -> CommandStatus:
    match event:
        case e.CommandTimedOut() | e.CommandOutcomeFound(outcome="timed_out"):
            return "timed_out"
        case e.CommandCancelled() | e.CommandOutcomeFound(outcome="cancelled"):
            return "cancelled"
        case e.CommandOutcomeFound(outcome="not_started"):
            return "not_started"
        case e.CommandExecuted(exit_code=0) | e.CommandOutcomeFound(exit_code=0):
            return "succeeded"
        case e.CommandExecuted(exit_code=None) | e.CommandOutcomeFound(exit_code=None):
            return "signalled"
        case e.CommandExecuted() | e.CommandOutcomeFound():
            return "failed"
        case _:
            return "lost"


def _stream(facts: e.StreamFacts | None, blob: BlobName | None) -> StreamRow | None:
    if facts is None:
        return None
    return StreamRow(
        total=facts.total,
        stored=facts.stored,
        truncated=facts.truncated,
        redactions=facts.redactions,
        sha256=blob.sha256 if blob else None,
    )
