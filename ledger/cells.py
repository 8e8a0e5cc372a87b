"""Cells of code, for sandboxes that have an interpreter of their own: the port, and what it takes.

Rule: a sandbox that is no `CellSandbox` executes a cell as a command; see `ledger.code_cells`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import msgspec

from ledger.outcomes import Outcome
from ledger.ports import Cancellation

CellKind = Literal["main", "display", "error"]


class CellResult(msgspec.Struct, frozen=True):
    """What a cell gave: its value (`main`), what it displayed, or the error that ended it."""

    kind: CellKind
    media_type: str
    data: bytes


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """
    Source to execute in *cwd* (`None` is the workspace); output and results come as they arise.

    *env* comes on top of what the interpreter has. *time_limit_s* of `None` is no limit. The three
    takers are called from a thread of the cell's own, one at a time, while the caller waits for
    its end.
    """

    source: str
    language: str = "python"
    cwd: Path | None = None
    env: dict[str, str] = {}
    time_limit_s: float | None
    stdout: Callable[[bytes], None]
    stderr: Callable[[bytes], None]
    result: Callable[[CellResult], None]


@runtime_checkable
class CellSandbox(Protocol):
    """A `Sandbox` with an interpreter that stays: what a cell defines, the next one finds."""

    def execute_cell(self, cell: Cell, cancellation: Cancellation | None) -> Outcome:
        """Execute one cell to its end; an error of its code is an exit code of 1."""
