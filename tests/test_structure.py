"""The house rules that no other tool enforces: how long, how named, how documented.

Each test collects what breaks its rule as `path:line: what`, and expects nothing.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.events import Event

ROOT = Path(__file__).parents[1]
PACKAGES = ("adapters", "ledger", "projections")

FILE_LINES = 300
FUNCTION_LINES = 40
DRAWERS = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

# Past tense without "ed": the endings of event names that are as good.
PAST = ("CleanedUp", "Found", "Lost", "Read", "Taken", "TimedOut", "Written")

# Put together here, so that this file does not break the rule that it enforces.
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry.npm" + "js.org",
    "npm" + "js.com",
    "crates" + ".io",
    "proxy.golang" + ".org",
)
MACHINE_PATHS = ("/" + "work" + "/", "/" + "root" + "/")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(*directories: str) -> list[Path]:
    """Return the Python files below *directories* of the checkout."""
    return sorted(path for name in directories for path in (ROOT / name).rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the name that the file at *path* is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parsed(*directories: str) -> Iterator[tuple[Path, ast.Module]]:
    """Yield the Python files below *directories*, with their syntax trees."""
    for path in python_files(*directories):
        yield path, ast.parse(path.read_bytes(), str(path))


def place(path: Path, line: int, what: str) -> str:
    """Return the line that an editor or a person can follow."""
    return f"{path.relative_to(ROOT)}:{line}: {what}"


def code_lines(function: Function, source: list[str]) -> int:
    """Return how many lines of *function* hold code: not its docstring, comments or blanks."""
    lines = set(range(function.lineno, (function.end_lineno or function.lineno) + 1))
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= set(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    texts = (source[line - 1].strip() for line in lines)
    return sum(1 for text in texts if text and not text.startswith("#"))


def first_line(node: ast.Module | ast.ClassDef | Function) -> str:
    """Return the first line of a docstring, or nothing."""
    return (ast.get_docstring(node) or "").partition("\n")[0].strip()


def public_definitions(tree: ast.Module) -> Iterator[ast.ClassDef | Function]:
    """Yield the public functions and classes of a module, and the methods of these."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    inner
                    for inner in node.body
                    if isinstance(inner, Function) and not inner.name.startswith("_")
                )


def committed_files() -> list[Path]:
    """Return the files that are, or would be, committed; outside a checkout all that are there."""
    if (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files"]
            + ["-z", "--cached", "--others", "--exclude-standard"],
            env={name: text for name, text in os.environ.items() if not name.startswith("GIT_")},
            check=True,
            capture_output=True,
        ).stdout
        paths = [ROOT / os.fsdecode(name) for name in listing.split(b"\0") if name]
    else:
        paths = [
            path
            for path in ROOT.rglob("*")
            if not any(
                part == "__pycache__"
                or (part.startswith(".") and part not in {".ci", ".gitignore"})
                for part in path.relative_to(ROOT).parts
            )
        ]
    return [path for path in paths if path.is_file()]


def event_classes() -> list[type[Event]]:
    """Return every event that can be on record: the classes below `Event` with none below them."""
    leaves, todo = [], [Event]
    while todo:
        below = (cls := todo.pop()).__subclasses__()
        todo += below
        if not below and cls.__module__.startswith("ledger.events"):
            leaves.append(cls)
    return sorted(leaves, key=lambda cls: cls.__name__)


def test_files_stay_within_three_hundred_lines() -> None:
    """No file of the packages has more than 300 lines, docstrings and comments included."""
    lengths = {path: len(path.read_text().splitlines()) for path in python_files(*PACKAGES)}
    assert [] == [
        place(path, length, f"{length} lines")
        for path, length in lengths.items()
        if length > FILE_LINES
    ]


def test_functions_stay_within_forty_lines() -> None:
    """No function has more than 40 lines of code; docstring, comments and blanks do not count."""
    assert [] == [
        place(path, node.lineno, f"{node.name} has {length} lines")
        for path, tree in parsed(*PACKAGES)
        for node in ast.walk(tree)
        if isinstance(node, Function)
        and (length := code_lines(node, path.read_text().splitlines())) > FUNCTION_LINES
    ]


