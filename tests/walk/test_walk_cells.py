"""Cells of code: on record like commands, by a sandbox's own interpreter where it has one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ledger import events as e
from ledger.cells import Cell, CellResult
from ledger.errors import CommandNotAllowed, InputInvalid
from ledger.events import BlobName
from ledger.interpreters import program_for
from ledger.outcomes import Executed, Lost, Outcome, Usage
from ledger.ports import Cancellation, Command
from ledger.rules import AllowedCommand
from tests.fakes.machine import LOCAL, Machine, Witness
from tests.fakes.sandbox import FakeSandbox
from tests.fakes.world import World

USAGE = Usage(duration_us=5)
TOKEN = "ghp_" + "a1B2" * 9
PICTURE = b"\x89PNG\r\n" + TOKEN.encode()


class InterpretingSandbox(FakeSandbox):
    """A `CellSandbox` whose interpreter is the test's."""

    interpreter: Interpreter

    def execute_cell(self, cell: Cell, cancellation: Cancellation | None) -> Outcome:
        """Answer a cell, whose request is the last thing on record."""
        assert self._wish is not None
        requested = self._witness(self._wish.stream)[-1]
        assert isinstance(requested, e.CommandRequested)
        assert ("cell", "none") == (requested.form, requested.stdin)
        return self.interpreter.execute(cell)


class Interpreter:
    """What the sandboxes of *world* have from now on: every cell gets the same *answer*."""

    def __init__(self, world: World, answer: Callable[[Cell], Outcome]) -> None:
        self._answer = answer
        self.cells: list[Cell] = []
        world.machine.programs["python3"] = reading
        world.sandbox_maker = self._make

    def _make(self, kind: str, machine: Machine, witness: Witness) -> FakeSandbox:
        sandbox = InterpretingSandbox(kind, machine, witness)
        sandbox.interpreter = self
        return sandbox

    def execute(self, cell: Cell) -> Outcome:
        """Answer *cell*, and remember it."""
        self.cells.append(cell)
        return self._answer(cell)


def printing(cell: Cell) -> Outcome:
    """Print, show a picture, and give a value that holds a secret."""
    cell.stdout(b"out\n")
    cell.result(CellResult("display", "image/png", PICTURE))
    cell.result(CellResult("main", "text/plain", f"'{TOKEN}'".encode()))
    return Executed(exit_code=0, usage=USAGE)


def reading(command: Command) -> Outcome:
    """Read the whole standard input and say how much that was."""
    assert command.stdin is not None
    assert command.stdin.data is not None
    command.stdin.keep(command.stdin.data)
    command.stdout(str(len(command.stdin.data)).encode())
    return Executed(exit_code=0, usage=USAGE)


def requested_text(world: World, stream: str) -> e.CommandText:
    """Return the private part of the only request of a run."""
    text = world.only(stream, e.CommandRequested).private
    assert isinstance(text, e.CommandText)
    return text


def streams_text(world: World, stream: str) -> e.StreamsText:
    """Return the private part of the only ending of a run."""
    text = world.only(stream, e.CommandExecuted).private
    assert isinstance(text, e.StreamsText)
    return text


def read(world: World, name: BlobName | None) -> bytes:
    """Return the stored bytes that an event names."""
    assert name is not None
    return world.blobs.read(name.sha256)


def test_without_an_interpreter_a_cell_is_a_program_that_reads_it(world: World) -> None:
    """The event says that it was a cell; the source is a blob, before it runs and as it is read."""
    world.machine.programs["python3"] = reading
    with world.ledger.run() as run:
        result = run.execute_code("1 + 1", step="add", may_fail=True)
        request = world.only(run.stream, e.CommandRequested)
        text = requested_text(world, run.stream)
        assert ("cell", "kept", True) == (request.form, request.stdin, request.may_fail)
        assert (program_for("python"), "python", "add") == (text.argv, text.language, text.step)
        assert "/usr/bin/python3" == text.executable
        assert b"1 + 1" == read(world, text.source)
        assert text.source == streams_text(world, run.stream).stdin
    assert (0, b"5", (), None) == (result.exit_code, result.stdout, result.results, result.text)


@pytest.mark.parametrize(("language", "program"), [("bash", "bash"), ("javascript", "node")])
def test_each_language_has_its_program(world: World, language: str, program: str) -> None:
    """It reads the source as Python's does; where it is missing, nothing has started."""
    with world.ledger.run() as run:
        assert 127 == run.execute_code("1", language).returncode
        world.machine.programs[program] = reading
        assert b"1" == run.execute_code("1", language).stdout
    assert program == world.machine.executed[-1].argv[0]


def test_an_interpreter_of_the_sandbox_takes_the_cell(world: World) -> None:
    """No program is started or named; the cell works where a command would, with what it gets."""
    interpreter = Interpreter(world, printing)
    with world.ledger.run() as run:
        result = run.execute_code("x", timeout=7)
        text = requested_text(world, run.stream)
        (cell,) = interpreter.cells
        assert (("python",), None, "python") == (text.argv, text.executable, text.language)
        assert b"x" == read(world, text.source)
        assert run.workspace / "src" == cell.cwd
        assert text.env == cell.env
        assert ("x", "python", 7) == (cell.source, cell.language, cell.time_limit_s)
    assert [] == world.machine.executed
    assert (b"out\n", True) == (result.stdout, result.success)


