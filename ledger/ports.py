"""What the ledger needs from the world. Each port's contract stands in its docstring.

Rule 1: an adapter reports an outcome; it never makes an event and never sees the store.
Rule 2: what can be expected to fail is returned, not raised: `Unavailable`, `RemovalFailed`,
an `Outcome`. What an adapter raises is `WorkspaceError`, or our own mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from ledger.isolation import Filesystem, Isolation, Limits, Network
from ledger.outcomes import (
    Blob,
    Captured,
    Outcome,
    PatchMade,
    RemovalFailed,
    Removed,
    SandboxMade,
    Unavailable,
    WorktreeMade,
)
from ledger.recorded_work import RecordedWork
from ledger.rules import Kind, Sync


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> int:
        """Return microseconds since 1970 in UTC; it may be set back by the machine."""

    def monotonic(self) -> int:
        """Return microseconds that never go back, from an arbitrary start."""


class Randomness(Protocol):
    """Gives unpredictable bytes, for salts and ids."""

    def bytes(self, count: int) -> bytes:
        """Return *count* bytes."""


class BlobSink(Protocol):
    """
    Takes the bytes of one blob as they come, in bounded memory.

    Past its limit it goes on counting and keeps nothing more. Until `finish` nothing exists
    under the blob's name; a sink that is dropped leaves nothing behind.
    """

    def write(self, data: bytes) -> None:
        """Take the next bytes."""

    def finish(self) -> Captured:
        """Make what was kept durable (or hand it back as a row) and say what it is."""

    def discard(self) -> None:
        """Forget everything; also after `finish` nothing more happens."""


class BlobStore(Protocol):
    """Keeps large things by the SHA-256 of their bytes. Writing the same bytes twice is once."""

    def sink(self, limit: int | None = None) -> BlobSink:
        """Return a sink that keeps at most *limit* bytes."""

    def keeping(self) -> AbstractContextManager[None]:
        """
        Keep what is made within the block from being collected before an event names it.

        The block ends when the event is on record. May be nested.
        """

    def put(self, data: bytes) -> Blob:
        """Keep *data*; a large one is a synced file when this returns, a small one a row."""

    def read(self, digest: str) -> bytes:
        """Return the bytes, checked against *digest*; raises `BlobMissing`."""

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes in pieces, in bounded memory; raises `BlobMissing`."""


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """
    What surveying a directory found: where work would be branched off.

    *root* is the top of the checkout, *common_dir* the git directory that its worktrees share,
    *prefix* the surveyed directory below *root* (empty at the top).
    """

    root: str
    common_dir: str
    prefix: str
    head: str


class WorktreeIntent(msgspec.Struct, frozen=True, kw_only=True):
    """
    A workspace to be made at *path*, which must not exist; *scratch* is a directory of ours
    beside it, for what the workspace's commands must not touch.

    *source* is the checkout (or plain directory) that uncommitted work comes from. *base* is a
    commit-ish, `None` for the checked-out one. With *work* that is brought into a git worktree,
    and nothing of the checkout's.
    """

    path: Path
    scratch: Path
    source: Path
    kind: Kind
    sync: Sync
    base: str | None = None
    branch: str | None = None
    keep_ref: str = ""
    work: RecordedWork | None = None


class Workspace(Protocol):
    """
    Makes, reads and removes the directory that a run works in.

    Nothing that a command left in the workspace (hooks, filters, configuration, a rewritten
    `.git`) ever makes the host run anything.
    """

    def survey(self, directory: Path, base: str | None = None) -> Repository | Unavailable:
        """Say what is at *directory*, and whether it has the commit *base*; changes nothing."""

    def create(self, intent: WorktreeIntent) -> WorktreeMade | Unavailable:
        """Make the workspace; when it cannot be made nothing is left of it."""

    def capture(self, intent: WorktreeIntent, made: WorktreeMade) -> PatchMade:
        """
        Take what has changed since the workspace was made, untracked files included.

        Commits made inside are kept under `intent.keep_ref`. May be called again. Raises
        `WorkspaceError`; the workspace is then as it was.
        """

    def clear(self, intent: WorktreeIntent) -> Removed | RemovalFailed:
        """Remove what a `create` that did not come to its end may have left; often nothing."""

    def remove(self, intent: WorktreeIntent, made: WorktreeMade) -> Removed | RemovalFailed:
        """
        Remove exactly what `create` made, if it is still that; removing twice is removing once.

        Whatever is not provably this run's workspace is refused, and nothing is deleted.
        """


class SandboxWish(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a run wants of a sandbox. Ids are for its metadata: nothing else goes there.

    *read_only* are directories of the machine that commands may read, *git_dirs* those that the
    workspace's git reads outside of it. *protected* are paths in the workspace that commands are
    not to change.
    """

    home_id: str
    stream: str
    ordinal: int
    workspace: Path
    filesystem: Filesystem
    network: Network
    limits: Limits
    image: str | None = None
    read_only: tuple[str, ...] = ()
    git_dirs: tuple[Path, ...] = ()
    protected: tuple[str, ...] = ()
    lifetime_s: int = 86_400


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """
    A command's standard input: *data*, or what is read from *fd*.

    A terminal is handed over as it is. What is read from anything else goes to *keep* as it is
    read.
    """

    keep: Callable[[bytes], None]
    data: bytes | None = None
    fd: int | None = None
    terminal: bool = False


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """
    A command to execute. *argv* arrives at the program unchanged and never through a shell.

    *executable* is the resolved file to run as `argv[0]`. *stdout* and *stderr* are called with
    bytes as they come. *time_limit_s* of `None` is no limit. *started* is told the processes of
    this machine that run it: if we die and they do not, whoever comes after us ends them.
    """

    argv: Sequence[str]
    executable: str
    cwd: Path
    env: dict[str, str]
    time_limit_s: float | None
    stdout: Callable[[bytes], None]
    stderr: Callable[[bytes], None]
    stdin: Input | None = None
    started: Callable[[Sequence[int]], None] = lambda _pids: None


class Cancellation(Protocol):
    """Says that the caller wants the command ended."""

    @property
    def signal(self) -> int | None:
        """The signal that asked for it, or `None`."""

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when it is asked for, and stays so."""


class Sandbox(Protocol):
    """
    Executes commands with a stated isolation. One object serves one run.

    Whatever a command started is ended when the command ends, and when we die.
    """

    kind: str

    def prepare(self) -> None:
        """Begin whatever takes time and leaves nothing behind; may be called before `offer`."""

    def offer(self, wish: SandboxWish) -> Isolation | Unavailable:
        """Say what isolation this machine would give now; creates nothing, costs little."""

    def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
        """Create the sandbox; if it cannot be known whether one exists, say so."""

    def attach(self, wish: SandboxWish, id: str) -> SandboxMade | Unavailable:
        """Take hold of a sandbox that another process made; `Unavailable` if it is gone."""

    def remove(self, id: str) -> Removed | RemovalFailed:
        """End a sandbox that another process made, and check that it is gone."""

    def resolve(self, name: str, cwd: Path, env: dict[str, str]) -> str | None:
        """Return the file that *name* would run inside, with no symbolic link left, or `None`."""

    def execute(self, command: Command, cancellation: Cancellation | None) -> Outcome:
        """Run one command to its end; does not return before its output is drained."""

    def close(self) -> Removed | RemovalFailed:
        """End everything and check that it is gone; closing twice is closing once."""