def test_no_module_is_a_drawer() -> None:
    """Every module has the name of one thing: none is, or ends in, utils, helpers or manager."""
    assert [] == [
        place(path, 1, part)
        for path in python_files(*PACKAGES, "tests")
        for part in path.relative_to(ROOT).with_suffix("").parts
        if part.rpartition("_")[2] in DRAWERS
    ]


def test_every_module_says_its_one_job_in_its_first_line() -> None:
    """Every module has a docstring whose first line ends with a full stop or a colon."""
    assert [] == [
        place(path, 1, first_line(tree) or "no docstring")
        for path, tree in parsed(*PACKAGES, "tests")
        if not first_line(tree).endswith((".", ":"))
    ]


def test_every_public_function_and_class_has_a_docstring() -> None:
    """Public functions, classes and their public methods say what they are for."""
    assert [] == [
        place(path, node.lineno, node.name)
        for path, tree in parsed(*PACKAGES)
        for node in public_definitions(tree)
        if not first_line(node)
    ]


def test_every_test_states_its_claim_in_a_docstring() -> None:
    """Every test function has a docstring, whose first line ends with a full stop."""
    assert [] == [
        place(path, node.lineno, node.name)
        for path, tree in parsed("tests")
        for node in ast.walk(tree)
        if isinstance(node, Function)
        and node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").rstrip().endswith(".")
    ]


def test_exported_names_are_sorted_and_there() -> None:
    """Every `__all__` is sorted (constants, classes, functions) and names only what is there."""
    wrong = []
    for path, tree in parsed(*PACKAGES):
        if "__all__" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}:
            continue
        module = importlib.import_module(module_name(path))
        names = list(module.__all__)
        if names != sorted(names, key=lambda name: (not name.isupper(), name.islower(), name)):
            wrong.append(place(path, 1, "__all__ is not sorted"))
        wrong += [place(path, 1, f"no {name}") for name in names if not hasattr(module, name)]
    assert [] == wrong


def test_there_are_events_to_judge() -> None:
    """The search for event classes finds those of the catalogue."""
    assert {"RunOpened", "CommandRequested", "LedgerCreated"} <= {
        cls.__name__ for cls in event_classes()
    }


@pytest.mark.parametrize("event", event_classes(), ids=lambda cls: cls.__name__)
def test_an_event_is_frozen_past_tense_and_said_in_one_sentence(event: type[Event]) -> None:
    """What happened cannot be changed, and its name and first line say it as having happened."""
    assert event.__struct_config__.frozen
    assert event.__name__.endswith(("ed", *PAST))
    sentence = (event.__doc__ or "").strip().partition("\n")[0]
    assert re.fullmatch(r"[A-Z].*[^.]\.", sentence)
    assert not re.search(r"[.!?] ", sentence)


def test_the_import_contracts_know_every_sandbox() -> None:
    """Each `adapters.…_sandbox` is kept apart from the others, and named by the wiring alone."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contracts = {contract["type"]: contract for contract in settings["contracts"]}
    sandboxes = {f"adapters.{path.stem}" for path in (ROOT / "adapters").glob("*_sandbox*")}
    assert sandboxes == set(contracts["independence"]["modules"])
    assert sandboxes <= set(contracts["protected"]["protected_modules"])


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    """Whoever clones this finds neither our registries nor our directories in it."""
    forbidden = re.compile(
        "|".join(re.escape(text) for text in (*REGISTRIES, *MACHINE_PATHS)).encode()
    )
    assert [] == [
        place(path, data.count(b"\n", 0, found.start()) + 1, found.group().decode())
        for path in committed_files()
        for data in [path.read_bytes()]
        if (found := forbidden.search(data))
    ]


def test_a_skipped_test_has_failed_in_ci(tmp_path: Path) -> None:
    """With `CI=true` a test or a file that skips itself fails the run; without, it does not."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_one.py").write_text("import pytest\ndef test_it(): pytest.skip('a reason')\n")
    (tmp_path / "test_two.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")

    def run_pytest(**environment: str) -> tuple[int, str]:
        inherited = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
            + ["--continue-on-collection-errors", f"--rootdir={tmp_path}", str(tmp_path)],
            cwd=tmp_path,
            env={**inherited, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    status, said = run_pytest(CI="")
    assert 0 == status
    assert "2 skipped" in said
    status, said = run_pytest(CI="true")
    assert 1 == status
    assert "1 failed, 1 error" in said
    assert "skipped, which CI=true does not allow: Skipped: a reason" in said
