"""What an adapter saw. It reports; the ledger decides what that means and records it.

Rule 1: an outcome holds no event, no run and no store.
Rule 2: each ending of a command is a type of its own: a non-zero exit, a time limit, a command
that never started and a sandbox that vanished are four different things.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger.isolation import Isolation

NotStartedReason = Literal["not_found", "not_executable", "failed"]
UnavailableReason = Literal[
    "disabled",
    "unknown_kind",
    "not_installed",
    "no_key",
    "not_permitted",
    "outage",
    "failed",
    "not_a_repository",
    "no_commit",
    "git_missing",
]


class Blob(msgspec.Struct, frozen=True):
    """
    Bytes kept outside the events, named by the SHA-256 of what is stored.

    *row* holds small ones, to be stored in the transaction of the event that names them; a large
    one (`None`) is already a synced file.
    """

    digest: str
    size: int
    row: bytes | None = None


class Captured(msgspec.Struct, frozen=True):
    """
    What a stream brought: *total* bytes, of which *blob* keeps the first ones.

    *redactions* counts by rule what was taken out before anything was kept.
    """

    total: int
    blob: Blob | None
    truncated: bool
    redactions: dict[str, int] = {}


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a command took: microseconds of wall and processor time, kibibytes at its peak."""

    duration_us: int
    cpu_us: int | None = None
    peak_memory_kb: int | None = None


class ResultKept(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept of one result of a cell; *kind* is its value, a display or its error."""

    kind: Literal["main", "display", "error"]
    media_type: str
    blob: Blob
    truncated: bool = False
    redactions: dict[str, int] = {}


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was kept of a command's streams, however it ended, and of a cell's results.

    *rule_set* is the digest of the rules by which secrets were taken out.
    """

    stdout: Captured
    stderr: Captured
    stdin: Captured | None = None
    results: tuple[ResultKept, ...] = ()
    rule_set: str | None = None


class Executed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The command ran to its end: either *exit_code* or *signal* is set."""

    usage: Usage
    exit_code: int | None = None
    signal: int | None = None
    killed_by_memory_limit: bool = False


class NotStarted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """No process came to be."""

    reason: NotStartedReason
    message: str


class TimedOut(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The time limit ended it, and every process that it had started."""

    usage: Usage


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The caller ended it; *signal* is the one that we were sent, if it was one."""

    usage: Usage
    signal: int | None = None


class Lost(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The sandbox or its supervisor vanished; how the command ended is not known."""

    message: str


Outcome = Executed | NotStarted | TimedOut | Cancelled | Lost


class Unavailable(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox or worktree could not be had; *unknown_effect* if it may exist all the same."""

    reason: UnavailableReason
    message: str
    unknown_effect: bool = False


class SandboxMade(msgspec.Struct, frozen=True, kw_only=True):
    """
    A sandbox exists (or will, for each command, where *lifetime* says so).

    *granted_s* is how long its provider lets it live unused, `None` where there is no provider;
    *home* the home directory that commands have there, `None` where they have the caller's.
    """

    kind: str
    id: str
    isolation: Isolation
    lifetime: Literal["run", "command"]
    persists: tuple[Literal["files", "processes"], ...]
    image: str | None = None
    granted_s: int | None = None
    home: str | None = None


class WorktreeMade(msgspec.Struct, frozen=True, kw_only=True):
    """
    A workspace exists, with the uncommitted work that the policy let come along.

    *patch* is that work, `None` where there is none; *manifest* lists it, in JSON.
    """

    kind: Literal["linked", "clone", "directory"]
    path: str
    git_dir: str | None
    branch: str | None
    base_commit: str | None
    tree: str
    synced: int
    skipped: int
    deleted: int
    patch: bytes | None = None
    manifest: bytes = b""


class PatchMade(msgspec.Struct, frozen=True, kw_only=True):
    """What the run did to its workspace, as a patch against the synced tree."""

    patch: bytes
    tree: str
    files: int
    insertions: int
    deletions: int
    untracked: int
    commits: tuple[str, ...] = ()
    kept_ref: str | None = None


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """It is gone, and that was checked."""


class RemovalFailed(msgspec.Struct, frozen=True, kw_only=True):
    """It may still be there."""

    reason: Literal["not_ours", "in_use", "failed", "not_captured"]
    message: str
