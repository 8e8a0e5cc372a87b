"""Makes a clone with a git directory of its own that borrows the repository's objects.

Rule 1: what `git clone --shared` would make, written by us: no template, no hook, no transport.
Rule 2: the repository is only read. It must not be pruned while the clone is in use.
"""

from __future__ import annotations

import os
from pathlib import Path

from adapters.git.checkout import Checkout
from adapters.git.command import Git, Settings
from adapters.git.private_dir import alternates, configuration, copy_exclusions

_FORMAT = "%(objectname) %(refname)%00%(*objectname)"


def make_shared_clone(
    program: str, checkout: Checkout, path: Path, branch: str | None, settings: Settings
) -> None:
    """
    Make the clone at *path*, checked out at the base commit, on *branch* if there is one.

    Raises `WorkspaceError`, `OSError`.
    """
    git_dir = path / ".git"
    for directory in ("objects/info", "refs/heads", "refs/tags", "info"):
        (git_dir / directory).mkdir(parents=True)
    (git_dir / "objects/info/alternates").write_bytes(alternates(checkout.common_dir))
    (git_dir / "config").write_bytes(configuration(settings))
    copy_exclusions(checkout.common_dir, git_dir)
    _copy_refs(program, checkout, git_dir)
    git = Git(program, path, git_dir=git_dir, work_tree=path)
    if branch is None:
        (git_dir / "HEAD").write_text(f"{checkout.base}\n")
    else:
        (git_dir / "HEAD").write_bytes(os.fsencode(f"ref: refs/heads/{branch}\n"))
        git.run(f"make the branch {branch}", "update-ref", f"refs/heads/{branch}", checkout.base)
    git.run(f"check out {path}", "read-tree", "--reset", "-u", checkout.base)


def _copy_refs(program: str, checkout: Checkout, git_dir: Path) -> None:
    git = Git(program, checkout.common_dir, git_dir=checkout.common_dir)
    doing = f"list the branches and tags of {checkout.common_dir}"
    listed = git.run(
        doing, "for-each-ref", f"--format={_FORMAT}", "refs/heads", "refs/tags", "refs/remotes"
    )
    refs: dict[bytes, bytes] = {}
    for line in listed.splitlines():
        entry, _, peeled = line.partition(b"\0")
        name, _, ref = entry.partition(b" ")
        if ref.startswith(b"refs/heads/"):
            ref = b"refs/remotes/origin/" + ref.removeprefix(b"refs/heads/")
        refs[ref] = name + b" " + ref + b"\n" + (b"^" + peeled + b"\n" if peeled else b"")
    # gitrepository-layout(5): sorted, and tags with the commit that they lead to.
    header = b"# pack-refs with: peeled fully-peeled sorted \n"
    (git_dir / "packed-refs").write_bytes(header + b"".join(refs[ref] for ref in sorted(refs)))
