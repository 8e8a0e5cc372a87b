"""What a command did: it was requested, and then exactly one ending, as far as it is known."""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger.events.event import UNSET, BlobName, Event, OsText, Private, Text
from ledger.isolation import Isolation
from ledger.outcomes import NotStartedReason

Form = Literal["argv", "shell", "cell"]
StdinKind = Literal["none", "terminal", "kept"]


class CommandText(Text, frozen=True, kw_only=True):
    """
    The command as it was given; an *argv* too large for an event is the blob *argv_blob*.

    Of a cell there is the *language*, and the *source* as a blob. *argv* is the program that reads
    it, or the language alone where the sandbox's own interpreter took it (no *executable*).

    Secrets were taken out by the rules whose digest is *rule_set*; *left_alone* names variables
    whose values look like secrets and are too short to be looked for.
    """

    argv: tuple[OsText, ...]
    cwd: OsText
    argv_blob: BlobName | None = None
    executable: OsText | None = None
    env: dict[str, OsText] = {}
    step: str | None = None
    language: str | None = None
    source: BlobName | None = None
    rule_set: str | None = None
    left_alone: tuple[str, ...] = ()


class CommandRequested(Event, frozen=True, kw_only=True):
    """A command is about to run; *time_limit* is in seconds."""

    command: str
    form: Form
    sandbox: int
    may_fail: bool
    uid: int
    stdin: StdinKind
    time_limit: float | None
    asked: Isolation
    had: Isolation
    redactions: dict[str, int] = {}
    private: Private[CommandText] = UNSET


class StreamFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """
    How many bytes a stream brought, how many are stored, and whether some were cut off.

    *redactions* counts by rule the secrets that were taken out.
    """

    total: int
    stored: int
    truncated: bool
    redactions: dict[str, int] = {}


class ResultName(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """
    A result of a cell: its value (`main`), what it displayed, or the error that ended it.

    *redactions* counts by rule the secrets that were taken out.
    """

    kind: Literal["main", "display", "error"]
    media_type: str
    blob: BlobName
    truncated: bool = False
    redactions: dict[str, int] = {}


class StreamsText(Text, frozen=True, kw_only=True):
    """
    The blobs that hold a command's streams; `None` for one that brought nothing.

    *results* are those that a sandbox's own interpreter told apart from what a cell printed.
    Secrets were taken out by the rules whose digest is *rule_set*.
    """

    stdout: BlobName | None = None
    stderr: BlobName | None = None
    stdin: BlobName | None = None
    results: tuple[ResultName, ...] = ()
    rule_set: str | None = None


class CommandEnding(Event, frozen=True, kw_only=True):
    """
    Superclass of the endings that leave output and usage; never recorded itself.

    Durations are in microseconds, memory in kibibytes; `None` is not known.
    """

    command: str
    duration_us: int | None = None
    cpu_us: int | None = None
    peak_memory_kb: int | None = None
    stdout: StreamFacts | None = None
    stderr: StreamFacts | None = None
    stdin: StreamFacts | None = None
    private: Private[StreamsText] = UNSET


class CommandExecuted(CommandEnding, frozen=True, kw_only=True):
    """A command ran to its end: it exited with a code, or a signal ended it."""

    exit_code: int | None
    signal: int | None
    killed_by_memory_limit: bool


class CommandTimedOut(CommandEnding, frozen=True, kw_only=True):
    """A command was ended by its time limit."""


class CommandCancelled(CommandEnding, frozen=True, kw_only=True):
    """A command was ended by its caller, or by the signal that its caller was sent."""

    signal: int | None


class CommandLost(CommandEnding, frozen=True, kw_only=True):
    """A command was requested and how it ended is not known."""

    reason: Literal["sandbox", "process"]


class MessageText(Text, frozen=True, kw_only=True):
    """What was said about it."""

    message: str


class CommandNotStarted(Event, frozen=True, kw_only=True):
    """A command was requested and no process came to be."""

    command: str
    reason: NotStartedReason
    private: Private[MessageText] = UNSET


class CommandOutcomeFound(CommandEnding, frozen=True, kw_only=True):
    """How a command ended became known after it had been called lost."""

    outcome: Literal["executed", "timed_out", "cancelled", "not_started"]
    exit_code: int | None
    signal: int | None
    killed_by_memory_limit: bool


class CommandDeniedText(Text, frozen=True, kw_only=True):
    """The command, or the cell, and the rule that denied it."""

    argv: tuple[OsText, ...]
    cwd: OsText
    rule: str
    argv_blob: BlobName | None = None
    executable: OsText | None = None
    step: str | None = None
    language: str | None = None
    source: BlobName | None = None
    rule_set: str | None = None


class CommandDenied(Event, frozen=True, kw_only=True):
    """A command was not allowed to run."""

    command: str
    form: Form
    may_fail: bool
    reason: Literal["not_listed", "argument"]
    redactions: dict[str, int] = {}
    private: Private[CommandDeniedText] = UNSET
