"""What of this machine is mounted into a container, always at its own path.

Rule 1: only the workspace can be written to; its `.git` and the policy's protected paths cannot.
Rule 2: the system is the image's. `read_only: auto` asks for nothing here; what the policy names
besides is mounted read-only.
Rule 3: the ledger's home, and a directory that holds a user's own files as a whole, is never
mounted, whoever names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from adapters.bubblewrap.view import Places, alternates, is_below_any, kept_in, refusal
from ledger.ports import SandboxWish

_FRESH = ("/tmp", "/var/tmp")
_FRESH_OPTIONS = "rw,exec,nosuid,nodev,mode=1777"


def writable_of(wish: SandboxWish) -> tuple[str, ...]:
    """Return the workspace, also by its path without symbolic links."""
    workspace = str(wish.workspace)
    return tuple(dict.fromkeys((workspace, os.path.realpath(workspace))))


def read_only_of(wish: SandboxWish, home: Path | None) -> tuple[str, ...]:
    """Return what is mounted read-only, below the workspace too; outer directories first."""
    places = _places(wish, home)
    wanted = [path for path in wish.read_only if path != "auto"]
    for git_dir in wish.git_dirs:
        wanted += [str(git_dir), *alternates(git_dir)]
    shown = {
        path
        for path in wanted
        if os.path.isdir(path)
        and not is_below_any(os.path.realpath(path), writable_of(wish))
        and refusal(path, places, {}) is None
    }
    return (*sorted(shown), *kept_in(places))


def refused(wish: SandboxWish, home: Path | None) -> str | None:
    """Say which directory that the policy names cannot be mounted, and why."""
    for path in wish.read_only:
        why = None if path == "auto" else refusal(path, _places(wish, home), {})
        if why is not None:
            return f"cannot mount {path} read-only: {why}; remove it from sandbox.read_only"
    return None


def fresh_of(wish: SandboxWish, env: dict[str, str]) -> dict[str, str]:
    """Return the directories that are empty at first, with their mount options (tmpfs(5))."""
    return dict.fromkeys(_fresh(wish, env), _FRESH_OPTIONS)


def _fresh(wish: SandboxWish, env: dict[str, str]) -> Iterator[str]:
    taken = writable_of(wish)
    yield from (path for path in _FRESH if path not in taken)
    home = os.path.normpath(env.get("HOME", "."))
    system = ("/usr", "/bin", "/sbin", "/lib", "/etc", "/dev", "/proc", "/run", "/sys")
    if os.path.isabs(home) and home != "/" and not is_below_any(home, (*taken, *system, *_FRESH)):
        yield home


def _places(wish: SandboxWish, home: Path | None) -> Places:
    return Places(workspace=wish.workspace, hidden=home, protected=wish.protected)