def test_results_are_blobs_texts_without_their_secrets_and_pictures_as_they_are(
    world: World,
) -> None:
    """What the caller reads is what is stored, in the order it came."""
    Interpreter(world, printing)
    with world.ledger.run() as run:
        result = run.execute_code("x")
        picture, value = streams_text(world, run.stream).results
        assert ("display", "image/png", {}) == (
            picture.kind,
            picture.media_type,
            picture.redactions,
        )
        assert PICTURE == read(world, picture.blob)
        assert TOKEN.encode() not in read(world, value.blob)
        assert 1 == sum(value.redactions.values())
    assert [PICTURE, read(world, value.blob)] == [one.data for one in result.results]
    assert result.text is not None
    assert result.text.startswith("'[redacted:")


def test_a_secret_in_the_source_is_not_kept(world: World) -> None:
    """The interpreter gets the source as it is; the record counts what was taken out."""
    interpreter = Interpreter(world, printing)
    with world.ledger.run() as run:
        run.execute_code(f"token = '{TOKEN}'")
        assert TOKEN in interpreter.cells[0].source
        source = read(world, requested_text(world, run.stream).source)
        assert source.startswith(b"token = '[redacted:")
        assert 1 == sum(world.only(run.stream, e.CommandRequested).redactions.values())


def test_results_beyond_the_limit_are_cut_off(world_with: Callable[..., World]) -> None:
    """All results of a cell together keep what one stream may bring, and say what is missing."""

    def flood(cell: Cell) -> Outcome:
        for size in ((1 << 20) - 1, 2, 3):
            cell.result(CellResult("display", "image/png", b"x" * size))
        return Executed(exit_code=0, usage=USAGE)

    limits = msgspec.structs.replace(LOCAL.limits, output_mb=1)
    world = world_with(limits=limits)
    Interpreter(world, flood)
    with world.ledger.run() as run:
        run.execute_code("x")
        results = streams_text(world, run.stream).results
    assert [((1 << 20) - 1, False), (1, True), (0, True)] == [
        (result.blob.size, result.truncated) for result in results
    ]


def test_the_allowlist_judges_a_cell_as_the_command_that_would_read_it(
    world_with: Callable[..., World],
) -> None:
    """An interpreter of the sandbox is no way round the list; what was denied is on record."""
    world = world_with(allowlist=(AllowedCommand(command="echo"),))
    interpreter = Interpreter(world, printing)
    with world.ledger.run() as run:
        with pytest.raises(CommandNotAllowed, match=r"exec\.allowlist"):
            run.execute_code("x")
        denied = world.only(run.stream, e.CommandDenied)
        assert isinstance(denied.private, e.CommandDeniedText)
        assert ("cell", "python") == (denied.form, denied.private.language)
        assert b"x" == read(world, denied.private.source)
    assert [] == interpreter.cells


def test_a_listed_interpreter_may_take_cells(world_with: Callable[..., World]) -> None:
    """Where the list names the program, the sandbox's own interpreter takes the cell."""
    listed = (AllowedCommand(command="python3"),)
    world = world_with(allowlist=listed)
    interpreter = Interpreter(world, printing)
    with world.ledger.run() as run:
        assert run.execute_code("x").success
    assert 1 == len(interpreter.cells)


def test_a_cell_whose_sandbox_vanished_is_lost(world: World) -> None:
    """As of any command it is on record that nobody knows how it ended, with what it had given."""

    def vanish(cell: Cell) -> Outcome:
        cell.result(CellResult("main", "text/plain", b"1"))
        return Lost(message="gone")

    Interpreter(world, vanish)
    with world.ledger.run() as run:
        assert 125 == run.execute_code("x").returncode
        lost = world.only(run.stream, e.CommandLost).private
        assert isinstance(lost, e.StreamsText)
        assert b"1" == read(world, lost.results[0].blob)
        assert 1 == world.only(run.stream, e.SandboxLost).ordinal


@pytest.mark.parametrize(
    ("source", "language", "message"),
    [
        ("x", "cobol", "cannot execute code in 'cobol'; the languages are python, bash, java"),
        ("\ud800", "python", "cannot execute code that is no Unicode text: character 0"),
        (b"x", "python", "cannot execute code that is a bytes; give a text"),
    ],
)
def test_what_is_no_cell_is_refused_before_anything(
    world: World, source: str, language: str, message: str
) -> None:
    """Nothing is on record of it, and no sandbox is made."""
    with world.ledger.run() as run:
        with pytest.raises(InputInvalid, match=message):
            run.execute_code(source, language)
        assert {"SandboxCreated", "CommandRequested"}.isdisjoint(world.kinds(run.stream))
