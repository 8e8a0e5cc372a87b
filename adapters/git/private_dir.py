"""A git directory of our own for a workspace, so that what a command left there is only read.

Rule 1: it is written by us file by file, with no template, no hook and a configuration that holds
only what is harmless; its objects stay in it, the repository's are borrowed through
`objects/info/alternates` (gitrepository-layout(5)).
Rule 2: its `info/attributes` says `* -filter`, which outranks every attribute in the workspace.
Rule 3: no command that looks into embedded repositories or submodules is used (`git add`,
`git status` and `git diff` run git inside them, with their configuration).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from adapters.git.command import Finished, Git, Settings, join_paths
from adapters.git.file_copy import kind_of, open_directory
from ledger.errors import WorkspaceError

SYNCED = "synced.index"
_BLOCKING = (".gitignore", ".gitattributes", ".gitmodules")
# What git says when it goes on without something.
_LEFT_OUT = ("could not open directory", "Ignoring path ")
# A tree that takes longer than this to read may hold a FIFO that git waits at; then we look.
_PATIENCE_S = 5.0


class Numbers(msgspec.Struct, frozen=True):
    """How much a patch changes; a binary file counts no lines."""

    files: int = 0
    insertions: int = 0
    deletions: int = 0


class PrivateGitDir:
    """The git directory *path*, for the workspace *work_tree*."""

    def __init__(self, program: str, path: Path, work_tree: Path) -> None:
        self.program = program
        self.path = path
        self._work_tree = work_tree
        self._git = Git(program, work_tree, git_dir=path, work_tree=work_tree)

    def make(
        self,
        settings: Settings,
        *,
        head: str | None = None,
        common_dir: Path | None = None,
    ) -> None:
        """
        Write the directory anew.

        *head* is the commit that it stands at; objects and `info/exclude` are those of the
        repository at *common_dir*, where there is one.
        """
        shutil.rmtree(self.path, ignore_errors=True)
        for directory in ("objects/info", "refs", "info"):
            (self.path / directory).mkdir(parents=True)
        (self.path / "HEAD").write_text(f"{head or 'ref: refs/heads/none'}\n")
        (self.path / "config").write_bytes(configuration(settings))
        (self.path / "info/attributes").write_text("* -filter\n")
        if common_dir is not None:
            (self.path / "objects/info/alternates").write_bytes(alternates(common_dir))
            copy_exclusions(common_dir, self.path)

    def take_index(self, index: Path, name: str) -> None:
        """
        Copy another git directory's *index* as *name*, with its time.

        Git distrusts entries as young as the index itself, so the time must not change.
        """
        if not copy_regular(index, self.path / name):
            return
        for shared in index.parent.glob("sharedindex.*"):
            copy_regular(shared, self.path / shared.name)

    def ask(self, index: str, *arguments: str, data: bytes | None = None) -> Finished:
        """
        Run git on the workspace with our index of this name.

        Raises `WorkspaceError` at once if git would wait for ever at a file in the workspace.
        """
        variables = {"GIT_INDEX_FILE": str(self.path / index)}
        finished = self._git.ask(*arguments, data=data, variables=variables, seconds=_PATIENCE_S)
        if finished.status is None:
            refuse_blocking_files(self._work_tree)
            (self.path / f"{index}.lock").unlink(missing_ok=True)
            finished = self._git.ask(*arguments, data=data, variables=variables)
        return finished

    def run(self, index: str, doing: str, *arguments: str, data: bytes | None = None) -> bytes:
        """Do as `ask` does; raises `WorkspaceError` if git fails or leaves something out."""
        finished = self.ask(index, *arguments, data=data)
        if finished.status != 0:
            raise WorkspaceError(f"cannot {doing}: {finished.reason}")
        for line in os.fsdecode(finished.stderr).splitlines():
            if any(words in line for words in _LEFT_OUT):
                raise WorkspaceError(f"cannot {doing}: {line}")
        return finished.stdout

    def stage(self, index: str, doing: str, paths: Iterable[str]) -> None:
        """Bring the index up to date with the workspace at *paths*, present or gone."""
        plain: list[str] = []
        displaced: list[str] = []
        with open_directory(self._work_tree) as root:
            for path in paths:
                mode = kind_of(root, path)
                is_plain = mode is None or stat.S_ISREG(mode) or stat.S_ISLNK(mode)
                (plain if is_plain else displaced).append(path)
        # First, so that a file may take a directory's place, and a directory or link a file's.
        for options, group in (
            (("--force-remove",), displaced),
            (("--add", "--remove", "--replace"), plain),
        ):
            if group:
                data = join_paths(group)
                self.run(index, doing, "update-index", *options, "-z", "--stdin", data=data)

    def write_tree(self, index: str, doing: str) -> str:
        """Return the id of the tree that the index holds; its objects stay with us."""
        return self.run(index, doing, "write-tree", "--missing-ok").decode().strip()

    def difference(self, old: str, new: str, doing: str) -> tuple[bytes, Numbers]:
        """Return the patch that makes tree *new* of tree *old*, and how much it changes."""
        # Bare: no attribute in the workspace has a say in how a file is shown.
        git = Git(self.program, self.path, git_dir=self.path, configuration={"core.bare": "true"})
        output = git.run(
            doing, "diff-tree", "-r", "-z", "--numstat", "--patch", "--binary", "--full-index",
            "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color",
            "--src-prefix=a/", "--dst-prefix=b/", "--ignore-submodules=none", old, new,
        )  # fmt: skip
        return _separate(output)


def configuration(settings: Settings, extra: Mapping[str, str] | None = None) -> bytes:
    """Return the file `config` of a git directory with the harmless *settings* (git-config(1))."""
    values = {**settings.harmless, **(extra or {})}
    version = "1" if any(name.startswith("extensions.") for name in values) else "0"
    lines = [f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n"]
    for name, value in values.items():
        section, _, key = name.partition(".")
        quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'[{section}]\n\t{key} = "{quoted}"\n')
    return os.fsencode("".join(lines))


def alternates(common_dir: Path) -> bytes:
    """Return the file that borrows the objects of the repository at *common_dir*."""
    objects = os.fsencode(common_dir / "objects")
    if b"\n" in objects:
        escaped = objects.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
        return b'"' + escaped + b'"\n'
    return objects + b"\n"


def copy_regular(source: Path, target: Path) -> bool:
    """
    Copy a file of somebody else's git directory, with its time; return whether it was there.

    Raises `WorkspaceError` for anything but a regular file: a device has no end.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise WorkspaceError(f"cannot copy {source}: it is not a regular file")
        with open(target, "wb") as copy:
            shutil.copyfileobj(file, copy, 1024 * 1024)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    return True


