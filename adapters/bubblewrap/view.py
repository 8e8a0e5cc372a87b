"""What a command in a bubblewrap sandbox sees of this machine's files.

Rule 1: every path is the same inside and outside, so that what is recorded is true of both.
Rule 2: shown are the system's programs, what the policy's `read_only` names, the workspace and
what its git needs. Nothing else is there, and only the workspace can be written to.
Rule 3: a directory that holds a user's own files as a whole, the ledger's home, or the machine's
secrets and sockets is never shown, whoever names it; nor is anything in the ledger's home but the
workspace.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from adapters.executable_lookup import find_executable

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_NEVER_WHOLE = ("/", "/etc", "/home", "/root", "/tmp", "/var", "/var/lib", "/var/tmp")
_NEVER_BELOW = ("/dev", "/proc", "/run", "/sys", "/var/run")
_INTERPRETERS = ("python3", "python", "node", "ruby", "perl", "java")
_SHIMS = "shims"
_MOST_ALTERNATES = 20


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a view is made of, the same for every command of a run.

    *hidden* is the ledger's home. *always* is shown whatever the policy names: the interpreter
    that starts the commands.
    """

    workspace: Path | None = None
    hidden: Path | None = None
    always: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    git_dirs: tuple[Path, ...] = ()
    protected: tuple[str, ...] = ()


class View(msgspec.Struct, frozen=True):
    """
    Directories of this machine that are shown, beside the system's.

    *read_only* and *writable* are shown as they are; *fresh* are empty at first, writable, and
    forgotten; *links* are pairs of a link and where it leads; *masked* are covered by nothing.
    """

    read_only: tuple[str, ...]
    writable: tuple[str, ...]
    fresh: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    masked: tuple[str, ...]

    def shows(self, path: str) -> bool:
        """Say whether the file at *path*, which has no symbolic link in it, is there inside."""
        if is_below_any(path, self.writable):
            return True
        if is_below_any(path, self.masked):
            return False
        return is_below_any(path, (*SYSTEM, *self.read_only))


def view_of(places: Places, env: dict[str, str]) -> View:
    """Return what a command with the environment *env* sees."""
    workspace = () if places.workspace is None else _both(str(places.workspace))
    wanted = list(places.always)
    for entry in places.read_only:
        wanted += _automatic(env) if entry == "auto" else [entry]
    for git_dir in places.git_dirs:
        wanted += [str(git_dir), *alternates(git_dir)]
    links: dict[str, str] = {}
    shown: set[str] = set()
    for path in wanted:
        real = os.path.realpath(path)
        if is_below_any(real, workspace) or not os.path.isdir(real):
            continue
        if refusal(real, places, env) is None:
            shown.add(real)
            if path != real and not is_below_any(path, (*SYSTEM, *workspace)):
                links[path] = real
    shown = {path for path in shown if not is_below_any(path, (*SYSTEM, *(shown - {path})))}
    return View(
        read_only=tuple(sorted(shown)),
        writable=workspace,
        fresh=tuple(_fresh(env, workspace)),
        links=tuple(sorted(item for item in links.items() if not is_below_any(item[0], shown))),
        masked=tuple(_masked(places.hidden, shown)),
    )


def refusal(path: str, places: Places, env: dict[str, str]) -> str | None:
    """Return why the directory *path* is never shown as a whole, or `None`."""
    real = os.path.realpath(path)
    if real in _NEVER_WHOLE or is_below_any(real, _NEVER_BELOW):
        return "it holds more than a command may see"
    for home in _user_homes(env):
        if is_below_any(home, (real,)):
            return f"it holds the home directory {home}"
    if places.hidden is not None:
        hidden = os.path.realpath(places.hidden)
        if is_below_any(hidden, (real,)) or is_below_any(real, (hidden,)):
            return f"the ledger's home is {hidden}"
    return None


def kept_in(places: Places) -> Iterator[str]:
    """
    Yield the paths in the workspace that a command is not to write to.

    To be asked before every command: only what is there is kept, and only if no link leads to it,
    which an earlier command could have put there.
    """
    if places.workspace is None:
        return
    pointer = places.workspace / ".git"
    if pointer.is_file() and not pointer.is_symlink():
        yield str(pointer)
    root = os.path.realpath(places.workspace)
    for name in places.protected:
        path = os.path.normpath(os.path.join(root, name))
        inside = path != root and is_below_any(path, (root,))
        if inside and os.path.lexists(path) and os.path.realpath(path) == path:
            yield str(places.workspace / name)


