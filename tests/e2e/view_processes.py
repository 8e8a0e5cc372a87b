"""Processes that keep views, and are killed while they do: forks of one that has all imported.

`python -m tests.e2e.view_processes HOME` reads a JSON array of orders a line, starts a process for
each, all at once, and writes how they ended, in a line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from adapters.sqlite_store import open_store
from adapters.sqlite_views import SQLiteViews
from projections.built_in import BUILT_IN
from projections.engine import Engine

ROOT = Path(__file__).parents[2]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """
    Views to keep; a process that is to be killed kills itself before statement *last_statement*,
    or is killed by another when it says that it has folded *last_page* pages.
    """

    views: str
    do: Literal["catch_up", "rebuild"]
    page: int
    last_statement: int | None = None
    last_page: int | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended, and how many statements and pages it made if it came to its end."""

    code: int
    statements: int = 0
    pages: int = 0


class Keepers:
    """Has processes keep views of the ledger in one home."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def keep(self, *orders: Order) -> list[Done]:
        """Start a process for each order, all at once, and return how they ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(orders) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=list[Done])


@contextlib.contextmanager
def keepers(home: Path) -> Iterator[Keepers]:
    """Lend what starts processes."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.view_processes", str(home)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Keepers(process)
    assert 0 == process.returncode


def main(home: Path) -> None:
    """Carry out the orders of each line."""
    for line in sys.stdin.buffer:
        orders = msgspec.json.decode(line, type=list[Order])
        started = [_start(home, order) for order in orders]
        ended = [_end(order, *one) for order, one in zip(orders, started, strict=True)]
        sys.stdout.buffer.write(msgspec.json.encode(ended) + b"\n")
        sys.stdout.buffer.flush()


def _start(home: Path, order: Order) -> tuple[int, int]:
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        _keep(home, order, writing)
        os._exit(0)
    os.close(writing)
    return child, reading


def _end(order: Order, child: int, reading: int) -> Done:
    said = b""
    while data := os.read(reading, 4096):
        said += data
        if order.last_page is not None and said.count(b"p") >= order.last_page:
            os.kill(child, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    statements = int(said.rpartition(b"p")[2] or 0)
    code = os.waitstatus_to_exitcode(status)
    return Done(code=code, statements=statements, pages=said.count(b"p"))


def _keep(home: Path, order: Order, writing: int) -> None:
    statements = pages = 0

    def count(statement: str) -> None:
        nonlocal statements
        statements += 1
        if statements == order.last_statement:
            os.kill(os.getpid(), signal.SIGKILL)

    store = open_store(home / "ledger.db", synchronous="OFF")
    views = SQLiteViews(Path(order.views), store.ledger_id)
    # It counts for the connections that are made from here on.
    views.close()
    views.connections.trace = count
    engine = Engine(store, views, BUILT_IN, page=order.page)
    act = engine.catch_up if order.do == "catch_up" else engine.rebuild

    def tell(done: int, size: int) -> None:
        nonlocal pages
        pages += 1
        os.write(writing, b"p")

    act(tell)
    if order.last_page is not None and pages >= order.last_page:
        # Others that share the work may leave it fewer. Whoever is to kill it may be late.
        signal.pause()
    os.write(writing, str(statements).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
