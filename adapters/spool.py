"""Outcomes that the store would not take, as files of the home.

Rule 1: a file is whole and durable under its name or not there: it is written and synced beside,
then renamed, then its directory is synced.
Rule 2: before a command is begun its file's room is set aside (posix_fallocate(3)), so that a disk
that fills up meanwhile still takes how it ended. What then does not fit is its output.
Rule 3: files are open to nobody else (0600), and what is damaged is left where it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import msgspec

from adapters.durable import sync_directory
from ledger.errors import StoreUnavailable
from ledger.outcomes import Captured, Output
from ledger.spool import Spooled

# Two streams of the size that is kept as rows, in base64, and what is said of them.
_ROOM = 256 * 1024
_RESERVE, _KEPT = ".room", ".json"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Spooled).decode
# What a file that is no outcome of ours raises, however it is nested and whatever its bytes are.
_DAMAGED = (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# File systems that cannot set room aside still take the file, as long as there is some.
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class SpoolFiles:
    """The files `<stream>-<command>.json` in *directory*; it satisfies `ledger.spool.Spool`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def reserve(self, stream: str) -> None:
        """Set room aside for one outcome of the run; raises `StoreUnavailable` if there is none."""
        path = self._reserve(stream)
        try:
            if path.exists():
                return
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _allocate(descriptor)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StoreUnavailable(
                f"cannot begin a command: there is no room in {self._directory} to keep how it "
                f"ends: {error.strerror}"
            ) from error

    def release(self, stream: str) -> None:
        """Give back what was set aside; often nothing."""
        # A disk that cannot be written to keeps a small file more.
        with contextlib.suppress(OSError):
            self._reserve(stream).unlink(missing_ok=True)

    def keep(self, spooled: Spooled) -> str:
        """Keep it whole or not at all; return its file. Raises `StoreUnavailable`."""
        place = self._directory / f"{spooled.stream}-{spooled.command}{_KEPT}"
        try:
            try:
                self._write(spooled, place)
            except OSError:
                self._write(_without_rows(spooled), place)
        except OSError as error:
            raise StoreUnavailable(f"cannot write {place}: {error.strerror}") from error
        return str(place)

    def streams(self) -> list[str]:
        """Return the streams of which something is kept."""
        found = {path.name.rpartition("-")[0] for path in self._files(_KEPT)}
        return sorted(found)

    def kept(self, stream: str) -> list[tuple[str, Spooled]]:
        """Return what is kept of a run with its place, oldest first; what is damaged is left."""
        found = []
        for path in self._files(_KEPT):
            if not path.name.startswith(f"{stream}-"):
                continue
            with contextlib.suppress(*_DAMAGED):
                spooled = _decode(path.read_bytes())
                if spooled.stream == stream:
                    found.append((str(path), spooled))
        return sorted(found, key=lambda one: one[1].occurred)

    def remove(self, place: str) -> None:
        """Forget what is kept at *place*; removing twice is removing once."""
        Path(place).unlink(missing_ok=True)

    def reserved(self) -> list[str]:
        """Return the streams that room is set aside for; theirs is an open run, or a dead one."""
        return [path.name.removesuffix(_RESERVE) for path in self._files(_RESERVE)]

    def damaged(self) -> list[tuple[str, str]]:
        """Return stream and file of each outcome that cannot be read."""
        readable = {place for stream in self.streams() for place, _ in self.kept(stream)}
        found = [path for path in self._files(_KEPT) if str(path) not in readable]
        return [(path.name.rpartition("-")[0], str(path)) for path in found]

    def _reserve(self, stream: str) -> Path:
        return self._directory / f"{stream}{_RESERVE}"

    def _files(self, suffix: str) -> list[Path]:
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return []
        return [self._directory / name for name in names if name.endswith(suffix)]

    def _write(self, spooled: Spooled, place: Path) -> None:
        data = _encode(spooled)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        reserve = self._reserve(spooled.stream)
        descriptor = os.open(reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        os.rename(reserve, place)
        sync_directory(self._directory)


def _allocate(descriptor: int) -> None:
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, _ROOM)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def _without_rows(spooled: Spooled) -> Spooled:
    """Return it without the output that is kept with it, which is cut off to nothing."""
    output = spooled.output
    lean = Output(
        stdout=_lean(output.stdout),
        stderr=_lean(output.stderr),
        stdin=None if output.stdin is None else _lean(output.stdin),
        results=tuple(result for result in output.results if result.blob.row is None),
        rule_set=output.rule_set,
    )
    return msgspec.structs.replace(spooled, output=lean)


def _lean(captured: Captured) -> Captured:
    if captured.blob is None or captured.blob.row is None:
        return captured
    return msgspec.structs.replace(captured, blob=None, truncated=captured.total > 0)
