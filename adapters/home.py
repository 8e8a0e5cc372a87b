"""The directory that everything of one ledger lives in.

Rule 1: it belongs to us alone: owned by the effective user, and closed to everybody else.
Rule 2: it never lies inside a git checkout, where `git clean` would delete it, keys included.
Rule 3: its id is made once, by exactly one of many processes, and names this home, not the
ledger: one store can have many homes.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Mapping
from pathlib import Path

import msgspec

from adapters.durable import sync_directory
from ledger.errors import HomeRefused

_REMEDY = "set GESTA_HOME to a directory of its own"


class Home(msgspec.Struct, frozen=True):
    """
    Where things are. Only the home itself exists for sure: whoever writes into one of its
    directories makes it, open to nobody else.
    """

    path: Path

    @property
    def database(self) -> Path:
        """The event store, where it is SQLite's."""
        return self.path / "ledger.db"

    @property
    def views(self) -> Path:
        """What the projections have made of the events; it can be removed at any time."""
        return self.path / "views.db"

    @property
    def blobs(self) -> Path:
        """Large blobs, by their digests."""
        return self.path / "blobs"

    @property
    def keys(self) -> Path:
        """Signing keys."""
        return self.path / "keys"

    @property
    def locks(self) -> Path:
        """The locks of runs that somebody is at work in."""
        return self.path / "locks"

    @property
    def profiles(self) -> Path:
        """The user's own policy profiles."""
        return self.path / "profiles"

    @property
    def spool(self) -> Path:
        """What supervisors saw and the ledger has not recorded yet."""
        return self.path / "spool"

    @property
    def witnesses(self) -> Path:
        """The policy that names the log's witnesses."""
        return self.path / "witness-policy"

    @property
    def workspaces(self) -> Path:
        """The directories that runs work in, with their artifacts."""
        return self.path / "workspaces"


def open_home(environment: Mapping[str, str]) -> Home:
    """
    Return the home that *environment* names, made if it is not there.

    `GESTA_HOME`, else `gesta` under `XDG_STATE_HOME` (relative ones do not count, as the XDG
    Base Directory Specification says), else `~/.local/state/gesta`.

    Raises `HomeRefused`, before anything is made in a place that is not fit for it.
    """
    path = locate_home(environment)
    _check_checkout(path)
    try:
        _make(path)
        _check_owner(path)
    except OSError as error:
        raise HomeRefused(f"cannot use home {path}: {error.strerror}; {_REMEDY}") from error
    return Home(path)


def check_new_home(path: Path) -> None:
    """Raise `HomeRefused` unless a home can be made at *path*: nothing is there or in it."""
    _check_checkout(path)
    if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
        raise HomeRefused(f"cannot make home {path}: it is not empty; name another place")


def home_id(home: Home) -> str:
    """Return the home's random UUID, made if it has none; raises `HomeRefused`."""
    path = home.path / "home.id"
    try:
        if not path.exists():
            _write_id(path)
        text = path.read_text(encoding="ascii").strip()
        return str(uuid.UUID(text))
    except OSError as error:
        raise HomeRefused(f"cannot read home id {path}: {error.strerror}") from error
    except ValueError as error:
        raise HomeRefused(f"cannot read home id {path}: it is not a UUID") from error


def locate_home(environment: Mapping[str, str]) -> Path:
    """Return where the home that *environment* names is, or would be."""
    if named := environment.get("GESTA_HOME"):
        return Path(os.path.abspath(named))
    state = environment.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return Path(state, "gesta")
    user = environment.get("HOME") or os.path.expanduser("~")
    return Path(os.path.abspath(user), ".local", "state", "gesta")


def _check_checkout(path: Path) -> None:
    resolved = Path(os.path.realpath(path))
    for directory in (resolved, *resolved.parents):
        if os.path.lexists(directory / ".git"):
            raise HomeRefused(
                f"cannot use home {path}: it is inside the git checkout {directory}; {_REMEDY}"
            )


def _make(path: Path) -> None:
    if path.is_dir():
        return
    if not path.parent.is_dir():
        _make(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        # Another process was first, or it is not a directory, which the check will say.
        return


def _check_owner(path: Path) -> None:
    user = os.geteuid()
    if stat.S_ISLNK(os.lstat(path).st_mode) and os.lstat(path).st_uid != user:
        raise HomeRefused(f"cannot use home {path}: it is another user's symbolic link; {_REMEDY}")
    found = os.stat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise HomeRefused(f"cannot use home {path}: it is not a directory; {_REMEDY}")
    if found.st_uid != user:
        raise HomeRefused(f"cannot use home {path}: it belongs to another user; {_REMEDY}")
    if found.st_mode & 0o077:
        raise HomeRefused(
            f"cannot use home {path}: others may use it (mode {found.st_mode & 0o777:04o}); "
            f"chmod 700 {path}"
        )


def _write_id(path: Path) -> None:
    draft = path.with_name(f".home.id.{uuid.uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{uuid.uuid4()}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link is made whole or not at all, and never over another one (link(2)).
        os.link(draft, path)
        sync_directory(path.parent)
    except FileExistsError:
        return
    finally:
        draft.unlink()
