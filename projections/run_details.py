"""Everything that a run made, used and left, beside its status and its commands.

Rule 1: pure folds of the run's own events.
Rule 2: what a missing private part would have said is `None`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger import events as e
from ledger.events import Attempt, BlobName, Event, OsText, Resource
from ledger.isolation import Axis, Isolation
from ledger.recorded import Recorded
from projections.projection import Projection, Table, on
from projections.rows import Rows


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


class RunDetails(msgspec.Struct, frozen=True, kw_only=True):
    """
    Everything that a run made, used and left, beside its status and its commands.

    *base* is the commit that was asked for, *overridden* the rules that flags changed; *cleanups*
    has the newest word on each resource.
    """

    stream: str
    profile_digest: str | None = None
    base: str | None = None
    overridden: tuple[str, ...] = ()
    worktree: WorktreeRow | None = None
    sandboxes: tuple[SandboxRow, ...] = ()
    fallbacks: tuple[FallbackRow, ...] = ()
    patch: PatchRow | None = None
    artifacts: tuple[ArtifactRow, ...] = ()
    cleanups: tuple[CleanupRow, ...] = ()


DETAILS = Table(
    "run_details",
    RunDetails,
    key=("stream",),
    about="One row a run: its worktree, sandboxes, fallbacks, patch, artifacts and what is left.",
)


class RunDetailing(Projection):
    """Everything that a run made, used and left."""

    name = "run_details"
    version = 1
    tables = (DETAILS,)
    by_stream = True

    @on(
        e.RunOpened,
        e.WorktreeCreated,
        e.SandboxCreated,
        e.FallbackTaken,
        e.FallbackRefused,
        e.PatchCaptured,
        e.ArtifactStored,
        e.CleanedUp,
        e.CleanupFailed,
    )
    def of_run(self, record: Recorded, rows: Rows) -> None:
        """Add what the event says of the run."""
        known = rows.get(DETAILS, record.stream) or RunDetails(stream=record.stream)
        rows.put(DETAILS, follow(known, record.event))


def follow(details: RunDetails, event: Event) -> RunDetails:
    """Return a run's details after one more of its events."""
    replace = msgspec.structs.replace
    match event:
        case e.RunOpened():
            text = event.private if isinstance(event.private, e.RunOpenedText) else None
            return replace(
                details,
                profile_digest=text.rules.digest if text else None,
                base=text.base if text else None,
                overridden=event.overridden,
            )
        case e.WorktreeCreated():
            return replace(details, worktree=_worktree(event))
        case e.SandboxCreated():
            return replace(details, sandboxes=(*details.sandboxes, _sandbox(event)))
        case e.FallbackTaken() | e.FallbackRefused():
            return replace(details, fallbacks=(*details.fallbacks, _fallback(event)))
        case e.PatchCaptured():
            return replace(details, patch=_patch(event))
        case e.ArtifactStored():
            return replace(details, artifacts=(*details.artifacts, _artifact(event)))
        case e.CleanedUp() | e.CleanupFailed():
            return replace(details, cleanups=_cleanups(details.cleanups, event))
        case _:
            return details


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


def _cleanups(
    known: tuple[CleanupRow, ...], event: e.CleanedUp | e.CleanupFailed
) -> tuple[CleanupRow, ...]:
    failed = event if isinstance(event, e.CleanupFailed) else None
    text = failed.private if failed and isinstance(failed.private, e.CleanupText) else None
    rows = {(row.resource, row.ordinal): row for row in known}
    rows[event.resource, event.ordinal] = CleanupRow(
        resource=event.resource,
        ordinal=event.ordinal,
        cleaned=failed is None,
        reason=failed.reason if failed else None,
        name=text.name if text else None,
        message=text.message if text else None,
    )
    return tuple(rows.values())
