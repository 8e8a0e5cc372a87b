"""Lists the files of a directory that a plain copy of it should have.

Rule 1: inside a checkout git says which: what is tracked, as it is on disk, and (`sync: all`) what
is untracked and not ignored. Elsewhere it is every file, but for directories that tools fill
(`EXCLUDED`).
Rule 2: files over 10 MiB and files named like a secret stay behind, with a reason, unless git has
them committed as they are.
Rule 3: more than 50 000 files or 2 GiB is refused before anything is copied.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapters.git.command import Git, Settings, split_paths
from adapters.git.file_copy import SIZE_LIMIT, SkippedFile, SkipReason, looks_secret
from ledger.errors import WorkspaceError
from ledger.ostext import from_os
from ledger.ports import WorktreeIntent

MOST_FILES = 50_000
MOST_BYTES = 2 * 1024**3
EXCLUDED = frozenset(
    {".git", ".hg", ".mypy_cache", ".svn", ".tox", ".venv", "__pycache__", "node_modules", "venv"}
)


class Listing(msgspec.Struct, frozen=True):
    """The *paths* to copy, what stays behind, and ignore rules (gitignore(5)) for the copy."""

    paths: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    exclusions: bytes = b"".join(f"{name}/\n".encode() for name in sorted(EXCLUDED))


class _Candidate(msgspec.Struct, frozen=True):
    path: str
    size: int
    mode: int
    committed: bool = False


def list_source(
    program: str | None, settings: Settings, intent: WorktreeIntent, home: Path
) -> Listing:
    """
    Return what is to be copied from `intent.source`; *program* is git, where there is one.

    The ledger's *home* is never copied, wherever it is.

    Raises `WorkspaceError` if it is too much, `OSError` if the directory cannot be read.
    """
    source = Path(os.path.realpath(intent.source))
    own = {os.path.realpath(path) for path in (intent.path, intent.scratch, home)}
    in_checkout = any(os.path.lexists(above / ".git") for above in (source, *source.parents))
    listed = None
    if program is not None and in_checkout:
        listed = _ask_git(program, settings, source, tracked_only=intent.sync == "tracked")
    candidates = _walk(source, own) if listed is None else _look_at(source, listed)
    return _choose(source, candidates)


def list_workspace(workspace: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield path, git's mode and the SHA-256 of every file below *workspace*, sorted."""
    for found in sorted(_walk(workspace, set()), key=lambda file: file.path):
        whole = workspace / found.path
        if stat.S_ISLNK(found.mode):
            yield found.path, "120000", hashlib.sha256(os.fsencode(os.readlink(whole))).digest()
        elif stat.S_ISREG(found.mode):
            with open(os.open(whole, os.O_RDONLY | os.O_NOFOLLOW), "rb") as content:
                digest = hashlib.file_digest(content, "sha256").digest()
            yield found.path, "100755" if found.mode & 0o100 else "100644", digest


def _choose(source: Path, candidates: Iterator[_Candidate]) -> Listing:
    paths: list[str] = []
    skipped: list[SkippedFile] = []
    total = 0
    for file in candidates:
        reason = _reason_to_skip(file)
        if reason is not None:
            size = file.size if reason == "too_large" else None
            skipped.append(SkippedFile(from_os(file.path.rstrip("/")), reason, size))
            continue
        paths.append(file.path)
        total += file.size
        if len(paths) > MOST_FILES:
            raise _too_much(source, f"more than {MOST_FILES} files")
        if total > MOST_BYTES:
            raise _too_much(source, f"more than {MOST_BYTES >> 30} GiB")
    return Listing(tuple(sorted(paths)), tuple(skipped))


def _reason_to_skip(file: _Candidate) -> SkipReason | None:
    if stat.S_ISDIR(file.mode):
        return "nested_repository"
    if not stat.S_ISREG(file.mode) and not stat.S_ISLNK(file.mode):
        return "special_file"
    if file.committed:
        return None
    if looks_secret(file.path):
        return "secret_name"
    return "too_large" if file.size > SIZE_LIMIT else None


def _ask_git(program: str, settings: Settings, source: Path, *, tracked_only: bool) -> bytes | None:
    git = Git(program, source, configuration=settings.switches())
    others = () if tracked_only else ("--others", "--exclude-standard")
    listed = git.ask("ls-files", "-z", "-t", "--cached", "--modified", *others)
    # A `.git` that is no repository is none of git's business.
    return listed.stdout if listed.status == 0 else None


def _look_at(source: Path, listed: bytes) -> Iterator[_Candidate]:
    tags: dict[str, str] = {}
    for entry in split_paths(listed):
        tag, path = entry[0], entry[2:]
        # A modified file is listed as cached, too.
        if tag != "H" or path not in tags:
            tags[path] = tag
    for path, tag in tags.items():
        try:
            status = os.lstat(source / path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield _Candidate(path, status.st_size, status.st_mode, committed=tag == "H")


def _walk(source: Path, own: set[str]) -> Iterator[_Candidate]:
    def refuse(error: OSError) -> None:
        raise error

    for directory, below, names, descriptor in os.fwalk(source, onerror=refuse):
        prefix = os.path.relpath(directory, source)
        start = "" if prefix == "." else f"{prefix}/"
        links = [name for name in below if os.path.islink(os.path.join(directory, name))]
        below[:] = [
            name
            for name in sorted(below)
            if name not in EXCLUDED and os.path.join(directory, name) not in own
        ]
        for name in (*names, *links):
            if name in EXCLUDED:
                continue
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            yield _Candidate(start + name, status.st_size, status.st_mode)


def _too_much(source: Path, what: str) -> WorkspaceError:
    return WorkspaceError(f"cannot copy {source}: {what}; run it in a smaller directory")
