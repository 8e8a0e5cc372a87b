"""What there is in the world that could be a run's: the port that reconciliation asks.

Rule: looking changes nothing, and what cannot be looked at is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec


class DirectoryFound(msgspec.Struct, frozen=True):
    """A worktree at *path*, or what is left of one in *scratch*, named as the run of *stream*."""

    stream: str
    path: Path
    scratch: Path


class Inventory(Protocol):
    """Lists what a home and the repositories of its runs hold."""

    def directories(self) -> Iterable[DirectoryFound]:
        """Return the worktrees and scratch directories in the home, by the names they have."""

    def registered(self, common_dir: Path) -> Iterable[str]:
        """Return the names of the worktrees that the repository with this git directory knows."""

    def refs(self, common_dir: Path) -> Iterable[str]:
        """Return the names below `refs/gesta/` of the repository with this git directory."""

    def marking_kinds(self) -> Iterable[str]:
        """Return the kinds of sandbox that can outlive us and be found by their marks."""

    def blob_files(self) -> Mapping[str, int]:
        """Return digest and size on disk of each blob that is a file."""

    def dead_drafts(self) -> Mapping[str, int]:
        """Return name in the home and size of each file that a dead writer left unfinished."""

    def collecting(self) -> AbstractContextManager[bool]:
        """Have the blobs alone within the block; `False` if somebody writes all the time."""

    def remove_blob(self, digest: str) -> None:
        """Remove a blob's file, within `collecting`; raises `StoreUnavailable`."""

    def remove_draft(self, name: str) -> None:
        """Remove a draft that is still a dead writer's; raises `StoreUnavailable`."""

    def rooms(self) -> Iterable[str]:
        """Return the streams that room is set aside for in the spool."""

    def damaged(self) -> Iterable[tuple[str, str]]:
        """Return stream and file of each outcome in the spool that cannot be read."""
