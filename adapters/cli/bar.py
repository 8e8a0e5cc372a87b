"""How far something long has come, as a bar on standard error.

Rule: what is quick shows nothing, and so does what no person watches; rich is imported only when
there is something to show.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from adapters.cli.printing import is_terminal

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

_QUICK_SECONDS = 0.5


class Bar:
    """A bar that is called *name* and appears if what it shows takes its time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()
        self._display: Progress | None = None
        self._task: TaskID | None = None

    def update(self, done: int, total: int) -> None:
        """Show that *done* of *total* is done."""
        if self._display is None:
            if not is_terminal(sys.stderr) or time.monotonic() - self._began < _QUICK_SECONDS:
                return
            self._display, self._task = self._appear()
        assert self._task is not None
        self._display.update(self._task, completed=done, total=total)

    def _appear(self) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (TextColumn(self._name), BarColumn(), MofNCompleteColumn(), Remaining())
        display = Progress(*columns, console=Console(stderr=True), transient=True)
        display.start()
        return display, display.add_task(self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._display is not None:
            self._display.stop()
