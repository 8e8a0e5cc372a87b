"""Real git repositories for tests, and a blob store in memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ledger.outcomes import Unavailable, WorktreeMade
from ledger.ports import Workspace, WorktreeIntent
from ledger.rules import Kind, Sync

_IDENTITY = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def git(directory: Path, *arguments: str, data: bytes | None = None) -> str:
    """Run the user's own git in *directory* and return its output; it must succeed."""
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments],
        cwd=directory,
        env=os.environ | _IDENTITY,
        input=data,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("utf-8", "surrogateescape")


def make_repository(path: Path, *options: str) -> Path:
    """Make a repository at *path* with one commit of a few files."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--initial-branch=main", *options)
    (path / "readme.txt").write_text("one\ntwo\nthree\n")
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    (path / "old.txt").write_text("to be deleted\n")
    (path / "src").mkdir()
    (path / "src/main.py").write_text("print('main')\n")
    (path / ".gitignore").write_text("*.log\nbuild/\n")
    (path / "link").symlink_to("readme.txt")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message=first")
    return path


def make_uncommitted(path: Path) -> None:
    """Leave modified, staged, new, deleted, ignored and secret files in the checkout *path*."""
    (path / "readme.txt").write_text("one\nTWO\nthree\n")
    (path / "staged.txt").write_text("staged\n")
    git(path, "add", "staged.txt")
    (path / "new file.txt").write_text("new\n")
    (path / "old.txt").unlink()
    (path / "noise.log").write_text("ignored\n")
    (path / ".env").write_text("TOKEN=secret\n")


def intent_for(
    root: Path,
    source: Path,
    *,
    name: str = "w",
    kind: Kind = "linked",
    sync: Sync = "all",
    base: str | None = None,
    branch: str | None = None,
) -> WorktreeIntent:
    """Return the intent of a workspace called *name* under *root*."""
    return WorktreeIntent(
        path=root / "runs" / name,
        scratch=root / "runs" / f"{name}.scratch",
        source=source,
        kind=kind,
        sync=sync,
        base=base,
        branch=branch,
        keep_ref=f"refs/gesta/{name}",
    )


def made_by(workspace: Workspace, intent: WorktreeIntent) -> WorktreeMade:
    """Return what `create` made; it must have."""
    made = workspace.create(intent)
    assert not isinstance(made, Unavailable), made
    return made


def state_of(repository: Path) -> dict[str, object]:
    """Return what a run must not change in the checkout *repository*."""
    git_dir = repository / ".git"
    return {
        "status": git(repository, "--no-optional-locks", "status", "--porcelain=v2"),
        "branches": git(repository, "for-each-ref", "refs/heads", "refs/tags", "refs/remotes"),
        "index": (git_dir / "index").read_bytes(),
        "config": (git_dir / "config").read_bytes(),
        "HEAD": (git_dir / "HEAD").read_bytes(),
        "names": sorted(entry.name for entry in git_dir.iterdir()),
        "worktrees": git(repository, "worktree", "list", "--porcelain"),
    }


def tree_of(directory: Path, scratch: Path) -> str:
    """Return the id of the tree that all files of *directory* make, by a fresh git directory."""
    for name in ("objects", "refs"):
        (scratch / name).mkdir(parents=True)
    (scratch / "HEAD").write_text("ref: refs/heads/main\n")
    (scratch / "config").write_text("[core]\n\trepositoryformatversion = 0\n")
    places = (f"--git-dir={scratch}", f"--work-tree={directory}")
    git(directory, *places, "add", "--all", "--force", ".")
    return git(directory, *places, "write-tree").strip()
