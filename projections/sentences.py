"""What each event says, in one sentence that a person can read.

Rule 1: every event type has its sentence; the match over them is exhaustive, so that a new type
without one does not pass the type checker.
Rule 2: what a missing private part would have said is `(missing)`; no sentence fails for it.
Rule 3: a sentence is Unicode, whatever bytes it speaks of; who prints it makes it harmless.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import assert_never

import msgspec

from ledger import events as e
from ledger.events import LedgerEvent, OsText, RunEvent
from ledger.ostext import to_os

MISSING = "(missing)"

AnyEvent = RunEvent | LedgerEvent


def sentence(event: AnyEvent) -> str:
    """Return one sentence, without its full stop, for what happened."""
    match event:
        case (
            e.CommandRequested()
            | e.CommandExecuted()
            | e.CommandTimedOut()
            | e.CommandCancelled()
            | e.CommandLost()
            | e.CommandNotStarted()
            | e.CommandOutcomeFound()
            | e.CommandDenied()
        ):
            return _of_command(event)
        case e.ProtectedPathChanged():
            paths = _private(event, e.ProtectedText, lambda text: _list(text.paths))
            return f"{event.command} changed what the policy protects: {paths}"
        case e.FileWriteRequested() | e.FileWritten() | e.FileRead() | e.FileDenied():
            return _of_file(event)
        case (
            e.PatchCaptured()
            | e.ArtifactStored()
            | e.CleanedUp()
            | e.CleanupFailed()
            | e.RunCompleted()
            | e.RunAbandoned()
            | e.RunSealed()
        ):
            return _of_closing(event)
        case e.LegacyEventImported():
            return _of_import(event)
        case e.LedgerCreated() | e.LedgerRestored() | e.KeyChanged():
            return _of_ledger(event)
        case e.OrphanFound() | e.OrphanRemoved():
            return _of_orphan(event)
        case _:
            return _of_opening(event)


def _of_ledger(event: e.LedgerCreated | e.LedgerRestored | e.KeyChanged) -> str:
    match event:
        case e.LedgerCreated():
            return f"ledger {event.ledger} created in home {event.home}"
        case e.KeyChanged():
            how = "the old key says so" if event.note else "the old key was lost"
            return f"signing key changed to {event.key}; {how}"
        case e.LedgerRestored():
            return (
                f"ledger restored into home {event.home} from a backup of home {event.from_home}: "
                f"{event.size} events, root {event.root[:16]}…"
            )
        case _:
            assert_never(event)


def _of_opening(
    event: e.RunOpened
    | e.WorktreeCreated
    | e.SandboxCreated
    | e.SandboxLost
    | e.FallbackTaken
    | e.FallbackRefused,
) -> str:
    match event:
        case e.RunOpened():
            profile = _private(event, e.RunOpenedText, lambda text: text.rules.profile)
            flags = f", overriding {', '.join(event.overridden)}" if event.overridden else ""
            return f"run opened ({event.mode}) under profile {profile}{flags}"
        case e.WorktreeCreated():
            path = _private(event, e.WorktreeCreatedText, lambda text: readable(text.path))
            return (
                f"{event.kind} worktree created at {path}: {event.synced} uncommitted files "
                f"brought along, {event.skipped} left out, {event.deleted} deleted"
            )
        case e.SandboxCreated():
            return f"sandbox {event.kind} {event.id} created"
        case e.SandboxLost():
            return f"sandbox {event.ordinal} found gone"
        case e.FallbackTaken():
            lost = f", losing {', '.join(event.lost)}" if event.lost else ""
            return (
                f"{event.component} {event.used} used in place of {event.wanted}{_tried(event)}"
                f"{lost}; allowed by {event.allowed_by}"
            )
        case e.FallbackRefused():
            return (
                f"{event.component} {event.wanted} not had{_tried(event)}; "
                f"going on without it forbidden by {event.forbidden_by}"
            )
        case _:
            assert_never(event)


def _of_import(event: e.LegacyEventImported) -> str:
    text = event.private
    if not isinstance(text, e.LegacyText):
        return f"line {event.line} of another system's journal imported: {MISSING}"
    when = f" at {text.time}" if text.time else ""
    return (
        f"line {event.line} of another system's journal imported: {text.type}{when}, "
        f"{event.size} bytes of payload"
    )


def _of_orphan(event: e.OrphanFound | e.OrphanRemoved) -> str:
    names = _private(event, e.OrphanText, lambda text: _list(text.names))
    kind = "" if event.kind is None else f"{event.kind} "
    marked = "" if event.stream is None else f" marked with run {event.stream}"
    size = "" if event.size is None else f", {event.size} bytes"
    done = "found" if isinstance(event, e.OrphanFound) else "removed"
    return f"{event.count} {kind}{event.what} of no run{marked} {done}{size}: {names}"


def _of_command(
    event: e.CommandRequested
    | e.CommandExecuted
    | e.CommandTimedOut
    | e.CommandCancelled
    | e.CommandLost
    | e.CommandNotStarted
    | e.CommandOutcomeFound
    | e.CommandDenied,
) -> str:
    match event:
        case e.CommandRequested():
            words = _private(
                event, e.CommandText, lambda text: command_line(text.argv, text.language)
            )
            return f"{event.command} requested: {words}"
        case e.CommandExecuted():
            return f"{event.command} {_exit(event)}{_printed(event)}"
        case e.CommandTimedOut():
            return f"{event.command} ended by its time limit{_printed(event)}"
        case e.CommandCancelled():
            by = "" if event.signal is None else f" by signal {event.signal}"
            return f"{event.command} cancelled{by}{_printed(event)}"
        case e.CommandLost():
            return f"{event.command} lost with its {event.reason}: how it ended is not known"
        case e.CommandNotStarted():
            why = _private(event, e.MessageText, lambda text: text.message)
            return f"{event.command} not started ({event.reason}): {why}"
        case e.CommandOutcomeFound():
            how = _exit(event) if event.outcome == "executed" else event.outcome.replace("_", " ")
            return f"{event.command} found after it was lost: {how}{_printed(event)}"
        case e.CommandDenied():
            words = _private(
                event, e.CommandDeniedText, lambda text: command_line(text.argv, text.language)
            )
            rule = _private(event, e.CommandDeniedText, lambda text: text.rule)
            return f"{event.command} denied by {rule}: {words}"
        case _:
            assert_never(event)


def _of_file(event: e.FileWriteRequested | e.FileWritten | e.FileRead | e.FileDenied) -> str:
    match event:
        case e.FileWriteRequested():
            path = _private(event, e.FileText, lambda text: readable(text.path))
            return f"{event.file} write requested: {path}, {event.size} bytes"
        case e.FileWritten():
            path = _private(event, e.FileText, lambda text: readable(text.path))
            return f"{event.file} written: {path}, {event.size} bytes"
        case e.FileRead():
            path = _private(event, e.FileText, lambda text: readable(text.path))
            return f"{event.file} read: {path}, {event.size} bytes"
        case e.FileDenied():
            path = _private(event, e.FileDeniedText, lambda text: readable(text.path))
            return f"{event.file} {event.action} denied ({event.reason}): {path}"
        case _:
            assert_never(event)


def _of_closing(
    event: e.PatchCaptured
    | e.ArtifactStored
    | e.CleanedUp
    | e.CleanupFailed
    | e.RunCompleted
    | e.RunAbandoned
    | e.RunSealed,
) -> str:
    match event:
        case e.PatchCaptured():
            return (
                f"patch captured: {event.files} files, +{event.insertions} -{event.deletions}, "
                f"{event.size} bytes, {event.commits} commits kept"
            )
        case e.ArtifactStored():
            path = _private(event, e.ArtifactText, lambda text: readable(text.path))
            return f"artifact stored: {path}, {event.size} bytes"
        case e.CleanedUp():
            return f"{event.resource} {event.ordinal} cleaned up"
        case e.CleanupFailed():
            why = _private(event, e.CleanupText, lambda text: text.message)
            return f"{event.resource} {event.ordinal} not cleaned up ({event.reason}): {why}"
        case e.RunCompleted():
            said = event.private.message if isinstance(event.private, e.ReasonText) else ""
            return f"run {event.outcome} ({event.reason}){': ' if said else ''}{said}"
        case e.RunAbandoned():
            return f"run abandoned; commands left open: {', '.join(event.lost) or 'none'}"
        case e.RunSealed():
            signed = ", signed" if event.signed else ""
            return (
                f"run sealed{signed}: {event.count} records, root {event.root[:16]}… "
                f"of {event.log_size}"
            )
        case _:
            assert_never(event)


def command_line(argv: Iterable[OsText], language: str | None = None) -> str:
    """
    Return *argv* as a shell would take it, on one line as far as its words are.

    A code cell is named by its *language*: what read it is of no interest.
    """
    if language is not None:
        return f"a cell of {language}"
    return " ".join(shlex.quote(readable(word)) for word in argv)


def readable(text: OsText) -> str:
    """Return *text* as Unicode; bytes that are not UTF-8 come out as `\\xff`."""
    return to_os(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _private(event: AnyEvent, kind: type[msgspec.Struct], say: Callable[..., str]) -> str:
    text = getattr(event, "private", None)
    return say(text) if isinstance(text, kind) else MISSING


def _list(paths: tuple[OsText, ...]) -> str:
    return ", ".join(map(readable, paths))


def _tried(event: e.FallbackTaken | e.FallbackRefused) -> str:
    if not event.attempts:
        return f" ({event.cause})"
    return f" ({', '.join(f'{tried.kind}: {tried.reason}' for tried in event.attempts)})"


def _exit(event: e.CommandExecuted | e.CommandOutcomeFound) -> str:
    if event.exit_code is not None:
        return f"exited with {event.exit_code}"
    memory = ", over its memory limit" if event.killed_by_memory_limit else ""
    return f"ended by signal {event.signal}{memory}"


def _printed(event: e.CommandEnding) -> str:
    taken = "" if event.duration_us is None else f" after {event.duration_us / 1e6:.3f} s"
    streams = {"stdout": event.stdout, "stderr": event.stderr}
    parts = [f"{facts.total} bytes of {name}" for name, facts in streams.items() if facts]
    return taken + (f", {' and '.join(parts)}" if parts else "")
