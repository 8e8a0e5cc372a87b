"""Cells of code at E2B: in the interpreter of the machine, with the workspace of the run."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.cancellation import SignalCancellation
from adapters.e2b_sandbox import E2BSandbox
from ledger.cells import Cell, CellResult
from ledger.isolation import Limits
from ledger.outcomes import Cancelled, Executed, Lost, Outcome, SandboxMade, TimedOut
from ledger.ports import Cancellation, SandboxWish
from tests.e2b_server import E2BServer


class Cells:
    """A sandbox that executes cells, and what they gave."""

    def __init__(self, sandbox: E2BSandbox, workspace: Path) -> None:
        self.sandbox = sandbox
        self.workspace = workspace
        self.out = b""
        self.err = b""
        self.results: list[CellResult] = []
        self.on_output: Callable[[], None] = lambda: None

    def __call__(
        self,
        source: str,
        time_limit_s: float | None = 30.0,
        cancellation: Cancellation | None = None,
    ) -> Outcome:
        """Execute *source*."""
        cell = Cell(
            source=source,
            time_limit_s=time_limit_s,
            stdout=self._write,
            stderr=self._complain,
            result=self.results.append,
        )
        return self.sandbox.execute_cell(cell, cancellation)

    def _write(self, data: bytes) -> None:
        self.out += data
        self.on_output()

    def _complain(self, data: bytes) -> None:
        self.err += data


@pytest.fixture(scope="module")
def server() -> Iterator[E2BServer]:
    """The provider, here."""
    with E2BServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", server.environment["NO_PROXY"])
        yield server


@pytest.fixture
def cells(server: E2BServer, tmp_path: Path) -> Iterator[Cells]:
    """A created sandbox."""
    sandbox = E2BSandbox(server.environment)
    wish = SandboxWish(
        home_id="0f",
        stream=tmp_path.name.replace("_", "-"),
        ordinal=1,
        workspace=tmp_path.resolve(),
        filesystem="workspace",
        network="none",
        limits=Limits(),
    )
    made = sandbox.create(wish)
    assert isinstance(made, SandboxMade), made
    yield Cells(sandbox, tmp_path.resolve())
    sandbox.close()


def code_of(outcome: Outcome) -> int | None:
    """Return the exit code, where the cell ran to its end."""
    return outcome.exit_code if isinstance(outcome, Executed) else None


def test_a_cell_prints_gives_a_value_and_finds_what_the_last_one_defined(cells: Cells) -> None:
    """Output and error output stay apart; the value of the last expression is a result."""
    assert 0 == code_of(cells("import sys; x = 41; print('out'); print('err', file=sys.stderr)"))
    assert (b"out\n", b"err\n", []) == (cells.out, cells.err, cells.results)
    assert 0 == code_of(cells("x + 1"))
    assert [CellResult("main", "text/plain", b"42")] == cells.results


def test_a_picture_is_a_result_as_the_bytes_that_it_is(cells: Cells) -> None:
    """What comes as base64 is handed on decoded, beside its text."""
    picture = base64.b64encode(b"\x89PNG\xff")
    assert 0 == code_of(cells(repr(picture)))
    assert CellResult("main", "image/png", b"\x89PNG\xff") in cells.results


def test_an_error_of_the_code_is_an_exit_code_and_a_result(cells: Cells) -> None:
    """A cell that raised has run; its traceback is kept, and the next cell runs."""
    assert 1 == code_of(cells("print('before'); 1 / 0"))
    (error,) = cells.results
    assert ("error", "text/plain") == (error.kind, error.media_type)
    assert b"ZeroDivisionError" in error.data
    assert b"before\n" == cells.out
    assert 0 == code_of(cells("1"))


def test_a_cell_works_in_the_runs_workspace(cells: Cells) -> None:
    """It finds what is here, and what it writes comes back."""
    (cells.workspace / "given").write_text("given")
    assert 0 == code_of(cells("text = open('given').read(); open('made', 'w').write(text * 2)"))
    assert "givengiven" == (cells.workspace / "made").read_text()


def test_a_time_limit_ends_a_cell_and_what_it_knew(cells: Cells) -> None:
    """What it printed is kept, its context is gone, and there is another for the next cell."""
    began = time.monotonic()
    outcome = cells("x = 1; print('so far'); import time; time.sleep(300)", time_limit_s=0.5)
    assert isinstance(outcome, TimedOut)
    assert time.monotonic() - began < 10
    assert b"so far\n" == cells.out
    assert 0 == code_of(cells("'x' in globals()"))
    assert [CellResult("main", "text/plain", b"False")] == cells.results


def test_a_cancelled_cell_names_the_signal(cells: Cells) -> None:
    """Cancelling is an ending of its own, also before the start."""
    cancellation = SignalCancellation()
    cells.on_output = lambda: cancellation.request(15)
    outcome = cells("print('ready'); import time; time.sleep(300)", cancellation=cancellation)
    again = cells("1", cancellation=cancellation)
    cancellation.close()
    assert isinstance(outcome, Cancelled)
    assert isinstance(again, Cancelled)
    assert (15, 15) == (outcome.signal, again.signal)


def test_an_error_in_the_taker_of_the_output_ends_the_cell(cells: Cells) -> None:
    """If its output cannot be kept, the cell does not go on unseen."""

    def refuse() -> None:
        raise OSError(28, "the disk is full")

    cells.on_output = refuse
    with pytest.raises(OSError, match="the disk is full"):
        cells("print('out'); import time; time.sleep(300)")


def test_a_cell_in_a_machine_that_is_gone_is_lost(server: E2BServer, cells: Cells) -> None:
    """Also when it goes in the middle of one."""
    cells.on_output = server.machines.end
    outcome = cells("import sys, time; sys.stdout.write('ready'); time.sleep(300)")
    assert isinstance(outcome, Lost)
    assert isinstance(cells("1"), Lost)
    assert b"ready" == cells.out
