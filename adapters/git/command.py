"""Runs git so that nothing git finds makes this machine run anything else.

Rule 1: no hook, file-system monitor, filter, credential helper, editor, pager or signing program
is started, whatever a repository's configuration says.
Rule 2: the caller's `GIT_…` variables and the configuration of system and user do not reach git;
what of it is harmless is asked for (`read_settings`) and handed in.
Rule 3: git is told where to work and does not search upwards, except for `rev-parse` and what
asks the user's own checkout before a command has run in it.
Rule 4: paths are operating-system bytes, separated by NUL; as text they are decoded with
`os.fsdecode`, so that the same bytes come out.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from adapters.git.kept_locks import kept_locks
from ledger.errors import WorkspaceError
from ledger.outcomes import Unavailable

if TYPE_CHECKING:
    import git.cmd

TIME_LIMIT_S = 600.0

# git-config(1); given with -c they reach git's own children too and outrank every file.
_OFF = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.attributesFile": "/dev/null",
    "core.askPass": "",
    "core.editor": ":",
    "core.pager": "cat",
    "core.sshCommand": "false",
    "core.gitProxy": "",
    "core.safecrlf": "false",
    "core.fsync": "none",
    "credential.helper": "",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "gpg.program": "false",
    "submodule.recurse": "false",
    "protocol.allow": "never",
    "safe.directory": "*",
    "gc.auto": "0",
    "maintenance.auto": "false",
}
_VARIABLES = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_EDITOR": ":",
    "GIT_PAGER": "cat",
}
_USER_CONFIGURATION = ("GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_GLOBAL")
_HARMLESS = {
    "core.autocrlf",
    "core.eol",
    "core.excludesfile",
    "core.filemode",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.symlinks",
    "extensions.objectformat",
    "index.sparse",
    "user.email",
    "user.name",
}
_importing = threading.Lock()


class Finished(msgspec.Struct, frozen=True):
    """How one git process ended; *status* is `None` if the time limit ended it."""

    status: int | None
    stdout: bytes
    stderr: bytes

    @property
    def reason(self) -> str:
        """What git gave as its reason, in one line."""
        if self.status is None:
            return "git was stopped at its time limit"
        lines = [line for line in os.fsdecode(self.stderr).splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(("fatal: ", "error: "))]
        line = (told or lines or [f"git ended with {self.status}"])[0]
        return line.removeprefix("fatal: ").removeprefix("error: ").strip()


class Settings(msgspec.Struct, frozen=True):
    """
    What a checkout's effective configuration says that git must go on knowing.

    *harmless* are values that start nothing; *filters* are the names of content filters, to be
    switched off one by one.
    """

    harmless: dict[str, str] = {}
    filters: tuple[str, ...] = ()

    def switches(self) -> dict[str, str]:
        """Return the configuration that keeps the harmless values and no filter."""
        values = dict(self.harmless)
        values.pop("extensions.objectformat", None)
        for name in self.filters:
            section = f"filter.{name}"
            values |= {f"{section}.{key}": "" for key in ("clean", "smudge", "process")}
            values[f"{section}.required"] = "false"
        return values


class Git:
    """
    Git in one directory, hardened.

    *program* comes from `find_git`. *git_dir* and *work_tree* are named to git where given.
    *configuration* is added to what is switched off, and outranks the repository's.
    """

    def __init__(
        self,
        program: str,
        directory: Path,
        *,
        git_dir: Path | None = None,
        work_tree: Path | None = None,
        configuration: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self._before = [program, "-C", str(directory)]
        for name, value in {**_OFF, **(configuration or {})}.items():
            self._before += ["-c", f"{name}={value}"]
        if git_dir is not None:
            self._before.append(f"--git-dir={git_dir}")
        if work_tree is not None:
            self._before.append(f"--work-tree={work_tree}")

    def ask(
        self,
        *arguments: str,
        data: bytes | None = None,
        variables: Mapping[str, str] | None = None,
        seconds: float = TIME_LIMIT_S,
    ) -> Finished:
        """Run git with *data* as its input and return how it ended, whatever that was."""
        environment = {**_VARIABLES, **(variables or {})}
        return _execute([*self._before, *arguments], environment, data, seconds)

    def run(
        self,
        doing: str,
        *arguments: str,
        data: bytes | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> bytes:
        """
        Run git and return its output.

        Raises `WorkspaceError` ("cannot *doing*: …") if git fails.
        """
        finished = self.ask(*arguments, data=data, variables=variables)
        if finished.status != 0:
            raise WorkspaceError(f"cannot {doing}: {finished.reason}")
        return finished.stdout


def find_git() -> str | Unavailable:
    """Return git's path on this machine."""
    program = shutil.which("git")
    if program is None:
        return Unavailable(reason="git_missing", message="cannot find git on PATH; install git")
    return program