def find_inside(view: View, name: str, cwd: Path, env: dict[str, str]) -> str | None:
    """Return the file that *name* runs inside, as `find_executable` does, or `None`."""
    if "/" in name:
        found = find_executable(name, cwd, env)
        return found if found is not None and view.shows(found) else None
    for directory in env.get("PATH", os.defpath).split(os.pathsep):
        found = find_executable(name, cwd, {"PATH": directory})
        if found is not None and view.shows(found):
            return found
    return None


def is_below_any(path: str, directories: Iterable[str]) -> bool:
    """Say whether *path* is one of *directories* or lies below one."""
    return any(
        path == directory or path.startswith(directory.rstrip("/") + "/")
        for directory in directories
    )


def prefix_of(executable: str) -> str:
    """Return the directory that the program *executable* was installed in, with its libraries."""
    directory = os.path.dirname(os.path.realpath(executable))
    return os.path.dirname(directory) if os.path.basename(directory) == "bin" else directory


def alternates(git_dir: Path) -> Iterator[str]:
    """Yield the object stores that the one of *git_dir* borrows from (gitrepository-layout(5))."""
    objects = git_dir if git_dir.name == "objects" else git_dir / "objects"
    waiting, seen = [objects], {os.fspath(objects)}
    while waiting and len(seen) < _MOST_ALTERNATES:
        store = waiting.pop()
        try:
            lines = (store / "info" / "alternates").read_bytes().splitlines()
        except OSError:
            continue
        for line in lines:
            borrowed = os.path.normpath(store / os.fsdecode(line))
            if line and not line.startswith(b"#") and borrowed not in seen:
                seen.add(borrowed)
                waiting.append(Path(borrowed))
                yield borrowed


def _automatic(env: dict[str, str]) -> Iterator[str]:
    """Yield the directories of PATH, and what the programs there cannot do without."""
    path = env.get("PATH", os.defpath)
    for entry in path.split(os.pathsep):
        if not os.path.isabs(entry) or not os.path.isdir(entry):
            continue
        directory = os.path.normpath(entry)
        yield directory
        above = os.path.dirname(directory)
        if os.path.basename(directory) == _SHIMS:
            # The programs here start others, which a version manager keeps beside them.
            yield above
        yield from _virtual_environment(above)
    for name in _INTERPRETERS:
        found = find_executable(name, Path("/"), {"PATH": path})
        if found is not None and os.path.basename(os.path.dirname(found)) == "bin":
            yield prefix_of(found)


def _virtual_environment(prefix: str) -> Iterator[str]:
    """Yield *prefix* and what it is built on, if it is a virtual environment (PEP 405)."""
    try:
        with open(os.path.join(prefix, "pyvenv.cfg"), encoding="utf-8") as file:
            pairs = [line.partition("=") for line in file]
    except (OSError, UnicodeDecodeError):
        return
    yield prefix
    for key, _, value in pairs:
        if key.strip() == "home" and os.path.isabs(value.strip()):
            yield os.path.dirname(os.path.realpath(value.strip()))


def _user_homes(env: dict[str, str]) -> list[str]:
    homes = [env.get("HOME", ""), os.environ.get("HOME", "")]
    try:
        homes.append(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        # A user without an entry has no home but $HOME.
        pass
    return [os.path.realpath(home) for home in homes if os.path.isabs(home)]


def _fresh(env: dict[str, str], workspace: Sequence[str]) -> Iterator[str]:
    yield from ("/tmp", "/var/tmp")
    home = os.path.normpath(env.get("HOME", "."))
    taken = (*SYSTEM, *_NEVER_BELOW, "/etc", *workspace)
    fit = os.path.isabs(home) and home not in ("/", "/tmp", "/var", "/var/tmp")
    if fit and not is_below_any(home, taken):
        yield home


def _masked(hidden: Path | None, shown: set[str]) -> Iterator[str]:
    if hidden is not None:
        for path in _both(str(hidden)):
            if is_below_any(path, (*SYSTEM, *shown)) and os.path.isdir(path):
                yield path


def _both(path: str) -> tuple[str, ...]:
    """Return *path* and, if it is another one, the path without symbolic links."""
    return tuple(dict.fromkeys((path, os.path.realpath(path))))
