"""How a run begins: it is opened, gets a worktree and a sandbox, or something weaker instead."""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger.events.event import UNSET, BlobName, Event, OsText, Private, Text
from ledger.isolation import Axis, Isolation
from ledger.outcomes import UnavailableReason
from ledger.rules import RuleFacts, RuleTexts

Mode = Literal["held", "detached"]
Component = Literal["sandbox", "worktree"]
Cause = Literal["unavailable", "override", "machine", "lost"]


class RepositoryText(Text, frozen=True, kw_only=True):
    """Where the run was branched off: checkout, shared git directory, subdirectory, commit."""

    root: OsText
    common_dir: OsText
    prefix: OsText
    base_commit: str


class RunOpenedText(Text, frozen=True, kw_only=True):
    """What a person typed or named when the run was opened; *base* is the commit asked for."""

    rules: RuleTexts
    directory: OsText
    run_path: OsText
    repository: RepositoryText | None = None
    base: str | None = None
    labels: dict[str, str] = {}


class RunOpened(Event, frozen=True, kw_only=True):
    """A run was opened; this is also the intent for its worktree and its sandbox."""

    task: str
    run: str
    mode: Mode
    home: str
    rules: RuleFacts
    overridden: tuple[str, ...]
    asked: Isolation
    sandbox_wanted: str
    parent: str | None = None
    successor_of: str | None = None
    replay_of: str | None = None
    private: Private[RunOpenedText] = UNSET


class WorktreeCreatedText(Text, frozen=True, kw_only=True):
    """Where the worktree is and what it holds beyond its base commit."""

    path: OsText
    git_dir: OsText | None
    branch: str | None
    base_commit: str | None
    tree: str
    patch: BlobName | None
    manifest: BlobName


class WorktreeCreated(Event, frozen=True, kw_only=True):
    """A worktree was created, with the uncommitted work that the policy let come along."""

    kind: Literal["linked", "clone", "directory"]
    detached: bool
    synced: int
    skipped: int
    deleted: int
    # What was taken out of the stored patch of that work, by rule.
    redactions: dict[str, int] = {}
    private: Private[WorktreeCreatedText] = UNSET


class SandboxCreatedText(Text, frozen=True, kw_only=True):
    """The image or template that the sandbox was made from."""

    image: str | None


class SandboxCreated(Event, frozen=True, kw_only=True):
    """A sandbox was created, with the isolation that this machine really gave."""

    ordinal: int
    kind: str
    id: str
    had: Isolation
    lifetime: Literal["run", "command"]
    persists: tuple[Literal["files", "processes"], ...]
    # How long its provider lets it live unused.
    granted_s: int | None = None
    # From asking for it to having it; `None` is not known.
    startup_us: int | None = None
    private: Private[SandboxCreatedText] = UNSET


class SandboxLost(Event, frozen=True, kw_only=True):
    """A sandbox was found gone, in the middle of a command or between two."""

    ordinal: int


class Attempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One that was tried and not had; of an *unknown* effect something may have been left."""

    kind: str
    reason: UnavailableReason
    effect: Literal["none", "unknown"]


class FallbackText(Text, frozen=True, kw_only=True):
    """What each attempt said, in their order."""

    messages: tuple[str, ...]


class FallbackTaken(Event, frozen=True, kw_only=True):
    """Something weaker than the policy asked for was used, and the policy allowed it."""

    component: Component
    wanted: str
    cause: Cause
    attempts: tuple[Attempt, ...]
    used: str
    lost: tuple[Axis, ...]
    allowed_by: str
    private: Private[FallbackText] = UNSET


class FallbackRefused(Event, frozen=True, kw_only=True):
    """Nothing that the policy permits could be had, so nothing was run."""

    component: Component
    wanted: str
    cause: Cause
    attempts: tuple[Attempt, ...]
    lost: tuple[Axis, ...]
    forbidden_by: str
    private: Private[FallbackText] = UNSET
