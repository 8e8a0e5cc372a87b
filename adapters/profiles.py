"""Finds, reads and keeps the policy profiles.

Rule 1: a profile comes from the home's `profiles/`, then from those that ship with us, never from
the repository that is worked on; its name is a name, never a path.
Rule 2: the file is the truth: it is read at every load, and a compiled copy counts only while the
bytes of the file, and our own code that reads it, are the ones that it was compiled from.
Rule 3: with a compiled copy at hand neither YAML nor the model is imported: that would cost more
than everything else a command does before it starts.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import get_ident
from typing import Any

import msgspec

import ledger.rules
from adapters.yaml_documents import parse_mapping, read_bounded, shown_path
from ledger.errors import PolicyInvalid
from ledger.rules import AllowedCommand, Rules

LARGEST = 256 * 1024
DEFAULT = "default"
VARIABLE = "GESTA_PROFILE"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_CACHE_FORMAT = b"1"
_MOST_COMPILED = 32
_COMPILED_BY = ("policy", "overrides", "allowlist", "job", "rules", "isolation")


class PolicyProvider:
    """
    Loads profiles, and answers what the loaded one says, under the replaced system's names.

    *profiles* is the home's directory of profiles, without which the home is found as everywhere;
    compiled copies go to `cache/policies` beside it. *environment* takes the place of the process's
    own. Every answer reads the file again, so that an edited profile counts at once.
    """

    def __init__(
        self, profiles: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._given = profiles
        self._loaded: str | None = None

    def load(self, name: str | None = None) -> Rules:
        """
        Return the rules of the profile *name*; without one, of `GESTA_PROFILE`, then `default`.

        Raises `PolicyInvalid`, naming the file, and the key where there is one.
        """
        profile = self.chosen(name)
        path = self.find(profile)
        what = f"cannot load profile {profile} ({shown_path(path)})"

        def refuse(why: str) -> PolicyInvalid:
            return PolicyInvalid(f"{what}: {why}")

        data = read_bounded(path, LARGEST, refuse)
        copy = self._compiled(path, data)
        if (kept := _read_compiled(copy)) is not None:
            return kept
        from ledger.policy import parse_policy, rules

        source = shown_path(path)
        policy = parse_policy(parse_mapping(data, refuse), profile=profile, source=source)
        compiled = rules(policy, profile=profile, source=source)
        _write_compiled(copy, compiled)
        return compiled

    def chosen(self, name: str | None = None) -> str:
        """Return *name* or, without one, what the environment names; raises `PolicyInvalid`."""
        profile = self._environment.get(VARIABLE) or DEFAULT if name is None else name
        if not _NAME.fullmatch(profile):
            raise PolicyInvalid(
                f"cannot load profile {profile!r}: it must be a name of 1 to 64 letters, digits, "
                "'_' or '-', not a path"
            )
        return profile

    def find(self, name: str) -> Path:
        """Return the file of the profile *name*; raises `PolicyInvalid` listing those there are."""
        file = f"{self.chosen(name)}.yaml"
        for directory in self._directories():
            # A link that leads nowhere is found too: no other profile may take its place.
            if os.path.lexists(directory / file):
                return directory / file
        raise PolicyInvalid(
            f"cannot load profile {name}: there is none in {shown_path(self._profiles())}; there "
            f"are {', '.join(self.names())}"
        )

    def names(self) -> tuple[str, ...]:
        """Return the names of all profiles that there are, sorted."""
        files = [file for directory in self._directories() for file in directory.glob("*.yaml")]
        return tuple(sorted({file.stem for file in files if _NAME.fullmatch(file.stem)}))

    def load_profile(self, profile_name: str | None = None) -> None:
        """Make *profile_name* the profile that the methods below answer for."""
        profile = self.chosen(profile_name)
        self.load(profile)
        self._loaded = profile

    def get_policy(self) -> dict[str, Any]:
        """Return the whole policy as a profile would write it, with every key."""
        return document_of(self._current())

    def get_protected_paths(self) -> list[str]:
        """Return the protected paths, relative to the workspace."""
        return list(self._current().texts.protected)

    def get_exec_allowlist(self) -> list[str]:
        """Return the commands that may run, without their argument rules; empty is anything."""
        return [entry.command for entry in self._current().texts.allowlist]

    def is_sandbox_enabled(self) -> bool:
        """Say whether commands run in a sandbox."""
        return self._current().facts.sandbox_enabled

    def get_sandbox_type(self) -> str:
        """Return the kind of sandbox that the policy names."""
        return self._current().facts.sandbox_type

    def is_network_allowed(self) -> bool:
        """Say whether commands may use the network."""
        return self._current().facts.network

    def _current(self) -> Rules:
        return self.load(self._loaded)

    def _profiles(self) -> Path:
        if self._given is None:
            from adapters.home import open_home

            self._given = Path(open_home(self._environment).profiles)
        return self._given

    def _directories(self) -> tuple[Path, Path]:
        return self._profiles(), shipped_profiles()

    def _compiled(self, path: Path, data: bytes) -> Path:
        key = hashlib.sha256()
        for part in (_CACHE_FORMAT, _compiler(), os.fsencode(path), data):
            key.update(len(part).to_bytes(8, "big") + part)
        return self._profiles().parent / "cache" / "policies" / f"{key.hexdigest()}.json"


@cache
def get_policy_provider() -> PolicyProvider:
    """Return the provider that this process shares."""
    return PolicyProvider()


def shipped_profiles() -> Path:
    """Return the directory of the profiles that ship with us: of the wheel, else the checkout's."""
    installed = Path(__file__).with_name("shipped_profiles")
    return installed if installed.is_dir() else Path(__file__).parents[1] / "configs" / "profiles"