def copy_exclusions(common_dir: Path, git_dir: Path) -> None:
    """Copy the repository's own ignore rules, as they are before a command has run."""
    copy_regular(common_dir / "info/exclude", git_dir / "info/exclude")


def refuse_blocking_files(work_tree: Path) -> None:
    """Raise `WorkspaceError` if git would wait for a writer when it reads the rules in here."""
    for directory, _, names, descriptor in os.fwalk(work_tree):
        for name in names:
            if name not in _BLOCKING:
                continue
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
                raise WorkspaceError(
                    f"cannot read {os.path.join(directory, name)}: it is not a regular file; "
                    "delete it"
                )


def _separate(output: bytes) -> tuple[bytes, Numbers]:
    # The numbers of each file, NUL; one more NUL; the patch.
    position = 0
    rows: list[bytes] = []
    while position < len(output):
        end = output.index(b"\0", position)
        if end == position:
            return output[end + 1 :], _add_up(rows)
        rows.append(output[position:end])
        position = end + 1
    return b"", _add_up(rows)


def _add_up(rows: Sequence[bytes]) -> Numbers:
    counts = [row.split(b"\t", 2)[:2] for row in rows]
    added, deleted = (
        sum(int(count[column]) for count in counts if count[column] != b"-") for column in (0, 1)
    )
    return Numbers(len(rows), added, deleted)
