"""What may be written and read in a run's workspace."""

from __future__ import annotations

from typing import Literal

from ledger import events as e
from ledger.events import RunEvent
from ledger.ostext import from_os
from ledger.run import Run, check_legal

FileReason = Literal["outside", "protected", "symlink", "not_a_file", "missing", "failed"]


def request_write(run: Run, path: str, size: int, before: str | None) -> e.FileWriteRequested:
    """Return the intent to write *size* bytes at *path*; *before* digests what is there."""
    text = e.FileText(path=from_os(path), before=before)
    event = e.FileWriteRequested(file=f"f{run.files + 1}", size=size, private=text)
    check_legal(run, type(event), "write a file")
    return event


def record_write(requested: e.FileWriteRequested, after: str) -> RunEvent:
    """Return the outcome of a write that was requested; *after* is the digest of what is there."""
    text = requested.private
    assert isinstance(text, e.FileText)
    return e.FileWritten(
        file=requested.file,
        size=requested.size,
        private=e.FileText(path=text.path, before=text.before, after=after),
    )


def record_read(run: Run, path: str, size: int, digest: str) -> RunEvent:
    """Return the reading of *size* bytes at *path*."""
    text = e.FileText(path=from_os(path), before=digest, after=digest)
    event = e.FileRead(file=f"f{run.files + 1}", size=size, private=text)
    check_legal(run, type(event), "read a file")
    return event


def record_protected_change(command: str, paths: tuple[str, ...]) -> RunEvent:
    """Return the finding that *command* changed protected *paths*."""
    text = e.ProtectedText(paths=tuple(from_os(path) for path in paths))
    return e.ProtectedPathChanged(command=command, count=len(paths), private=text)


def deny_file(
    run: Run,
    action: Literal["write", "read"],
    path: str,
    reason: FileReason,
    rule: str,
    *,
    file: str | None = None,
) -> RunEvent:
    """Return the denial of an access to *path*; *file* names a write that was requested before."""
    event = e.FileDenied(
        file=file or f"f{run.files + 1}",
        action=action,
        reason=reason,
        private=e.FileDeniedText(path=from_os(path), rule=rule),
    )
    check_legal(run, type(event), f"{action} a file")
    return event
