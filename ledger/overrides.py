"""What the flags of one run change in the rules of its profile, and what is asked for all the same.

Rule 1: a flag chooses another sandbox or switches something off; it never consents. What was asked
for stays what the profile asks, so that whatever a flag loses still needs `may_lose`.
Rule 2: `overridden_keys` are facts: names of keys, never what was typed for them.
Rule 3: a flag's value is held to the form of its key's: the forms that both can have stand here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ledger.errors import InputInvalid
from ledger.isolation import Isolation, Network, asked_of, lost
from ledger.ostext import check_os
from ledger.rules import RuleFacts, Rules

LONGEST_TIMEOUT = 604_800

_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """
    The flags of `gesta run` that change a rule; what is `None`, `False` or empty changes nothing.

    *timeout* is in seconds. *env* holds further names of variables, *artifacts* further patterns.
    """

    sandbox: str | None = None
    no_worktree: bool = False
    branch: str | None = None
    timeout: int | None = None
    env: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()


NOTHING = Overrides()


def overridden(rules: Rules, overrides: Overrides) -> Rules:
    """
    Return *rules* with *overrides* put over them; the digest stays that of the profile.

    A sandbox that is chosen leaves the fallback chain, and is used even where the profile has
    `sandbox.enabled: false`.

    Raises `InputInvalid` if a flag has a value that its key could not have.
    """
    check_overrides(overrides)
    facts, texts = rules.facts, rules.texts
    if overrides.sandbox is not None:
        facts = msgspec.structs.replace(
            facts,
            sandbox_enabled=True,
            sandbox_type=overrides.sandbox,
            fallback=tuple(kind for kind in facts.fallback if kind != overrides.sandbox),
        )
    if overrides.no_worktree:
        facts = msgspec.structs.replace(facts, worktree_enabled=False)
    if overrides.timeout is not None:
        facts = msgspec.structs.replace(facts, timeout=overrides.timeout)
    texts = msgspec.structs.replace(
        texts,
        branch=texts.branch if overrides.branch is None else overrides.branch,
        env=_joined(texts.env, overrides.env),
        artifacts=_joined(texts.artifacts, overrides.artifacts),
    )
    return Rules(facts, texts)


def overridden_keys(rules: Rules, overrides: Overrides) -> tuple[str, ...]:
    """Return the policy's keys that *overrides* gives another value than *rules* has, sorted."""
    after = overridden(rules, overrides)
    changed = {
        "artifacts": rules.texts.artifacts != after.texts.artifacts,
        "exec.env": rules.texts.env != after.texts.env,
        "sandbox.enabled": rules.facts.sandbox_enabled != after.facts.sandbox_enabled,
        "sandbox.timeout": rules.facts.timeout != after.facts.timeout,
        "sandbox.type": rules.facts.sandbox_type != after.facts.sandbox_type,
        "worktree.branch": rules.texts.branch != after.texts.branch,
        "worktree.enabled": rules.facts.worktree_enabled != after.facts.worktree_enabled,
    }
    return tuple(key for key, is_changed in changed.items() if is_changed)


def asked_isolation(facts: RuleFacts, overrides: Overrides = NOTHING) -> Isolation:
    """
    Return the isolation that a run asks for; *facts* are the profile's, before any override.

    A sandbox that is chosen by a flag may add to what the profile asks and takes nothing away.
    """
    asked = _asked_of_kind(facts, wanted_kinds(facts)[0])
    if overrides.sandbox is None:
        return asked
    chosen = _asked_of_kind(facts, overrides.sandbox)
    stronger = lost(chosen, asked)
    return msgspec.structs.replace(
        asked,
        boundary=chosen.boundary if "boundary" in stronger else asked.boundary,
        record=chosen.record if "record" in stronger else asked.record,
    )


