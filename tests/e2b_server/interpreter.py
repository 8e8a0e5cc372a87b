"""The code interpreter of a sandbox: contexts, each a Python process that keeps what it defined.

The answer to a cell is a JSON object a line: `stdout`, `stderr`, `result`, `error`,
`number_of_executions`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tests.e2b_server.control_plane import refusal
from tests.e2b_server.machines import Machine

PORT = "49999"

_KERNEL = """
import ast, json, sys, time, traceback
words = sys.__stdout__
def say(kind, **more):
    print(json.dumps({"type": kind, **more}), file=words, flush=True)
class Stream:
    def __init__(self, kind):
        self.kind = kind
    def write(self, text):
        say(self.kind, text=text, timestamp=int(time.time() * 1e6))
        return len(text)
    def flush(self):
        pass
sys.stdout, sys.stderr = Stream("stdout"), Stream("stderr")
names = {"__name__": "__main__"}
for count, line in enumerate(sys.stdin, 1):
    try:
        tree = ast.parse(json.loads(line))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            more = {"png": value.decode()} if isinstance(value, bytes) else {}
            if value is not None:
                say("result", text=repr(value), is_main_result=True, **more)
    except Exception as error:
        text = traceback.format_exc()
        say("error", name=type(error).__name__, value=str(error), traceback=text)
    say("number_of_executions", execution_count=count)
"""


class Interpreter:
    """The contexts of one sandbox."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._contexts: dict[str, subprocess.Popen[str]] = {}
        self._at_work = threading.Lock()
        self._numbers = itertools.count(1)
        machine.at_end.append(self.end)

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a context."""
        name = f"context-{next(self._numbers)}"
        directory = body.get("cwd") or str(self._machine.home)
        self._contexts[name] = subprocess.Popen(
            [sys.executable, "-I", "-c", _KERNEL],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return {"id": name, "language": body.get("language", "python"), "cwd": directory}

    def remove(self, name: str) -> tuple[int, Any, dict[str, str]]:
        """End a context."""
        kernel = self._contexts.pop(name, None)
        if kernel is None:
            return refusal(404, f"context {name} not found")
        kernel.kill()
        kernel.wait()
        with self._at_work, contextlib.suppress(BrokenPipeError):
            kernel.communicate()
        return 204, None, {}

    def execute(self, body: dict[str, Any]) -> Iterator[bytes | None]:
        """Yield the lines of a cell's answer; `None` if it is to break off."""
        kernel = self._contexts[body["context_id"]]
        assert kernel.stdin is not None
        assert kernel.stdout is not None
        with self._at_work:
            kernel.stdin.write(json.dumps(body["code"]) + "\n")
            kernel.stdin.flush()
            while line := kernel.stdout.readline():
                yield line.encode()
                if '"number_of_executions"' in line:
                    return
        yield None

    def end(self) -> None:
        """End all contexts."""
        for name in list(self._contexts):
            self.remove(name)
