"""What was written to and read from a run's workspace through the ledger."""

from __future__ import annotations

from typing import Literal

from ledger.events.event import UNSET, Event, OsText, Private, Text


class FileText(Text, frozen=True, kw_only=True):
    """The file's path in the workspace, and digests of its content; `None` where it was not."""

    path: OsText
    before: str | None = None
    after: str | None = None


class FileWriteRequested(Event, frozen=True, kw_only=True):
    """A file is about to be written; *size* is in bytes."""

    file: str
    size: int
    private: Private[FileText] = UNSET


class FileWritten(Event, frozen=True, kw_only=True):
    """A file was written, whole."""

    file: str
    size: int
    private: Private[FileText] = UNSET


class FileRead(Event, frozen=True, kw_only=True):
    """A file was read."""

    file: str
    size: int
    private: Private[FileText] = UNSET


class ProtectedText(Text, frozen=True, kw_only=True):
    """The protected paths that are not as they were."""

    paths: tuple[OsText, ...]


class ProtectedPathChanged(Event, frozen=True, kw_only=True):
    """A command changed what the policy protects, and no sandbox stood in the way."""

    command: str
    count: int
    private: Private[ProtectedText] = UNSET


class FileDeniedText(Text, frozen=True, kw_only=True):
    """The path that was asked for, and the rule that denied it."""

    path: OsText
    rule: str


class FileDenied(Event, frozen=True, kw_only=True):
    """A file was not allowed to be written or read."""

    file: str
    action: Literal["write", "read"]
    reason: Literal["outside", "protected", "symlink", "not_a_file", "missing", "failed"]
    private: Private[FileDeniedText] = UNSET
