"""One run whole: its row, its commands, and everything that it made, used and left.

Rule 1: pure folds of the run's own events.
Rule 2: what a missing private part would have said is `None`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

import msgspec

from ledger import events as e
from ledger.events import Attempt, BlobName, OsText, Resource
from ledger.isolation import Axis, Isolation
from ledger.recorded import Recorded
from projections.commands import CommandRow, fold_commands
from projections.run_status import RunStatus, fold_run_status

_Row = TypeVar("_Row")


class WorktreeRow(msgspec.Struct, frozen=True, kw_only=True):
    """The run's worktree; the patch and the manifest are those of the work brought along."""

    kind: Literal["linked", "clone", "directory"]
    path: OsText | None
    branch: str | None
    base_commit: str | None
    synced: int
    skipped: int
    deleted: int
    patch: BlobName | None
    manifest: BlobName | None


class SandboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox of the run."""

    ordinal: int
    kind: str
    id: str
    had: Isolation
    lifetime: Literal["run", "command"]
    image: str | None


class FallbackRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fallback taken or refused; *messages* is what the attempts said, *by* the policy's key."""

    component: Literal["sandbox", "worktree"]
    taken: bool
    wanted: str
    used: str | None
    cause: str
    attempts: tuple[Attempt, ...]
    messages: tuple[str, ...] | None
    lost: tuple[Axis, ...]
    by: str


class PatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    The newest captured patch, against the worktree as it was made.

    One that secrets were taken out of, by the rules in *redactions*, cannot be applied any more.
    """

    size: int
    files: int
    insertions: int
    deletions: int
    untracked: int
    commits: int
    redactions: dict[str, int]
    ref: str | None
    sha256: str | None


class ArtifactRow(msgspec.Struct, frozen=True, kw_only=True):
    """A declared output that was kept."""

    path: OsText | None
    size: int
    sha256: str | None


class CleanupRow(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of a worktree, a sandbox or a branch; the newest word on each."""

    resource: Resource
    ordinal: int
    cleaned: bool
    reason: str | None
    name: OsText | None
    message: str | None


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One run whole, as `gesta show` has it."""

    run: RunStatus
    profile_digest: str | None
    base: str | None
    overridden: tuple[str, ...]
    worktree: WorktreeRow | None
    sandboxes: tuple[SandboxRow, ...]
    fallbacks: tuple[FallbackRow, ...]
    commands: tuple[CommandRow, ...]
    patch: PatchRow | None
    artifacts: tuple[ArtifactRow, ...]
    cleanups: tuple[CleanupRow, ...]


def view_of(records: Sequence[Recorded]) -> RunView | None:
    """Return one run whole, or `None` if *records* are not a run's."""
    row = fold_run_status(records)
    opened = records[0].event if records else None
    if row is None or not isinstance(opened, e.RunOpened):
        return None
    text = opened.private if isinstance(opened.private, e.RunOpenedText) else None
    events = [record.event for record in records]
    return RunView(
        run=row,
        profile_digest=text.rules.digest if text else None,
        base=text.base if text else None,
        overridden=opened.overridden,
        worktree=_last(_worktree(it) for it in events if isinstance(it, e.WorktreeCreated)),
        sandboxes=tuple(_sandbox(it) for it in events if isinstance(it, e.SandboxCreated)),
        fallbacks=tuple(
            _fallback(it) for it in events if isinstance(it, e.FallbackTaken | e.FallbackRefused)
        ),
        commands=tuple(fold_commands(records)),
        patch=_last(_patch(it) for it in events if isinstance(it, e.PatchCaptured)),
        artifacts=tuple(_artifact(it) for it in events if isinstance(it, e.ArtifactStored)),
        cleanups=_cleanups(it for it in events if isinstance(it, e.CleanedUp | e.CleanupFailed)),
    )


def _last(rows: Iterable[_Row]) -> _Row | None:
    last = None
    for row in rows:
        last = row
    return last


def _worktree(event: e.WorktreeCreated) -> WorktreeRow:
    text = event.private if isinstance(event.private, e.WorktreeCreatedText) else None
    return WorktreeRow(
        kind=event.kind,
        path=text.path if text else None,
        branch=text.branch if text else None,
        base_commit=text.base_commit if text else None,
        synced=event.synced,
        skipped=event.skipped,
        deleted=event.deleted,
        patch=text.patch if text else None,
        manifest=text.manifest if text else None,
    )


def _sandbox(event: e.SandboxCreated) -> SandboxRow:
    text = event.private if isinstance(event.private, e.SandboxCreatedText) else None
    return SandboxRow(
        ordinal=event.ordinal,
        kind=event.kind,
        id=event.id,
        had=event.had,
        lifetime=event.lifetime,
        image=text.image if text else None,
    )


def _fallback(event: e.FallbackTaken | e.FallbackRefused) -> FallbackRow:
    text = event.private if isinstance(event.private, e.FallbackText) else None
    taken = isinstance(event, e.FallbackTaken)
    return FallbackRow(
        component=event.component,
        taken=taken,
        wanted=event.wanted,
        used=event.used if isinstance(event, e.FallbackTaken) else None,
        cause=event.cause,
        attempts=event.attempts,
        messages=text.messages if text else None,
        lost=event.lost,
        by=event.allowed_by if isinstance(event, e.FallbackTaken) else event.forbidden_by,
    )


def _patch(event: e.PatchCaptured) -> PatchRow:
    text = event.private if isinstance(event.private, e.PatchText) else None
    return PatchRow(
        size=event.size,
        files=event.files,
        insertions=event.insertions,
        deletions=event.deletions,
        untracked=event.untracked,
        commits=event.commits,
        redactions=event.redactions,
        ref=text.ref if text else None,
        sha256=text.patch.sha256 if text else None,
    )


def _artifact(event: e.ArtifactStored) -> ArtifactRow:
    text = event.private if isinstance(event.private, e.ArtifactText) else None
    return ArtifactRow(
        path=text.path if text else None,
        size=event.size,
        sha256=text.blob.sha256 if text else None,
    )


def _cleanups(events: Iterable[e.CleanedUp | e.CleanupFailed]) -> tuple[CleanupRow, ...]:
    rows: dict[tuple[Resource, int], CleanupRow] = {}
    for event in events:
        failed = event if isinstance(event, e.CleanupFailed) else None
        text = failed.private if failed and isinstance(failed.private, e.CleanupText) else None
        rows[event.resource, event.ordinal] = CleanupRow(
            resource=event.resource,
            ordinal=event.ordinal,
            cleaned=failed is None,
            reason=failed.reason if failed else None,
            name=text.name if text else None,
            message=text.message if text else None,
        )
    return tuple(rows.values())
