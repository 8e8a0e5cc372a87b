"""How a run ends: what it made is captured, what it used is cleaned up, the record is sealed.

*ending* marks those that belong to the end of a run; with the first of them no further command
is accepted.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger.events.event import UNSET, BlobName, Event, OsText, Private, Text

Resource = Literal["sandbox", "worktree", "branch"]
RunOutcome = Literal["succeeded", "failed", "cancelled"]


class PatchText(Text, frozen=True, kw_only=True):
    """The patch, the tree that it makes, and the commits kept under *ref*."""

    patch: BlobName
    tree: str
    commits: tuple[str, ...] = ()
    ref: str | None = None


class PatchCaptured(Event, frozen=True, kw_only=True):
    """What the run did to its workspace was captured, against the synced tree."""

    ending: bool
    size: int
    files: int
    insertions: int
    deletions: int
    untracked: int
    commits: int
    # A patch that secrets were taken out of can no longer be applied; counted by rule.
    redactions: dict[str, int] = {}
    private: Private[PatchText] = UNSET


class ArtifactText(Text, frozen=True, kw_only=True):
    """The artifact's path in the workspace and its content."""

    path: OsText
    blob: BlobName


class ArtifactStored(Event, frozen=True, kw_only=True):
    """A declared output of the run was stored."""

    ending: bool
    size: int
    redactions: dict[str, int] = {}
    private: Private[ArtifactText] = UNSET


class CleanedUp(Event, frozen=True, kw_only=True):
    """Something that the run used is gone, and that was checked."""

    ending: bool
    resource: Resource
    ordinal: int


class CleanupText(Text, frozen=True, kw_only=True):
    """Where it is and what stood in the way."""

    name: OsText
    message: str


class CleanupFailed(Event, frozen=True, kw_only=True):
    """Something that the run used may still be there."""

    ending: bool
    resource: Resource
    ordinal: int
    reason: Literal["not_ours", "in_use", "failed", "not_captured"]
    private: Private[CleanupText] = UNSET


class ReasonText(Text, frozen=True, kw_only=True):
    """Why, in words."""

    message: str


class RunCompleted(Event, frozen=True, kw_only=True):
    """The run ended in order."""

    outcome: RunOutcome
    reason: Literal["commands", "asked", "error", "signal"]
    private: Private[ReasonText] = UNSET


class RunAbandoned(Event, frozen=True, kw_only=True):
    """The run's process had died, and recovery ended it."""

    lost: tuple[str, ...]


class SignedStatement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    An in-toto Statement as its JSON text, and its signature (see `ledger.statement`).

    *public_key* (SubjectPublicKeyInfo in DER) and *signature* are in base64.
    """

    statement: str
    public_key: str
    signature: str


class RunSealed(Event, frozen=True, kw_only=True):
    """The run's records were counted and hashed: their RFC 6962 root, as of *log_size* leaves."""

    count: int
    root: str
    log_size: int
    # Made as the event is recorded, because it binds the envelope too; a draft has none.
    signed: SignedStatement | None = None
