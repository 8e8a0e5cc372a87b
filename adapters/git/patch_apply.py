"""Puts a captured patch on a checkout: all of it, or nothing.

Rule 1: nothing runs but git itself: the checkout's filters are off, as everywhere.
Rule 2: only files change; the index, the branches and the configuration stay as they are.
Rule 3: paths are relative to the directory given; git refuses what would lead out of it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from adapters.git.command import Git, read_settings, require_git, workspace_environment
from ledger.errors import WorkspaceError


class Applied(msgspec.Struct, frozen=True):
    """How many files the patch changes, or would change."""

    files: int


def apply_patch(checkout: Path, patch: bytes, *, check: bool = False) -> Applied:
    """
    Apply *patch* to the files of *checkout*, which need not be a git repository.

    With *check* nothing is changed. Raises `WorkspaceError` with git's reason if it does not
    apply; then nothing is changed either.
    """
    doing = f"apply the patch to {checkout}"
    program = require_git(doing)
    if not checkout.is_dir():
        raise WorkspaceError(f"cannot {doing}: it is not a directory")
    if not patch:
        return Applied(0)
    settings = read_settings(program, checkout)
    git = Git(program, checkout, configuration=settings.switches())
    output = git.run(
        doing, "apply", "--binary", "--whitespace=nowarn", "--numstat", "-z",
        "--check" if check else "--apply", "-",
        data=patch, variables=workspace_environment(checkout),
    )  # fmt: skip
    # Of a file that becomes a link, or the other way round, there are two lines.
    return Applied(len({line.split(b"\t", 2)[2] for line in output.split(b"\0") if line}))