def wanted_kinds(facts: RuleFacts) -> tuple[str, ...]:
    """
    Return the kinds of sandbox to try, in order.

    `sandbox.enabled: false` means a local process and nothing else. What the profile asks of it
    (network, filesystem, limits) is asked all the same, and its loss needs consent.
    """
    return (facts.sandbox_type, *facts.fallback) if facts.sandbox_enabled else ("local",)


def check_kind(kind: str) -> str:
    """Return *kind* if a sandbox may be called so; raises `ValueError`."""
    if not _KIND.fullmatch(kind):
        raise ValueError("must be a kind of sandbox: e2b, docker, bubblewrap, local or a plug-in's")
    return kind


def check_variable(name: str) -> str:
    """Return *name* if an environment variable may be called so; raises `ValueError`."""
    if not _VARIABLE.fullmatch(name):
        raise ValueError("must be a variable's name: letters, digits and '_', no digit first")
    return name


def check_variable_set(name: str, value: str) -> None:
    """Raise `InputInvalid` unless a command can be given the variable *name* with *value*."""
    try:
        check_variable(name)
    except ValueError as error:
        raise InputInvalid(f"cannot set variable {name!r}: its name {error}") from None
    # The value may be a secret: it is not shown.
    try:
        check_os("value", value)
    except InputInvalid:
        raise InputInvalid(f"cannot set variable {name}: its value is not text") from None


def check_inside(path: str) -> str:
    """Return *path* if it stays inside the workspace it is relative to; raises `ValueError`."""
    if not 0 < len(path) <= 1000 or not path.isprintable():
        raise ValueError("must be a path of 1 to 1000 printable characters")
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError("must be relative to the workspace, without '..'")
    return path


def check_artifact(pattern: str) -> str:
    """Return *pattern* if it can match a path inside the workspace; raises `ValueError`."""
    if any(part in {"", "."} for part in check_inside(pattern).split("/")):
        raise ValueError("must be a pattern without '.' and empty parts: it would match nothing")
    return pattern


def check_branch(template: str) -> str:
    """
    Return *template* if git accepts the branch that it becomes; raises `ValueError`.

    `{task}` and `{run}` stand for the ids. The form is git's, a little narrower:
    https://git-scm.com/docs/git-check-ref-format.
    """
    name = template.replace("{task}", "T").replace("{run}", "R")
    parts = name.split("/")
    if (
        not _BRANCH.fullmatch(name)
        or ".." in name
        or name == "HEAD"
        or any(not part or part[0] == "." or part.endswith((".", ".lock")) for part in parts)
    ):
        raise ValueError("must be a branch's name that git accepts; {task} and {run} stand for ids")
    return template


def branch_name(template: str, *, task: str, run: str) -> str:
    """Return the branch that *template* means for the run *run* of *task*."""
    return template.replace("{task}", task).replace("{run}", run)


def check_overrides(overrides: Overrides) -> None:
    """Raise `InputInvalid` if a flag has a value that its key could not have."""
    if overrides.sandbox is not None:
        _check_flag("--sandbox", overrides.sandbox, check_kind)
    if overrides.branch is not None:
        _check_flag("--branch", overrides.branch, check_branch)
    for name in overrides.env:
        _check_flag("--env", name, check_variable)
    for pattern in overrides.artifacts:
        _check_flag("--artifact", pattern, check_artifact)
    timeout = overrides.timeout
    if timeout is not None and not 1 <= timeout <= LONGEST_TIMEOUT:
        raise InputInvalid(
            f"cannot accept --timeout {timeout}: it must be from 1 to {LONGEST_TIMEOUT} seconds"
        )


def _check_flag(flag: str, value: str, check: Callable[[str], str]) -> None:
    try:
        check(value)
    except ValueError as error:
        raise InputInvalid(f"cannot accept {flag} {value!r}: it {error}") from error


def _asked_of_kind(facts: RuleFacts, kind: str) -> Isolation:
    network: Network = "host" if facts.network else "none"
    return asked_of(kind, filesystem=facts.filesystem, network=network, limits=facts.limits)


def _joined(rules: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*rules, *more)))
