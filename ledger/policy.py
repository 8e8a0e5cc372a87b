"""The policy as a profile writes it: every key, its type and range, what it is when left out.

Rule 1: an unknown key, a wrong type and a value out of range are errors that name the file and the
key; nothing is guessed and nothing is converted ("yes" is not true, "2" is not 2).
Rule 2: a key that is left out takes the careful side: no network, no fallback, nothing to lose.
Rule 3: everything that is wrong is found at once; the message names the first.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from ledger.allowlist import check_command, check_pattern, compiled
from ledger.errors import PolicyKeysInvalid
from ledger.isolation import Axis, Filesystem, Limits
from ledger.overrides import (
    LONGEST_TIMEOUT,
    check_artifact,
    check_branch,
    check_inside,
    check_kind,
    check_variable,
)
from ledger.rules import AllowedCommand, Cleanup, Kind, OnLost, RuleFacts, Rules, RuleTexts, Sync
from ledger.typed_documents import check_some, first_of, problems_of

_IMAGE = re.compile(r"[A-Za-z0-9][!-~]{0,299}")
# What Python's expressions know and RE2's do not: look-around, conditions, back-references.
_NOT_RE2 = re.compile(r"\(\?(?:<?[=!]|\(|P=|>)|\\[1-9]")


def _check_unique(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(items)) < len(items):
        raise ValueError("must not repeat an entry")
    return items


def _check_redaction(pattern: str) -> str:
    if pattern == "default":
        return pattern
    if _NOT_RE2.search(check_pattern(pattern).replace(r"\\", "")):
        raise ValueError("must do without look-around, conditions and back-references")
    if compiled(pattern).search(""):
        raise ValueError("must not match the empty text")
    return pattern


def _check_protected(path: str) -> str:
    name = str(PurePosixPath(check_inside(path)))
    if name == "." or set(name) & set("*?"):
        raise ValueError("must name a file or directory in the workspace; it is not a pattern")
    return name


def _check_read_only(path: str) -> str:
    if path != "auto" and (not path.isprintable() or path[:1] != "/" or ".." in path.split("/")):
        raise ValueError("must be auto or an absolute path without '..'")
    return path


def _check_image(image: str) -> str:
    if not _IMAGE.fullmatch(image):
        raise ValueError("must be the name of an image or template, without spaces")
    return image


_Item = TypeVar("_Item")
_List = Annotated[
    # A YAML list is a Python list: lax for the tuple alone, its items are still strict.
    tuple[_Item, ...],
    Field(strict=False, max_length=1000),
    AfterValidator(_check_unique),
]
_KindName = Annotated[str, AfterValidator(check_kind)]
_Pattern = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(check_pattern)]
_Redaction = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_check_redaction)]
_Limit = Annotated[int, Field(ge=1, le=16_777_216)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)


class LimitsSection(_Section):
    """`sandbox.limits`: mebibytes and counts; null is no limit."""

    memory_mb: _Limit | None = 2048
    processes: _Limit | None = 256
    output_mb: _Limit | None = 64


class SandboxSection(_Section):
    """`sandbox`: what a command runs in, and what may be lost of it."""

    enabled: bool = True
    type: _KindName = "e2b"
    network: bool = False
    filesystem: Filesystem = "workspace"
    fallback: _List[_KindName] = ()
    may_lose: _List[Axis] = ()
    on_lost: OnLost = "stop"
    image: Annotated[str, AfterValidator(_check_image)] | None = None
    read_only: _List[Annotated[str, AfterValidator(_check_read_only)]] = ("auto",)
    timeout: Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT)] = 600
    limits: LimitsSection = LimitsSection()

    @field_validator("fallback")
    @classmethod
    def _does_not_repeat_type(cls, kinds: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("type") in kinds:
            raise ValueError("must not repeat sandbox.type")
        return kinds


class WorktreeSection(_Section):
    """`worktree`: the directory that a run works in."""

    enabled: bool = True
    kind: Kind = "linked"
    fallback: bool = False
    sync: Sync = "all"
    branch: Annotated[str, AfterValidator(check_branch)] | None = None
    cleanup: Cleanup = "always"

    @field_validator("fallback")
    @classmethod
    def _stands_in_for_none(cls, fallback: bool, info: ValidationInfo) -> bool:
        if not fallback and info.data.get("enabled") is False:
            raise ValueError("must be true where worktree.enabled is false")
        return fallback


class RunSection(_Section):
    """`run`: seconds after which a detached run counts as abandoned."""

    idle_limit: Annotated[int, Field(ge=1, le=31_536_000)] = 86_400


class AllowedSection(_Section):
    """An entry of `exec.allowlist`; written as text it is a command without argument rules."""

    command: Annotated[str, Field(max_length=4096), AfterValidator(check_command)]
    arguments: Annotated[_List[_Pattern], AfterValidator(check_some)] = Field(
        default=(), validate_default=False
    )
    denied: _List[_Pattern] = ()


def _as_entry(value: object) -> object:
    return {"command": value} if isinstance(value, str) else value


def _as_list(value: object) -> object:
    return ["default"] if value == "default" else value


class ExecSection(_Section):
    """`exec`: which commands may run, and with which variables."""

    allowlist: _List[Annotated[AllowedSection, BeforeValidator(_as_entry)]] = ()
    env: _List[Annotated[str, AfterValidator(check_variable)]] = ("PATH", "HOME", "LANG")


class PathsSection(_Section):
    """`paths`: what must not be changed, relative to the workspace."""

    protected: _List[Annotated[str, AfterValidator(_check_protected)]] = ()


class RedactSection(_Section):
    """`redact`: which texts never reach the record."""

    patterns: Annotated[_List[_Redaction], BeforeValidator(_as_list)] = ("default",)


class Policy(_Section):
    """A whole policy. What every key does is said in docs/policy.md."""

    sandbox: SandboxSection = SandboxSection()
    worktree: WorktreeSection = WorktreeSection()
    run: RunSection = RunSection()
    exec: ExecSection = ExecSection()
    paths: PathsSection = PathsSection()
    artifacts: _List[Annotated[str, AfterValidator(check_artifact)]] = ()
    redact: RedactSection = RedactSection()


def parse_policy(document: object, *, profile: str, source: str) -> Policy:
    """
    Return the policy that *document*, a mapping as YAML gives it, writes.

    *profile* and *source* (its file) are for the message. Raises `PolicyKeysInvalid`.
    """
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        problems = problems_of(error, Policy, "policy")
        message = f"cannot load profile {profile} ({source}): {first_of(problems)}"
        raise PolicyKeysInvalid(message, problems) from error


def rules(policy: Policy, *, profile: str, source: str) -> Rules:
    """
    Return what *policy* holds a run to; the digest is the SHA-256 of its canonical JSON.

    Canonical: every key, also those left out in the file, sorted, without white space, in UTF-8.
    """
    sandbox, worktree = policy.sandbox, policy.worktree
    facts = RuleFacts(
        sandbox_enabled=sandbox.enabled,
        sandbox_type=sandbox.type,
        network=sandbox.network,
        filesystem=sandbox.filesystem,
        fallback=sandbox.fallback,
        may_lose=sandbox.may_lose,
        on_lost=sandbox.on_lost,
        timeout=sandbox.timeout,
        limits=Limits(**sandbox.limits.model_dump()),
        worktree_enabled=worktree.enabled,
        worktree_kind=worktree.kind,
        worktree_fallback=worktree.fallback,
        sync=worktree.sync,
        cleanup=worktree.cleanup,
        idle_limit=policy.run.idle_limit,
    )
    canonical = msgspec.json.encode(policy.model_dump(mode="json"), order="sorted")
    texts = RuleTexts(
        profile=profile,
        source=source,
        digest=hashlib.sha256(canonical).hexdigest(),
        allowlist=tuple(AllowedCommand(**entry.model_dump()) for entry in policy.exec.allowlist),
        env=policy.exec.env,
        protected=policy.paths.protected,
        artifacts=policy.artifacts,
        image=sandbox.image,
        read_only=sandbox.read_only,
        branch=worktree.branch,
        redact=policy.redact.patterns,
    )
    return Rules(facts, texts)
