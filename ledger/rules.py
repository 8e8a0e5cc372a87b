"""The policy as a run is held to it: facts, which everybody may keep, and texts, which are private.

Rule 1: enums and numbers are facts; whatever a person typed (names, paths, patterns) is a text.
Rule 2: once recorded in `RunOpened` they never change: a run is judged by the rules of its first
event, whatever has become of the profile since.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger.isolation import Axis, Filesystem, Limits

Kind = Literal["linked", "clone"]
Sync = Literal["off", "tracked", "all"]
Cleanup = Literal["always", "on_success", "never"]
OnLost = Literal["stop", "fallback"]


class RuleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The enums and numbers of a policy."""

    sandbox_enabled: bool
    sandbox_type: str
    network: bool
    filesystem: Filesystem
    fallback: tuple[str, ...]
    may_lose: tuple[Axis, ...]
    on_lost: OnLost
    timeout: int
    limits: Limits
    worktree_enabled: bool
    worktree_kind: Kind
    worktree_fallback: bool
    sync: Sync
    cleanup: Cleanup
    idle_limit: int


class AllowedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """
    A command that the allowlist lets run.

    *command* is a name, looked up on the command's PATH, or an absolute path. *arguments* are
    patterns, each of which every argument must match in full; none is no restriction. *denied*
    are patterns that no argument may match.
    """

    command: str
    arguments: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


class RuleTexts(msgspec.Struct, frozen=True, kw_only=True):
    """The names, paths and patterns of a policy."""

    profile: str
    source: str
    digest: str
    allowlist: tuple[AllowedCommand, ...] = ()
    env: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    image: str | None = None
    read_only: tuple[str, ...] = ()
    branch: str | None = None
    redact: tuple[str, ...] = ()


class Rules(msgspec.Struct, frozen=True):
    """Both halves together, as a profile gives them."""

    facts: RuleFacts
    texts: RuleTexts
