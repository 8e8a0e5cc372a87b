"""Brings a checkout's uncommitted work into a new workspace, as far as the policy lets it.

Rule 1: the checkout and its index are only read: git works on a copy of the index.
Rule 2: never what git ignores, what is over 10 MiB, or what is named like a secret
(`adapters.git.file_copy.SECRET_NAMES`), tracked or not; deletions come along.
Rule 3: everything brought, deleted and left behind is in the manifest, with reasons.
Rule 4: the workspace's index stays at its base commit, so that `git status` shows there what it
showed in the checkout.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from adapters.git.checkout import Checkout
from adapters.git.file_copy import (
    CopiedFile,
    SkippedFile,
    SkipReason,
    copy_file,
    delete_file,
    looks_secret,
    open_directory,
)
from adapters.git.private_dir import SYNCED, PrivateGitDir
from ledger.errors import WorkspaceError
from ledger.ostext import OsText, from_os
from ledger.rules import Sync

_SOURCE = "source.index"
# git-status(1), "Porcelain Format Version 2": how many fields stand before the path.
_FIELDS = {"1": 8, "u": 10}
_NO_FILE = "000000"


class Change(msgspec.Struct, frozen=True):
    """What is uncommitted about one path."""

    path: str
    what: Literal["content", "deletion", "untracked"]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What came along, all of it; stored as a blob of JSON."""

    version: int = 1
    sync: Sync
    synced: tuple[CopiedFile, ...] = ()
    deleted: tuple[OsText, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()


class Synced(msgspec.Struct, frozen=True):
    """The work that came along: as a manifest, as a patch, and as the tree that it gave."""

    manifest: Manifest
    encoded: bytes
    patch: bytes | None
    tree: str


def bring_uncommitted_work(
    sync: Sync, checkout: Checkout, workspace: Path, private: PrivateGitDir
) -> Synced:
    """
    Copy into *workspace* what *sync* says of *checkout*, and return what that was.

    *private* has the workspace's fresh index as `SYNCED`, which is brought up to date. Where the
    workspace starts from another commit than the checkout's, nothing is brought and everything is
    skipped as `other_base`. Raises `WorkspaceError`, `OSError`.
    """
    changes = [] if sync == "off" else _find_changes(sync, checkout, workspace, private)
    if changes and checkout.base != checkout.head:
        left = tuple(SkippedFile(from_os(change.path), "other_base") for change in changes)
        touched: list[str] = []
        manifest = Manifest(sync=sync, skipped=left)
    else:
        manifest, touched = _bring(sync, changes, checkout.root, workspace)
    encoded = msgspec.json.encode(manifest)
    if not touched:
        return Synced(manifest, encoded, None, checkout.tree)
    doing = f"record the uncommitted work in {workspace}"
    private.stage(SYNCED, doing, touched)
    tree = private.write_tree(SYNCED, doing)
    patch, _ = private.difference(checkout.tree, tree, doing)
    return Synced(manifest, encoded, patch or None, tree)


def _find_changes(
    sync: Sync, checkout: Checkout, workspace: Path, private: PrivateGitDir
) -> list[Change]:
    private.take_index(checkout.git_dir / "index", _SOURCE)
    untracked = "all" if sync == "all" else "no"
    found = PrivateGitDir(private.program, private.path, checkout.root).ask(
        _SOURCE, "status", "--porcelain=v2", "-z", f"--untracked-files={untracked}",
        "--no-renames", "--ignore-submodules=all", "--no-ahead-behind",
    )  # fmt: skip
    (private.path / _SOURCE).unlink(missing_ok=True)
    if found.status != 0:
        raise WorkspaceError(f"cannot read the state of {checkout.root}: {found.reason}")
    ours = [_below(checkout.root, workspace), _below(checkout.root, private.path.parent)]
    return [
        change
        for change in parse_status(found.stdout)
        if not any(place and f"{change.path}/".startswith(place) for place in ours)
    ]


def _below(root: Path, place: Path) -> str | None:
    # A run's own directory may lie in the checkout, where the caller has said so.
    whole = Path(os.path.realpath(place))
    return f"{whole.relative_to(root)}/" if whole.is_relative_to(root) else None


def parse_status(output: bytes) -> list[Change]:
    """Return what `git status --porcelain=v2 -z` lists, deletions first."""
    changes: dict[str, Change] = {}
    for entry in os.fsdecode(output).split("\0"):
        kind = entry[:1]
        if kind == "?":
            changes[entry[2:]] = Change(entry[2:], "untracked")
        elif kind in _FIELDS:
            *fields, path = entry.split(" ", _FIELDS[kind])
            # In the commit, in the work tree; a conflict has three commits' sides.
            before, now = (fields[3], fields[5]) if kind == "1" else (fields[3], fields[6])
            if now != _NO_FILE:
                changes[path] = Change(path, "content")
            elif before != _NO_FILE or kind == "u":
                changes.setdefault(path, Change(path, "deletion"))
    return sorted(changes.values(), key=lambda change: (change.what != "deletion", change.path))


def _bring(
    sync: Sync, changes: list[Change], root: Path, workspace: Path
) -> tuple[Manifest, list[str]]:
    synced: list[CopiedFile] = []
    deleted: list[OsText] = []
    skipped: list[SkippedFile] = []
    touched: list[str] = []
    with open_directory(root) as source, open_directory(workspace) as target:
        for change in changes:
            if change.what == "deletion":
                delete_file(target, change.path)
                deleted.append(from_os(change.path))
            elif reason := _reason_to_skip(change):
                skipped.append(SkippedFile(from_os(change.path.rstrip("/")), reason))
                continue
            else:
                done = copy_file(source, target, change.path)
                if isinstance(done, SkippedFile):
                    skipped.append(done)
                    continue
                synced.append(done)
            touched.append(change.path)
    manifest = Manifest(
        sync=sync, synced=tuple(synced), deleted=tuple(deleted), skipped=tuple(skipped)
    )
    return manifest, touched


def _reason_to_skip(change: Change) -> SkipReason | None:
    if change.path.endswith("/"):
        return "nested_repository"
    return "secret_name" if looks_secret(change.path) else None
