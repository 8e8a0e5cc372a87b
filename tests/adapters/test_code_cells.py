"""Cells of code in real sandboxes: the program that reads them, and the interpreter of E2B."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import open_ledger
from ledger import events as e
from ledger.active_run import ActiveRun, CodeResult
from ledger.cells import CellResult
from ledger.interpreters import program_for
from ledger.ledger import Ledger
from ledger.outcomes import TimedOut
from tests.cli.gesta import LOCAL, profile
from tests.e2b_server import E2BServer

BUBBLEWRAP = "sandbox: {type: bubblewrap, fallback: [], may_lose: [limits]}\n"
E2B = "sandbox: {type: e2b, fallback: [], may_lose: [limits]}\n"


@pytest.fixture(params=[LOCAL, BUBBLEWRAP], ids=["local", "bubblewrap"])
def run(request: pytest.FixtureRequest, home: Path, repository: Path) -> Iterator[ActiveRun]:
    """A run in a sandbox that has no interpreter of its own."""
    profile(home, "cells", request.param)
    with open_ledger() as ledger, ledger.run(profile="cells", directory=repository) as run:
        yield run


@pytest.fixture(scope="module")
def server() -> Iterator[E2BServer]:
    """The provider, here."""
    with E2BServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", server.environment["NO_PROXY"])
        yield server


@pytest.fixture
def ledger(home: Path, server: E2BServer) -> Iterator[Ledger]:
    """A ledger whose runs work at the provider."""
    profile(home, "cells", E2B)
    with open_ledger(environment={**os.environ, **server.environment}) as ledger:
        yield ledger


def printed(result: CodeResult) -> tuple[int | None, bytes, bytes]:
    """Return exit code, output and error output."""
    return result.exit_code, result.stdout, result.stderr


def test_a_cell_prints_and_the_value_of_its_last_expression_is_printed(run: ActiveRun) -> None:
    """As an interactive interpreter does: by `repr`, and nothing for `None`."""
    assert (0, b"out\n'42'\n", b"err\n") == printed(
        run.execute_code("import sys\nprint('out')\nprint('err', file=sys.stderr)\nstr(42)")
    )
    assert (0, b"", b"") == printed(run.execute_code("x = 1\nNone"))
    assert (0, b"", b"") == printed(run.execute_code(""))
    assert (0, b"'k\xc3\xa4se'\n", b"") == printed(run.execute_code("'käse'"))


def test_a_cell_is_a_main_module_of_its_own(run: ActiveRun) -> None:
    """It finds nothing of the program that reads it, nor of the cell before it."""
    source = "x = 1\n[name for name in globals() if name[:2] != '__'], __name__"
    assert b"(['x'], '__main__')\n" == run.execute_code(source).stdout
    source = "import pickle\nclass A: pass\ntype(pickle.loads(pickle.dumps(A()))) is A"
    assert b"True\n" == run.execute_code(source).stdout
    assert 1 == run.execute_code("x").exit_code


def test_a_traceback_has_the_cells_own_lines_and_nothing_else(run: ActiveRun) -> None:
    """Frames begin in the cell; a syntax error has none, and then nothing has run."""
    code, out, err = printed(run.execute_code("print('before')\ndef f():\n    1 / 0\nf()"))
    assert (1, b"before\n") == (code, out)
    lines = [line.strip() for line in err.decode().splitlines()]
    assert "Traceback (most recent call last):" == lines[0]
    assert [
        'File "<cell>", line 4, in <module>',
        'File "<cell>", line 3, in f',
    ] == [line for line in lines if line.startswith("File")]
    assert {"f()", "1 / 0"} <= set(lines)
    assert "ZeroDivisionError: division by zero" == lines[-1]
    code, out, err = printed(run.execute_code("print('before')\n1 +"))
    assert (1, b"") == (code, out)
    assert [b'File "<cell>", line 2'] == [
        line.strip() for line in err.splitlines() if b"File" in line
    ]
    assert b"SyntaxError" in err


def test_a_cell_exits_with_the_code_it_asks_for(run: ActiveRun) -> None:
    """`sys.exit` is no error."""
    assert (3, b"", b"") == printed(run.execute_code("import sys; sys.exit(3)"))


def test_a_cell_reads_none_of_its_own_lines(run: ActiveRun) -> None:
    """Standard input is at its end when the first line runs, also in a shell."""
    assert (0, b"''\n", b"") == printed(run.execute_code("import sys\nsys.stdin.read()"))
    assert (4, b"a\nb\n", b"") == printed(
        run.execute_code("echo a; cat\necho b\n(exit 4)\n", "bash")
    )


def test_a_cell_works_in_the_workspace_and_its_source_is_on_record(run: ActiveRun) -> None:
    """What is beside it can be imported; the event names the language and where the source is."""
    source = "import src.program, os\nopen('made', 'w').write('x')\nos.getcwd()"
    result = run.execute_code(source)
    assert f"hello\n{str(run.workspace)!r}\n" == result.stdout.decode()
    assert b"x" == run.read_file("made")
    assert (program_for("python"), (), None) == (result.args, result.results, result.text)


def test_a_time_limit_ends_a_cell(run: ActiveRun) -> None:
    """What it printed until then is kept."""
    began = time.monotonic()
    source = "import time\nprint('so far', flush=True)\ntime.sleep(300)"
    result = run.execute_code(source, timeout=1)
    assert isinstance(result.outcome, TimedOut)
    assert time.monotonic() - began < 30
    assert b"so far\n" == result.stdout


def test_at_e2b_a_cell_finds_what_the_last_one_defined(ledger: Ledger, repository: Path) -> None:
    """The value is a result of its own, and so is a picture."""
    picture = b"\x89PNG\xff"
    with ledger.run(profile="cells", directory=repository) as run:
        assert (0, b"out\n", b"") == printed(run.execute_code("x = 41; print('out')"))
        value = run.execute_code("x + 1")
        shown = run.execute_code(repr(base64.b64encode(picture)))
        stream = run.stream
    assert ("42", b"") == (value.text, value.stdout)
    assert (CellResult("main", "text/plain", b"42"),) == value.results
    assert CellResult("main", "image/png", picture) in shown.results
    requests = [r.event for r in ledger.events(stream) if isinstance(r.event, e.CommandRequested)]
    assert ["cell"] * 3 == [request.form for request in requests]
    assert {"none"} == {request.stdin for request in requests}


def test_at_e2b_an_error_is_a_result_and_an_exit_code(ledger: Ledger, repository: Path) -> None:
    """The traceback is kept as the interpreter gave it; the run goes on, and has failed."""
    with ledger.run(profile="cells", directory=repository) as run:
        failed = run.execute_code("1 / 0")
        assert run.execute_code("1").success
        stream = run.stream
    (error,) = failed.results
    assert (1, "error", None) == (failed.exit_code, error.kind, failed.text)
    assert b"ZeroDivisionError" in error.data
    assert "failed" == ledger.status(stream)


def test_at_e2b_a_cell_works_where_a_command_would(
    ledger: Ledger, repository: Path, server: E2BServer
) -> None:
    """In the caller's subdirectory, with a command's environment; what it makes comes back."""
    with ledger.run(profile="cells", directory=repository / "src") as run:
        assert run.execute_code("open('made', 'w').write(open('program.py').read())").success
        assert b'print("hello")\n' == (run.workspace / "src" / "made").read_bytes()
        asked = server.asked("POST /execute")[-1].json()
        assert run.stream == asked["env_vars"]["GESTA_RUN"]
