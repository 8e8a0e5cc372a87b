"""How a run begins: opened, with a worktree and a sandbox, or with the consent to something less.

Rule: consent is decided here, what would be lost against what the policy lets be lost.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ledger import events as e
from ledger.decide.blobs import blob_name
from ledger.events import UNSET, BlobName, RunEvent
from ledger.isolation import Axis
from ledger.ostext import from_os
from ledger.outcomes import Blob, SandboxMade, Unavailable, WorktreeMade
from ledger.run import Run, check_legal


class Attempted(msgspec.Struct, frozen=True):
    """A kind that was tried, and why it could not be had."""

    kind: str
    why: Unavailable


def open_run(run: Run, opened: e.RunOpened) -> RunEvent:
    """Return *opened* if nothing is on record yet."""
    check_legal(run, e.RunOpened, "open it again")
    return opened


def create_worktree(
    run: Run,
    made: WorktreeMade,
    *,
    patch: Blob | None,
    manifest: Blob,
    redactions: dict[str, int],
) -> RunEvent:
    """Return the event for a worktree that was made, with its patch and manifest as stored."""
    event = e.WorktreeCreated(
        kind=made.kind,
        detached=made.branch is None,
        synced=made.synced,
        skipped=made.skipped,
        deleted=made.deleted,
        redactions=redactions,
        private=e.WorktreeCreatedText(
            path=from_os(made.path),
            git_dir=None if made.git_dir is None else from_os(made.git_dir),
            branch=made.branch,
            base_commit=made.base_commit,
            tree=made.tree,
            patch=blob_name(patch),
            manifest=BlobName(manifest.digest, manifest.size),
        ),
    )
    check_legal(run, type(event), "create a worktree")
    return event


def create_sandbox(run: Run, made: SandboxMade, startup_us: int | None = None) -> RunEvent:
    """Return the event for a sandbox that was made, *startup_us* after it was asked for."""
    event = e.SandboxCreated(
        ordinal=run.made("sandbox") + 1,
        kind=made.kind,
        id=made.id,
        had=made.isolation,
        lifetime=made.lifetime,
        persists=made.persists,
        granted_s=made.granted_s,
        startup_us=startup_us,
        private=e.SandboxCreatedText(image=made.image) if made.image else UNSET,
    )
    check_legal(run, type(event), "create a sandbox")
    return event


def fall_back(
    run: Run,
    component: e.Component,
    *,
    wanted: str,
    used: str | None,
    cause: e.Cause,
    attempts: tuple[Attempted, ...],
    lost: tuple[Axis, ...],
) -> e.FallbackTaken | e.FallbackRefused:
    """
    Return the fallback to *used* if the policy consents to what is lost by it, else the refusal.

    *used* is `None` when there is nothing left to use.
    """
    said = _said(component, wanted, cause, attempts, lost)
    key = "sandbox.may_lose" if component == "sandbox" else "worktree.fallback"
    if used is not None and _consents(run, component, lost):
        check_legal(run, e.FallbackTaken, f"fall back to {used}")
        return e.FallbackTaken(used=used, allowed_by=key, **said)
    if component == "sandbox" and all(a.why.reason != "not_permitted" for a in attempts):
        key = "sandbox.fallback"
    return e.FallbackRefused(forbidden_by=key, **said)


def _consents(run: Run, component: e.Component, lost: tuple[Axis, ...]) -> bool:
    assert run.rules is not None
    if component == "worktree":
        return run.rules.worktree_fallback
    return set(lost) <= set(run.rules.may_lose)


def _said(
    component: e.Component,
    wanted: str,
    cause: e.Cause,
    attempts: tuple[Attempted, ...],
    lost: tuple[Axis, ...],
) -> dict[str, Any]:
    return {
        "component": component,
        "wanted": wanted,
        "cause": cause,
        "attempts": tuple(
            e.Attempt(a.kind, a.why.reason, "unknown" if a.why.unknown_effect else "none")
            for a in attempts
        ),
        "lost": lost,
        "private": e.FallbackText(messages=tuple(a.why.message for a in attempts)),
    }
