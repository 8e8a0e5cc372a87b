"""Makes, reads and removes a workspace that is a plain directory: a copy of the caller's.

It stands in where there is no git repository, no git, or a run was asked to do without a worktree.
Rule 1: the source is only read. What comes along is what would in a worktree; outside a checkout
it is everything but what `adapters.git.directory_listing` names.
Rule 2: patches are against the copy, by a git directory of our own. Without git an unchanged
directory can be captured, a changed one cannot.
Rule 3: only the very directory that was made is removed, known by device and inode.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from adapters.git.command import Settings, find_git, read_settings, require_git
from adapters.git.directory_listing import Listing, list_source, list_workspace
from adapters.git.file_copy import CopiedFile, SkippedFile, copy_file, open_directory
from adapters.git.marker import Marker, delete_scratch, identify, read_marker, write_marker
from adapters.git.occupation import occupied
from adapters.git.patch_capture import CapturedPatch, capture_patch
from adapters.git.private_dir import SYNCED, Numbers, PrivateGitDir
from adapters.git.removal import remove_workspace
from adapters.git.uncommitted_work import Manifest
from ledger.errors import WorkspaceError
from ledger.ostext import to_os
from ledger.outcomes import PatchMade, RemovalFailed, Removed, Unavailable, WorktreeMade
from ledger.ports import Repository, WorktreeIntent


class PlainDirectory:
    """
    The `Workspace` of a directory that git does not know.

    The ledger's *home* is never copied.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def survey(self, directory: Path, base: str | None = None) -> Repository | Unavailable:
        """Say that no repository is wanted here."""
        message = f"cannot use a repository at {directory}: a plain directory is wanted"
        return Unavailable(reason="not_a_repository", message=message)

    def create(self, intent: WorktreeIntent) -> WorktreeMade | Unavailable:
        """Copy what `intent.sync` lets come along; refused if that is very much."""
        if os.path.lexists(intent.path):
            message = f"cannot make a directory at {intent.path}: something is there"
            return Unavailable(reason="failed", message=message)
        try:
            with occupied(intent.scratch, make=True):
                return self._make(intent)
        except (WorkspaceError, OSError) as error:
            left = self.clear(intent)
            return Unavailable(
                reason="failed", message=str(error), unknown_effect=not isinstance(left, Removed)
            )
        except BaseException:
            self.clear(intent)
            raise

    def capture(self, intent: WorktreeIntent, made: WorktreeMade) -> PatchMade:
        """Take the patch against the copy."""
        with occupied(intent.scratch):
            return self._capture(intent, made)

    def _capture(self, intent: WorktreeIntent, made: WorktreeMade) -> PatchMade:
        workspace = Path(made.path)
        marker = read_marker(intent.scratch)
        if marker is None or marker.workspace is None or marker.workspace != identify(workspace):
            raise WorkspaceError(f"cannot capture {workspace}: it is not there as it was made")
        if (intent.scratch / "git").is_dir():
            program = require_git(f"capture {workspace}")
            private = PrivateGitDir(program, intent.scratch / "git", workspace)
            captured = capture_patch(private, workspace, made.tree)
        elif _digest(workspace) == made.tree:
            captured = CapturedPatch(patch=b"", tree=made.tree, numbers=Numbers(), untracked=0)
        else:
            raise WorkspaceError(f"cannot capture {workspace}: git is not installed; install git")
        return PatchMade(
            patch=captured.patch,
            tree=captured.tree,
            files=captured.numbers.files,
            insertions=captured.numbers.insertions,
            deletions=captured.numbers.deletions,
            untracked=captured.untracked,
        )

    def remove(self, intent: WorktreeIntent, made: WorktreeMade) -> Removed | RemovalFailed:
        """Remove the copy, if it is still the directory that was made."""
        if made.path != str(intent.path) or made.kind != "directory":
            message = f"cannot remove {made.path}: it is not this run's directory"
            return RemovalFailed(reason="not_ours", message=message)
        return remove_workspace(Marker(kind="directory", path=made.path), intent.scratch)

    def clear(self, intent: WorktreeIntent) -> Removed | RemovalFailed:
        """Remove what a `create` that did not come to its end may have left."""
        begun = read_marker(intent.scratch)
        if begun is None:
            delete_scratch(intent.scratch)
            return Removed()
        return remove_workspace(begun, intent.scratch)

    def _make(self, intent: WorktreeIntent) -> WorktreeMade:
        program = find_git()
        known = None if isinstance(program, Unavailable) else program
        settings = Settings() if known is None else read_settings(known, intent.source)
        listing = Listing()
        if intent.sync != "off":
            listing = list_source(known, settings, intent, self._home)
        begun = Marker(kind="directory", path=str(intent.path))
        write_marker(intent.scratch, begun)
        intent.path.mkdir(parents=True)
        identity = identify(intent.path)
        write_marker(intent.scratch, msgspec.structs.replace(begun, workspace=identity))
        copied, skipped = _copy(listing, intent)
        manifest = Manifest(sync=intent.sync, synced=tuple(copied), skipped=tuple(skipped))
        if known is None:
            tree = _digest(intent.path)
        else:
            private = PrivateGitDir(known, intent.scratch / "git", intent.path)
            tree = _record(private, settings, listing.exclusions, copied, intent.path)
        return WorktreeMade(
            kind="directory",
            path=str(intent.path),
            git_dir=None,
            branch=None,
            base_commit=None,
            tree=tree,
            synced=len(copied),
            skipped=len(skipped),
            deleted=0,
            patch=None,
            manifest=msgspec.json.encode(manifest),
        )


def _copy(listing: Listing, intent: WorktreeIntent) -> tuple[list[CopiedFile], list[SkippedFile]]:
    copied: list[CopiedFile] = []
    skipped = list(listing.skipped)
    with (
        open_directory(os.path.realpath(intent.source)) as source,
        open_directory(intent.path) as target,
    ):
        for path in listing.paths:
            done = copy_file(source, target, path, limit=None)
            if isinstance(done, CopiedFile):
                copied.append(done)
            else:
                skipped.append(done)
    return copied, skipped


def _record(
    private: PrivateGitDir,
    settings: Settings,
    exclusions: bytes,
    copied: list[CopiedFile],
    workspace: Path,
) -> str:
    private.make(settings)
    (private.path / "info/exclude").write_bytes(exclusions)
    doing = f"record what was copied to {workspace}"
    private.stage(SYNCED, doing, [to_os(file.path) for file in copied])
    return private.write_tree(SYNCED, doing)


def _digest(workspace: Path) -> str:
    """Return a digest of names, modes and contents: what stands in for a tree id."""
    digest = hashlib.sha256()
    for path, mode, content in list_workspace(workspace):
        for part in (os.fsencode(path), mode.encode(), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
