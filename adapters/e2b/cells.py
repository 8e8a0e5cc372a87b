"""Cells of code in an E2B sandbox, by the interpreter of its template.

Rule 1: a language has one context in each directory: what a cell defines, the next one there finds.
Rule 2: a cell that is ended takes its context along: nothing else ends what an interpreter does.
"""

from __future__ import annotations

import base64
import json
import os
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adapters.e2b.errors import E2BError, Trouble, understood
from ledger.cells import Cell, CellKind, CellResult
from ledger.outcomes import Cancelled, Executed, Outcome, TimedOut, Usage
from ledger.ports import Cancellation

if TYPE_CHECKING:
    from e2b_code_interpreter import Context, Sandbox  # type: ignore[import-untyped]  # it marks no types

_END_S = 10.0
# What a result may be, by the interpreter's own names; pictures come as base64.
_MEDIA_TYPES = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "text/javascript",
}
_BINARY = {"png", "jpeg", "pdf"}


class Interpreter:
    """The interpreter of a sandbox; cells say where they work inside, by default at *root*."""

    def __init__(self, sandbox: Sandbox, root: str) -> None:
        self._sandbox = sandbox
        self._root = root
        self._contexts: dict[tuple[str, str], Context] = {}

    def execute(self, cell: Cell, cancellation: Cancellation | None) -> Outcome:
        """
        Execute one cell; an error of its code is an exit code of 1.

        Raises `E2BError`; an error of the caller's own callbacks ends the cell and is raised.
        """
        place = (cell.language, self._root if cell.cwd is None else str(cell.cwd))
        context = self._context(*place)
        running = _Running(self._sandbox, context, cell)
        ending = running.wait(cell.time_limit_s, cancellation)
        if ending is not None or running.error is not None:
            self._remove(place)
        if not running.ended(_END_S):
            raise E2BError(Trouble(reason="failed", message="the cell cannot be ended"))
        usage = Usage(duration_us=running.duration_us)
        if running.callers_error is not None:
            raise running.callers_error
        if ending == "timed out":
            return TimedOut(usage=usage)
        if ending == "cancelled":
            return Cancelled(
                usage=usage, signal=None if cancellation is None else cancellation.signal
            )
        if running.error is not None:
            raise running.error
        return Executed(usage=usage, exit_code=1 if running.failed else 0)

    def _context(self, language: str, directory: str) -> Context:
        place = (language, directory)
        if place not in self._contexts:
            with understood():
                self._contexts[place] = self._sandbox.create_code_context(
                    cwd=directory, language=language
                )
        return self._contexts[place]

    def _remove(self, place: tuple[str, str]) -> None:
        context = self._contexts.pop(place)
        with understood():
            self._sandbox.remove_code_context(context)


class _Running:
    """A cell that is at work on a thread of its own."""

    def __init__(self, sandbox: Sandbox, context: Context, cell: Cell) -> None:
        self._cell = cell
        self._readable, self._writable = os.pipe()
        self.error: E2BError | None = None
        self.callers_error: BaseException | None = None
        self.failed = False
        self.duration_us = 0
        self._thread = threading.Thread(target=self._run, args=(sandbox, context), daemon=True)
        self._thread.start()

    def _run(self, sandbox: Sandbox, context: Context) -> None:
        began = time.monotonic()
        try:
            with understood():
                sandbox.run_code(
                    self._cell.source,
                    context=context,
                    envs=self._cell.env,
                    on_stdout=self._guarded(lambda out: self._cell.stdout(out.line.encode())),
                    on_stderr=self._guarded(lambda out: self._cell.stderr(out.line.encode())),
                    on_result=self._guarded(self._take_result),
                    on_error=self._guarded(self._take_error),
                    # The time limit is kept by whoever waits; the SDK's would keep no context.
                    timeout=0,
                )
        except E2BError as error:
            self.error = error
        self.duration_us = int((time.monotonic() - began) * 1_000_000)
        os.write(self._writable, b"\0")

    def _guarded(self, take: Callable[[Any], None]) -> Callable[[Any], None]:
        def guarded(value: Any) -> None:
            try:
                take(value)
            except BaseException as error:
                self.callers_error = error
                raise

        return guarded

    def _take_result(self, result: Any) -> None:
        kind: CellKind = "main" if result.is_main_result else "display"
        for name, media_type in _MEDIA_TYPES.items():
            value = getattr(result, name)
            if value is None:
                continue
            text = value if isinstance(value, str) else json.dumps(value)
            data = base64.b64decode(text) if name in _BINARY else text.encode()
            self._cell.result(CellResult(kind, media_type, data))

    def _take_error(self, error: Any) -> None:
        self.failed = True
        self._cell.result(CellResult("error", "text/plain", error.traceback.encode()))

    def wait(self, limit_s: float | None, cancellation: Cancellation | None) -> str | None:
        """Wait for its end, a limit or a cancellation, and say which of the latter came."""
        waiting = select.poll()
        waiting.register(self._readable, select.POLLIN)
        if cancellation is not None:
            waiting.register(cancellation.fileno(), select.POLLIN)
        ready = [
            descriptor
            for descriptor, _ in waiting.poll(None if limit_s is None else limit_s * 1000)
        ]
        if self._readable in ready:
            return None
        return "cancelled" if ready else "timed out"

    def ended(self, patience_s: float) -> bool:
        """Say whether it ends within *patience_s* seconds."""
        self._thread.join(patience_s)
        if self._thread.is_alive():
            # It will still write to the pipe, which goes with the process.
            return False
        os.close(self._readable)
        os.close(self._writable)
        return True
