"""Errors: the tree that the docstring draws is the tree there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from ledger import errors

LEDGER = Path(errors.__file__).parent
SUPERCLASSES = {"GestaError", "StoreError", "RunError", "CommandRefused"}


def classes() -> dict[str, type[Exception]]:
    """Return every error class that the module defines, by name."""
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }


def drawn() -> dict[str, str]:
    """Return the tree in the docstring, as each class's name and that of its parent."""
    path: list[tuple[int, str]] = []
    found: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([ │├└─]*)([A-Z][A-Za-z]+)(\s|$)", line)
        if not match or match[2] not in classes():
            continue
        depth = len(match[1])
        path = [node for node in path if node[0] < depth]
        found[match[2]] = path[-1][1] if path else "Exception"
        path.append((depth, match[2]))
    return found


def test_the_drawn_tree_is_the_real_one() -> None:
    """Every class stands in the drawing under the class that it derives from first."""
    real = {name: kind.__bases__[0].__name__ for name, kind in classes().items()}
    assert real == drawn()


def test_every_error_is_exported_and_sorted() -> None:
    """`__all__` is complete and in order."""
    assert sorted(classes()) == errors.__all__


def test_every_error_is_documented() -> None:
    """Each says in one sentence what it means."""
    assert [] == [name for name, kind in classes().items() if not kind.__doc__]


def test_refusals_of_commands_and_files_are_permission_errors() -> None:
    """Programs that know nothing of us catch a denial as what Python calls it."""
    assert issubclass(errors.CommandNotAllowed, PermissionError)
    assert issubclass(errors.FileRefused, PermissionError)


def test_superclasses_are_never_raised() -> None:
    """What is raised in the ledger is always a leaf: what can be done about it is in the name."""
    raised: list[str] = []
    for file in LEDGER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                raised.append(ast.unparse(node.exc.func))
    assert "MoveIllegal" in raised
    assert set() == SUPERCLASSES & set(raised)
