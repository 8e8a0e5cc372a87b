"""Locks of runs, held with the kernel's help (flock(2)).

Rule 1: the kernel lets go of the lock when its process dies, whatever killed it. What the file
says (the holder, and the processes that run its command) is a hint; whether a run is alive is never
decided by it.
Rule 2: two sessions of one process exclude each other as two processes do.
Rule 3: asking for the state never makes somebody else's `hold` fail.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from adapters.forks import ForkAware, watch_forks
from adapters.process_marks import mark_of
from ledger.errors import RunBusy, StoreUnavailable
from ledger.liveness import ProcessMark


class FlockRunLock(ForkAware):
    """The locks `<stream>.lock` in *directory*; it satisfies `ledger.ports.RunLock`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: set[int] = set()
        watch_forks(self)

    @contextlib.contextmanager
    def hold(self, stream: str) -> Iterator[FlockHold]:
        """Hold the run's lock; raises `RunBusy` at once if another process holds it."""
        path = self._path(stream)
        try:
            descriptor = self._take(path, stream)
            self._held.add(descriptor)
        except OSError as error:
            raise StoreUnavailable(f"cannot lock run {stream}: {error}") from error
        hold = FlockHold(descriptor)
        try:
            yield hold
        finally:
            # A child that was forked meanwhile has neither the lock nor, by now, the descriptor.
            if descriptor in self._held:
                self._held.discard(descriptor)
                _let_go(path, descriptor, remove=hold.end())

    def state(self, stream: str) -> Literal["free", "held"]:
        """Say whether some process holds it now."""
        try:
            descriptor = os.open(self._path(stream), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return "free"
        try:
            return "free" if _try(descriptor, fcntl.LOCK_SH) else "held"
        finally:
            os.close(descriptor)

    def known(self) -> list[str]:
        """Return the streams that have a lock file: who is done with a run removes it."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return sorted(name.removesuffix(".lock") for name in names if name.endswith(".lock"))

    def renew_child(self) -> None:
        """Close the parent's locks: a child that outlives it must not keep them."""
        held, self._held = self._held, set()
        for descriptor in held:
            os.close(descriptor)

    def _path(self, stream: str) -> Path:
        return self._directory / f"{stream}.lock"

    def _take(self, path: Path, stream: str) -> int:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o600)
            try:
                _take_or_refuse(descriptor, stream)
                if _is_still(path, descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            # It was removed between our opening and our locking it: what we hold has no name.
            os.close(descriptor)


class FlockHold:
    """The lock of a run while it is ours; it satisfies `ledger.liveness.Hold`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._own = mark_of(os.getpid())
        self._remembered = False
        self.left = _read_hint(descriptor)
        self.note(())

    def note(self, pids: Sequence[int]) -> None:
        """Note the processes that would have to be ended if we died, in place of earlier ones."""
        if self._own is None or self._descriptor is None:
            return
        marks = [mark for mark in map(mark_of, pids) if mark is not None]
        hint = _Hint(self._own.pid, self._own.started, self._own.boot, tuple(marks))
        data = msgspec.json.encode(hint) + b"\n"
        # A full disk is no reason not to work, or not to clean up: the hint stays out.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, data, 0)

    def remember(self, run: bool) -> None:
        """Say whether the file stays when we have let go of the lock."""
        self._remembered = run

    def end(self) -> bool:
        """Note nothing any more, and say whether the file is to go."""
        if self._remembered:
            self.note(())
        self._descriptor = None
        return not self._remembered


class _Hint(msgspec.Struct, frozen=True):
    pid: int
    started: int
    boot: str
    processes: tuple[ProcessMark, ...] = ()


def _read_hint(descriptor: int) -> tuple[ProcessMark, ...]:
    try:
        return msgspec.json.decode(os.pread(descriptor, 1 << 16, 0), type=_Hint).processes
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # A new file, or one that was cut off: it is a hint, and there is none.
        return ()


def _take_or_refuse(descriptor: int, stream: str) -> None:
    while not _try(descriptor, fcntl.LOCK_EX):
        # Whoever asks for the state shares the lock for a moment. If it can be shared, nobody
        # holds it, and it will be ours as soon as those who ask are gone.
        if not _try(descriptor, fcntl.LOCK_SH):
            raise RunBusy(f"cannot work in run {stream}: another process is at work in it")
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.sched_yield()


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def _let_go(path: Path, descriptor: int, *, remove: bool) -> None:
    # Files of ended runs would pile up, so they go, and while the lock is held: whoever has
    # opened this one meanwhile gets the lock of a file without a name, sees that, and begins anew.
    try:
        if remove and _is_still(path, descriptor):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
