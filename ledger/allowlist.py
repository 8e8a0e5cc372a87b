"""Whether the policy's allowlist lets a command run. A guard-rail: an interpreter can run anything.

Rule 1: an empty allowlist lets anything run.
Rule 2: what counts is the file, with no symbolic link left, never the name that was typed: the
command's real file must be the real file of an allowed entry. `./git` or `/tmp/x/git.sh` is not
`git`; `/usr/bin/git` is, where that is what `git` means on the PATH.
Rule 3: one file may be many programs, which look at the name they are called by (`busybox`). Where
the real file does not bear the entry's name, the name typed must be the entry's: `vi` does not pass
for `ls` because both are `busybox`. A version number at the end of the file's name does not
count, so that `python` and `python3` pass for each other where both are the file `python3.11`.
Rule 4: every argument after the command's name must match one of the entry's `arguments` in full,
if it has any, and none of its `denied`. The first entry that lets the command run is enough.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from ledger.errors import InputInvalid
from ledger.rules import AllowedCommand

_COMMAND = re.compile(r"[^/\s\0-\x1f\x7f-][^/\0-\x1f\x7f]{0,254}")
_VERSION = re.compile(r"[-.]?[0-9]+(?:\.[0-9]+)*\Z")


class Denial(msgspec.Struct, frozen=True):
    """
    Why a command may not run.

    *rule* is the policy's key, and the entry and pattern, that denied it; *reason* is its code.
    """

    rule: str
    reason: Literal["not_listed", "argument"]


def permits(
    allowlist: Sequence[AllowedCommand],
    argv: Sequence[str],
    resolved: str,
    resolve: Callable[[str], str | None],
) -> Denial | None:
    """
    Return `None` if *allowlist* lets *argv* run, else the denial.

    *resolved* is the file that `argv[0]` runs, with no symbolic link left. *resolve* says the same
    of an entry's name or absolute path, looked up on the same PATH, or `None` where there is none.

    Raises `InputInvalid` if *argv* is empty or is not a list of words.
    """
    check_argv(argv)
    denial = Denial("exec.allowlist", "not_listed")
    for entry in allowlist:
        if not _names(entry.command, argv[0], resolved, resolve):
            continue
        broken = _broken_argument_rule(entry, argv[1:])
        if broken is None:
            return None
        denial = Denial(broken, "argument")
    return denial if allowlist else None


def check_argv(argv: Sequence[str]) -> None:
    """Raise `InputInvalid` unless *argv* is a list of words, the first of them not empty."""
    if isinstance(argv, str | bytes) or not isinstance(argv, Sequence):
        raise InputInvalid(
            f"cannot run a command that is a {type(argv).__name__}; give a list, a word each"
        )
    for place, word in enumerate(argv):
        if not isinstance(word, str):
            raise InputInvalid(f"cannot run a command whose word {place} is no text")
        if "\0" in word:
            raise InputInvalid(f"cannot run a command whose word {place} holds a NUL character")
    if not argv or not argv[0]:
        raise InputInvalid("cannot run an empty command; name a program")


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """
    Return *pattern* compiled as argument rules are: `.` matches a line break as well.

    Otherwise a line break inside an argument would carry it past a denied `-c.*`.

    Raises `re.error` if it is not a regular expression.
    """
    return re.compile(pattern, re.DOTALL)


def check_command(command: str) -> str:
    """Return *command* if an entry may name it: a name or an absolute path; raises `ValueError`."""
    if command.startswith("/"):
        path = PurePosixPath(command)
        plain = str(path) == command and path.root == "/" and ".." not in path.parts
        if not plain or not path.name or not command.isprintable():
            raise ValueError("must be an absolute path without '.', '..' and '//'")
    elif not _COMMAND.fullmatch(command) or command in {".", ".."}:
        raise ValueError("must be a command's name or an absolute path")
    return command


def check_pattern(pattern: str) -> str:
    """Return *pattern* if it is a regular expression (module `re`); raises `ValueError`."""
    try:
        # What Python warns of today, a later version reads as something else.
        with warnings.catch_warnings(action="error"):
            compiled(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"must be a regular expression: {error}") from error
    return pattern


def _names(command: str, typed: str, resolved: str, resolve: Callable[[str], str | None]) -> bool:
    if resolve(command) != resolved:
        return False
    name = _last_part(command)
    return name == _last_part(typed) or _unversioned(name) == _unversioned(_last_part(resolved))


def _broken_argument_rule(entry: AllowedCommand, arguments: Sequence[str]) -> str | None:
    for argument in arguments:
        for pattern in entry.denied:
            if compiled(pattern).fullmatch(argument):
                return f"exec.allowlist: {entry.command}: denied {pattern!r}"
        if entry.arguments and not any(compiled(p).fullmatch(argument) for p in entry.arguments):
            return f"exec.allowlist: {entry.command}: arguments"
    return None


def _last_part(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _unversioned(name: str) -> str:
    return _VERSION.sub("", name) or name
