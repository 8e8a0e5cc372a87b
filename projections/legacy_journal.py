"""A run's events as lines of the journal that the replaced system wrote, for tools that read it.

Rule 1: a pure fold: the same events and blobs give the same bytes. Nothing here is recorded.
Rule 2: names and payload keys are those of that system; what it had no name for has no line.
Rule 3: what a missing private part, or a blob that is gone, would have said is null or empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, assert_never, cast

import msgspec

from ledger import events as e
from ledger.events import BlobName, OsText, RunEvent
from ledger.recorded import Recorded
from projections.sentences import readable

# The first bytes of a blob, at most so many; nothing if it is gone.
Peek = Callable[[BlobName, int], bytes]

_SUMMARY = 200  # characters of a stream
_FILES = 20  # names of synced files
_MANIFEST = 1024 * 1024
_LOCAL = "local_subprocess"

Line = tuple[str, dict[str, Any]]


class _Envelope(msgspec.Struct, frozen=True):
    timestamp: str
    event_type: str
    trace_id: str
    payload: dict[str, Any]


class _Synced(msgspec.Struct, frozen=True):
    path: OsText


class _Manifest(msgspec.Struct, frozen=True):
    synced: tuple[_Synced, ...] = ()


def fold_legacy_journal(records: Iterable[Recorded], peek: Peek) -> Iterator[bytes]:
    """Yield the lines of one run, whose whole history *records* are, each with its line feed."""
    folding = _Folding(peek)
    for record in records:
        when = datetime.fromtimestamp(record.occurred // 1_000_000, UTC).replace(
            microsecond=record.occurred % 1_000_000
        )
        for name, payload in folding.lines(cast("RunEvent", record.event)):
            envelope = _Envelope(
                when.isoformat(timespec="microseconds"),
                name,
                record.caller_trace or record.trace,
                payload,
            )
            yield msgspec.json.encode(envelope) + b"\n"


class _Folding:
    """What the run's earlier events say of the next one."""

    def __init__(self, peek: Peek) -> None:
        self._peek = peek
        self._names: dict[str, Any] = {}
        self._worktree: str | None = None
        self._is_git = False
        self._kinds: dict[int, str] = {}
        self._sandbox = 0
        self._commands: dict[str, tuple[str | None, int]] = {}

    def lines(self, event: RunEvent) -> Iterator[Line]:
        """Yield the lines of one event: mostly one or none."""
        match event:
            case e.RunOpened():
                self._names = {"task_id": event.task, "run_id": event.run}
            case e.WorktreeCreated():
                yield from self._worktree_created(event)
            case e.FallbackTaken() | e.FallbackRefused():
                yield from self._fell_back(event)
            case e.SandboxCreated():
                self._kinds[event.ordinal], self._sandbox = event.kind, event.ordinal
                yield "SANDBOX_CREATED", {"sandbox_type": event.kind, "sandbox_id": event.id}
            case e.CommandRequested():
                self._commands[event.command] = (_command_line(event), event.sandbox)
            case e.CommandEnding():
                yield from self._ended(event)
            case e.CommandNotStarted():
                text = event.private if isinstance(event.private, e.MessageText) else None
                yield from self._failed(event.command, text.message if text else event.reason)
            case e.FileWritten() | e.FileRead() | e.FileDenied():
                yield from self._file(event)
            case e.CleanedUp() | e.CleanupFailed():
                yield from self._cleaned(event)
            case e.RunCompleted():
                name = "RUN_COMPLETED" if event.outcome == "succeeded" else "RUN_FAILED"
                yield name, {**self._names, "status": event.outcome}
            case e.RunAbandoned():
                yield "RUN_FAILED", {**self._names, "status": "abandoned"}
            case (
                e.SandboxLost()
                | e.CommandDenied()
                | e.FileWriteRequested()
                | e.ProtectedPathChanged()
                | e.PatchCaptured()
                | e.ArtifactStored()
                | e.RunSealed()
                | e.LegacyEventImported()
            ):
                return
            case _:
                assert_never(event)

    def _worktree_created(self, event: e.WorktreeCreated) -> Iterator[Line]:
        text = event.private if isinstance(event.private, e.WorktreeCreatedText) else None
        self._worktree = readable(text.path) if text else None
        self._is_git = event.kind != "directory"
        if self._is_git:
            branch = text.branch if text else None
            payload = {"branch_name": branch, "worktree_path": self._worktree, **self._names}
            yield "GIT_WORKTREE_CREATED", payload
        if event.synced:
            files = self._synced(text.manifest) if text else []
            yield "WORKTREE_FILES_SYNCED", {"synced_count": event.synced, "files": files}

    def _synced(self, manifest: BlobName) -> list[str]:
        try:
            listed = msgspec.json.decode(self._peek(manifest, _MANIFEST), type=_Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        return [readable(one.path) for one in listed.synced[:_FILES]]

    def _fell_back(self, event: e.FallbackTaken | e.FallbackRefused) -> Iterator[Line]:
        text = event.private if isinstance(event.private, e.FallbackText) else None
        said = list(text.messages) if text else []
        reasons = [one.reason for one in event.attempts]
        errors = [*said, *reasons[len(said) :]]
        used = event.used if isinstance(event, e.FallbackTaken) else None
        if event.component == "worktree":
            if event.cause == "override":
                yield "GIT_WORKTREE_SKIPPED", {"reason": event.cause, **self._names}
                return
            fallback = "regular_directory" if used else None
            yield "GIT_WORKTREE_ERROR", {"error": "; ".join(errors), "fallback": fallback}
            return
        for attempt, error in zip(event.attempts, errors, strict=False):
            yield "SANDBOX_CREATE_FAILED", {"sandbox_type": attempt.kind, "error": error}
        if used is not None:
            reason = "; ".join(errors) or event.cause
            yield "SANDBOX_FALLBACK", {"reason": reason, "fallback": _fallback(used)}

    def _ended(self, event: e.CommandEnding) -> Iterator[Line]:
        code = _exit_code(event)
        if code is None:
            yield from self._failed(event.command, _why(event), event)
            return
        command, sandbox = self._commands.pop(event.command, (None, self._sandbox))
        counts = _counts(event)
        if self._is_boxed(sandbox):
            yield "SANDBOX_COMMAND_EXEC", {"command": command, "exit_code": code, **counts}
        yield self._executed(command, sandbox, code, event)

    def _failed(
        self, name: str, error: str, event: e.CommandEnding | None = None
    ) -> Iterator[Line]:
        # A lost command's outcome may still be found: its words are kept.
        command, sandbox = self._commands.get(name, (None, self._sandbox))
        if self._is_boxed(sandbox):
            yield "SANDBOX_COMMAND_ERROR", {"command": command, "error": error}
        yield self._executed(command, sandbox, -1, event)

    def _executed(
        self, command: str | None, sandbox: int, code: int, event: e.CommandEnding | None
    ) -> Line:
        text = event.private if event and isinstance(event.private, e.StreamsText) else None
        return "COMMAND_EXEC", {
            "command": command,
            "exit_code": code,
            **_counts(event),
            "stdout_summary": self._summary(text.stdout if text else None),
            "stderr_summary": self._summary(text.stderr if text else None),
            "sandbox_used": self._is_boxed(sandbox),
        }

    def _summary(self, blob: BlobName | None) -> str:
        if blob is None:
            return ""
        # No character takes more than four bytes.
        return self._peek(blob, 4 * _SUMMARY).decode(errors="replace")[:_SUMMARY]

    def _file(self, event: e.FileWritten | e.FileRead | e.FileDenied) -> Iterator[Line]:
        if isinstance(event, e.FileDenied):
            denied = event.private if isinstance(event.private, e.FileDeniedText) else None
            path = readable(denied.path) if denied else None
            name = f"SANDBOX_FILE_{event.action.upper()}_ERROR"
            yield name, {"path": path, "error": event.reason}
            return
        text = event.private if isinstance(event.private, e.FileText) else None
        path = readable(text.path) if text else None
        payload: dict[str, Any] = {"path": path, "content_length": event.size}
        if isinstance(event, e.FileRead):
            yield "SANDBOX_FILE_READ", payload
        else:
            digest = text.after[:16] if text and text.after else None
            yield "FILE_WRITE", {**payload, "content_hash": digest}

    def _cleaned(self, event: e.CleanedUp | e.CleanupFailed) -> Iterator[Line]:
        error = None
        if isinstance(event, e.CleanupFailed):
            text = event.private if isinstance(event.private, e.CleanupText) else None
            error = text.message if text else event.reason
        if event.resource == "sandbox":
            kind = {"sandbox_type": self._kinds.get(event.ordinal)}
            if error is None:
                yield "SANDBOX_CLOSED", kind
            else:
                yield "SANDBOX_CLOSE_ERROR", {**kind, "error": error}
        elif event.resource == "worktree" and self._is_git:
            path = {"worktree_path": self._worktree}
            if error is None:
                yield "GIT_WORKTREE_REMOVED", {**path, "force": False}
            else:
                failed = {**path, "error": error, "fallback": None}
                yield "GIT_WORKTREE_REMOVE_FAILED", failed

    def _is_boxed(self, sandbox: int) -> bool:
        return self._kinds.get(sandbox, "local") != "local"


def _command_line(event: e.CommandRequested) -> str | None:
    text = event.private
    return " ".join(map(readable, text.argv)) if isinstance(text, e.CommandText) else None


def _exit_code(event: e.CommandEnding) -> int | None:
    """Return the code as `subprocess` has it, or `None` if the command has none."""
    if not isinstance(event, e.CommandExecuted | e.CommandOutcomeFound):
        return None
    if event.exit_code is None and event.signal is not None:
        return -event.signal
    return event.exit_code


def _why(event: e.CommandEnding) -> str:
    match event:
        case e.CommandTimedOut():
            return "ended by its time limit"
        case e.CommandCancelled():
            return "cancelled"
        case e.CommandLost():
            return f"lost with its {event.reason}"
        case _:
            return "it never came to an exit code"


def _counts(event: e.CommandEnding | None) -> dict[str, int]:
    streams = (event.stdout, event.stderr) if event else (None, None)
    names = ("stdout_length", "stderr_length")
    return {
        name: stream.total if stream else 0 for name, stream in zip(names, streams, strict=True)
    }


def _fallback(used: str) -> str:
    return _LOCAL if used == "local" else used