def document_of(rules: Rules) -> dict[str, Any]:
    """Return the mapping that a profile with these *rules* holds, with every key."""
    facts, texts = rules.facts, rules.texts
    return {
        "sandbox": {
            "enabled": facts.sandbox_enabled,
            "type": facts.sandbox_type,
            "network": facts.network,
            "filesystem": facts.filesystem,
            "fallback": list(facts.fallback),
            "may_lose": list(facts.may_lose),
            "on_lost": facts.on_lost,
            "image": texts.image,
            "read_only": list(texts.read_only),
            "timeout": facts.timeout,
            "limits": msgspec.to_builtins(facts.limits),
        },
        "worktree": {
            "enabled": facts.worktree_enabled,
            "kind": facts.worktree_kind,
            "fallback": facts.worktree_fallback,
            "sync": facts.sync,
            "branch": texts.branch,
            "cleanup": facts.cleanup,
        },
        "run": {"idle_limit": facts.idle_limit},
        "exec": {"allowlist": [_entry(e) for e in texts.allowlist], "env": list(texts.env)},
        "paths": {"protected": list(texts.protected)},
        "artifacts": list(texts.artifacts),
        "redact": {"patterns": list(texts.redact)},
    }


def _entry(allowed: AllowedCommand) -> str | dict[str, Any]:
    rules = {"arguments": list(allowed.arguments), "denied": list(allowed.denied)}
    given = {key: patterns for key, patterns in rules.items() if patterns}
    return {"command": allowed.command, **given} if given else allowed.command


@cache
def _compiler() -> bytes:
    """Return a digest of the code that compiles: a checkout changes without a new version."""
    digest = hashlib.sha256(Path(__file__).with_name("yaml_documents.py").read_bytes())
    for name in _COMPILED_BY:
        digest.update(Path(ledger.rules.__file__).with_name(f"{name}.py").read_bytes())
    return digest.digest()


def _read_compiled(copy: Path) -> Rules | None:
    try:
        fd = os.open(copy, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            return msgspec.json.decode(file.read(), type=Rules)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _write_compiled(copy: Path, rules: Rules) -> None:
    part = copy.with_name(f"{copy.name}.{os.getpid()}-{get_ident()}.part")
    # The copy only saves time: a home that is missing, full or read-only does without it.
    with suppress(OSError):
        copy.parent.parent.mkdir(mode=0o700, exist_ok=True)
        copy.parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            part.unlink()
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(msgspec.json.encode(rules))
        part.replace(copy)
        _forget_oldest(copy.parent)


def _forget_oldest(directory: Path) -> None:
    files = sorted(directory.iterdir(), key=lambda file: file.lstat().st_mtime_ns)
    for file in files[:-_MOST_COMPILED]:
        file.unlink(missing_ok=True)
