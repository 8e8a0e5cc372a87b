"""Brings the uncommitted work that an earlier run began with into a new workspace, from the record.

Rule 1: the checkout is not looked at: what it holds now has nothing to do with what it held then.
Rule 2: the tree that comes of it is the recorded one, or nothing was brought.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from adapters.git.patch_apply import apply_patch
from adapters.git.private_dir import SYNCED, PrivateGitDir
from adapters.git.uncommitted_work import Manifest, Synced
from ledger.errors import WorkspaceError
from ledger.ostext import to_os
from ledger.recorded_work import RecordedWork


def bring_recorded_work(work: RecordedWork, workspace: Path, private: PrivateGitDir) -> Synced:
    """
    Apply *work* to the fresh *workspace*, and return what that was.

    *private* has the workspace's fresh index as `SYNCED`, which is brought up to date. Raises
    `WorkspaceError`.
    """
    doing = f"bring the recorded work into {workspace}"
    try:
        manifest = msgspec.json.decode(work.manifest, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WorkspaceError(f"cannot {doing}: its list is damaged ({error})") from error
    if work.patch is not None:
        apply_patch(workspace, work.patch)
        touched = (*manifest.deleted, *(file.path for file in manifest.synced))
        private.stage(SYNCED, doing, [to_os(path) for path in touched])
    tree = private.write_tree(SYNCED, doing)
    if tree != work.tree:
        raise WorkspaceError(f"cannot {doing}: it gives the tree {tree}, not {work.tree}")
    return Synced(manifest, work.manifest, work.patch, tree)
