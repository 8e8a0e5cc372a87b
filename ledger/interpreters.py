"""The programs that execute a cell of code where the sandbox has no interpreter of its own.

Rule 1: a cell's source is the program's standard input, read to its end before any of it runs: no
line of a cell reads the lines that follow it.
Rule 2: what a program is told is fixed: nothing of the source is ever on a command line.
"""

from __future__ import annotations

from ledger.errors import InputInvalid

# Executes its standard input as a fresh `__main__`. The value of a last expression is printed as
# an interactive interpreter prints it. A traceback begins at the cell's own first line. The cell's
# lines are put where tracebacks look for them (linecache); `SystemExit` ends the program as ever.
PYTHON = """\
import ast, linecache, sys, traceback, types
source = sys.stdin.buffer.read().decode()
linecache.cache["<cell>"] = (len(source), None, source.splitlines(True), "<cell>")
main = sys.modules["__main__"] = types.ModuleType("__main__")
try:
    tree = ast.parse(source, "<cell>")
    last = [tree.body.pop()] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
    exec(compile(tree, "<cell>", "exec"), vars(main))
    exec(compile(ast.Interactive(last), "<cell>", "single"), vars(main))
except SystemExit:
    raise
except BaseException as error:
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename != "<cell>":
        at = at.tb_next
    traceback.print_exception(type(error), error, at)
    sys.exit(1)
"""

_PROGRAMS: dict[str, tuple[str, ...]] = {
    "python": ("python3", "-c", PYTHON),
    # With `bash -s` the first command that reads its standard input would read the script.
    "bash": ("bash", "-c", 'eval "$(cat)"'),
    "javascript": ("node", "-"),
}


def program_for(language: str) -> tuple[str, ...]:
    """Return the command that executes source of a language; raises `InputInvalid`."""
    if language not in _PROGRAMS:
        known = ", ".join(_PROGRAMS)
        raise InputInvalid(f"cannot execute code in {language!r}; the languages are {known}")
    return _PROGRAMS[language]


def encode_source(source: str) -> bytes:
    """Return source as an interpreter reads it, in UTF-8; raises `InputInvalid`."""
    if not isinstance(source, str):
        raise InputInvalid(f"cannot execute code that is a {type(source).__name__}; give a text")
    try:
        return source.encode()
    except UnicodeEncodeError as error:
        raise InputInvalid(
            f"cannot execute code that is no Unicode text: character {error.start}"
        ) from None
