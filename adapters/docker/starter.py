"""What runs first in a container: the few lines of `sh` that become the command.

The service's API takes neither bytes that are not UTF-8 nor an environment without the image's
own variables nor a name that differs from the file. So the command itself travels as the first
line of standard input, and the image's `sh` (POSIX) turns into it. It is in no configuration that
the service keeps on disk.

Rule 1: what the starter says is the first line of standard output, said before the command is
there: no command can speak in its place.
Rule 2: every word of the command is quoted; nothing of it is ever expanded.

What remains: a file that only its kernel can tell to be no program (another machine's) ends with
code 126 or 127 and the words of `env` or `sh`. Where `sh` is neither busybox nor bash, `argv[0]` is
the path by which PATH finds the file, or the file itself. bash adds the variable `_`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

SHELL = ("/bin/sh", "-c", 'IFS= read -r request && eval "$(printf %b "$request")"')
PREFIX = b"gesta "
STARTED, NO_DIRECTORY = b"started", b"directory"
MISSING, BARRED, NO_INTERPRETER = b"missing", b"barred", b"interpreter"
FOUND = b"found "

# What a shell sets for itself, and would hand on.
_SHELLS_OWN = ("PATH", "PWD", "OLDPWD", "SHLVL", "_")

_CHECK = rb"""
say() { printf 'gesta %s\n' "$1"; [ "$1" = started ] || exit 125; }
cd -- "$directory" 2>/dev/null || say directory
[ -e "$file" ] || [ -L "$file" ] || say missing
[ -f "$file" ] && [ -x "$file" ] || say barred
if [ -r "$file" ]; then
    case $(dd if="$file" bs=4 count=1 2>/dev/null) in
    '#!'*)
        IFS= read -r line <"$file"
        set -f; set -- ${line#??}; set +f
        [ -x "$1" ] || say interpreter ;;
    *ELF) ;;
    *) say barred ;;
    esac
fi
"""
_BECOME = rb"""
say started
if [ "$name" = "$file" ]; then :
elif (exec -a x /bin/sh -c :) 2>/dev/null; then
    become
else
    IFS=:; set -f
    for place in $path; do
        case $place in
        /*) [ "$(readlink -f "$place/$name")" = "$file" ] && { file=$place/$name; break; } ;;
        esac
    done
fi
become_file
"""
_LOOK_UP = rb"""
look() {
    real=$(readlink -f -- "$1" 2>/dev/null) && [ -f "$real" ] || return 0
    if [ -x "$real" ] || [ -n "$any" ]; then printf 'gesta found %s' "$real"; exit 0; fi
    [ -n "$first" ] || first=$real
}
first=
"""
_LOOKED = rb"""
[ -n "$first" ] && printf 'gesta found %s' "$first"
exit 0
"""


def line_to_become(
    executable: str, argv: Sequence[str], directory: str, env: dict[str, str]
) -> bytes:
    """
    Return the line that makes the starter become a command.

    Raises `ValueError` for what no command can be given.
    """
    if not argv:
        raise ValueError("no argument, not even its name")
    for name in env:
        if not name or "=" in name:
            raise ValueError(f"environment variable {name!r} cannot be named so")
    if "=" in executable:
        # env(1) would take it for a variable.
        raise ValueError(f"its file {executable!r} has an equals sign in its name")
    words = [_quote(word) for word in argv[1:]]
    pairs = [_quote(f"{name}={value}") for name, value in env.items()]
    text = b"\n".join(
        [
            b"name=" + _quote(argv[0]),
            b"file=" + _quote(executable),
            b"directory=" + _quote(directory),
            b"path=" + _quote(env.get("PATH", os.defpath)),
            _function(b"become", [b"env", b"-i", *pairs, *_named(env)], words),
            _function(b"become_file", [b"env", b"-i", *pairs, b'"$file"'], words),
            _CHECK,
            _BECOME,
        ]
    )
    return _line(text)


def line_to_find(name: str, directory: str, path: str) -> bytes:
    """
    Return the line that makes the starter say which file *name* would run.

    Raises `ValueError` for what cannot be a name.
    """
    if "/" in name:
        candidates, any_file = [os.path.join(directory, name)], b"1"
    else:
        places = [place for place in path.split(os.pathsep) if os.path.isabs(place)]
        candidates, any_file = [os.path.join(place, name) for place in places], b""
    looks = [b"look " + _quote(candidate) for candidate in candidates]
    return _line(b"\n".join([b"any=" + any_file, _LOOK_UP, *looks, _LOOKED]))


def _function(name: bytes, words: Sequence[bytes], arguments: Sequence[bytes]) -> bytes:
    return name + b"() { exec " + b" ".join([*words, *arguments]) + b"; }"


def _named(env: dict[str, str]) -> Iterator[bytes]:
    """Yield the words of a shell that gives the program another name than its file's."""
    restored = []
    for name in _SHELLS_OWN:
        if name in env:
            restored.append(b"export %s=%s" % (os.fsencode(name), _quote(env[name])))
        else:
            restored.append(b"unset " + os.fsencode(name))
    text = os.fsdecode(b"; ".join([*restored, b'file=$1; shift; exec -a "$0" "$file" "$@"']))
    # A variable of our own would be handed on only if it was given.
    yield from (b"/bin/sh", b"-c", _quote(text), b'"$name"', b'"$file"')


def _quote(text: str) -> bytes:
    data = os.fsencode(text)
    if b"\0" in data:
        raise ValueError("a text with a NUL character")
    return b"'" + data.replace(b"'", b"'\\''") + b"'"


def _line(text: bytes) -> bytes:
    """Return *text* as one line that `printf %b` turns back into it."""
    plain = frozenset(range(0x20, 0x7F)) - {ord("\\")}
    return b"".join(bytes((b,)) if b in plain else b"\\0%03o" % b for b in text) + b"\n"