def require_git(doing: str) -> str:
    """Return git's path; raises `WorkspaceError` ("cannot *doing*: …") if there is none."""
    program = find_git()
    if isinstance(program, Unavailable):
        raise WorkspaceError(f"cannot {doing}: git is not installed; install git")
    return program


def read_settings(program: str, directory: Path) -> Settings:
    """
    Return what the configuration in effect at *directory* says, the user's own included.

    Raises `WorkspaceError` if it cannot be read, or if a filter's name cannot be given to git.
    """
    user = dict.fromkeys(_USER_CONFIGURATION)
    git = Git(program, directory)
    environment = {key: value for key, value in _VARIABLES.items() if key not in user}
    command = [*git._before, "config", "--list", "-z", "--show-scope"]
    finished = _execute(command, environment, None, TIME_LIMIT_S)
    if finished.status != 0:
        raise WorkspaceError(f"cannot read git's configuration: {finished.reason}")
    fields = os.fsdecode(finished.stdout).split("\0")
    harmless: dict[str, str] = {}
    filters: dict[str, None] = {}
    for scope, entry in zip(fields[0::2], fields[1::2], strict=False):
        name, _, value = entry.partition("\n")
        if scope == "command":
            continue
        if name in _HARMLESS:
            harmless[name] = value if "\n" in entry else "true"
        elif name.startswith("filter.") and name.count(".") > 1:
            filters[name[len("filter.") : name.rindex(".")]] = None
    if awkward := [name for name in filters if "=" in name or "\n" in name]:
        raise WorkspaceError(f"cannot switch off the git filter {awkward[0]!r}; rename it")
    if "core.excludesfile" in harmless:
        harmless["core.excludesfile"] = os.path.expanduser(harmless["core.excludesfile"])
    return Settings(harmless, tuple(filters))


def workspace_environment(path: Path) -> dict[str, str]:
    """
    Return the variables that every command in the workspace at *path* gets.

    They keep git from walking up out of it, to whatever checkout may lie above (git(1),
    GIT_CEILING_DIRECTORIES).
    """
    return {"GIT_CEILING_DIRECTORIES": os.path.realpath(path.parent)}


def split_paths(output: bytes) -> list[str]:
    """Return the NUL-terminated paths of git's *output*."""
    return [os.fsdecode(path) for path in output.split(b"\0") if path]


def join_paths(paths: Sequence[str]) -> bytes:
    """Return *paths* as git reads them with -z."""
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _execute(
    command: list[str], environment: dict[str, str], data: bytes | None, seconds: float
) -> Finished:
    # GitPython adds our variables to the process's own; what must not get in is unset by env(1).
    foreign = [name for name in os.environ if name.startswith("GIT_") and name not in environment]
    unset = ["env", *(part for name in foreign for part in ("-u", name))] if foreign else []
    runner = _command_runner()("/")
    try:
        process = runner.execute(
            [*unset, *command],
            istream=subprocess.DEVNULL if data is None else subprocess.PIPE,
            as_process=True,
            env=environment,
            # A Ctrl-C on the terminal is ours to handle: it must not end git halfway.
            start_new_session=True,
            pass_fds=kept_locks(),
        )
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"cannot start git: {error}") from error
    try:
        stdout, stderr = process.communicate(data, timeout=seconds)
    except subprocess.TimeoutExpired:
        # Its own session: its children hold the pipes open, too.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Finished(None, b"", b"")
    return Finished(process.returncode, stdout, stderr)


def _command_runner() -> type[git.cmd.Git]:
    # Without this variable GitPython raises on import, or prints, when git is missing.
    with _importing:
        before = os.environ.get("GIT_PYTHON_REFRESH")
        os.environ["GIT_PYTHON_REFRESH"] = "quiet"
        try:
            import git.cmd
        finally:
            if before is None:
                del os.environ["GIT_PYTHON_REFRESH"]
            else:
                os.environ["GIT_PYTHON_REFRESH"] = before
    return git.cmd.Git
