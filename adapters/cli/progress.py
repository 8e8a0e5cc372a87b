"""How far a job with several steps has come, on standard error.

Rule 1: a command's output is never mixed with ours: the display is gone before anything is
written, and does not come back during the step.
Rule 2: rich is imported only where a person watches a terminal; elsewhere a step is one line.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from adapters.cli.harmless import harmless
from adapters.cli.printing import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress as Display


class Progress:
    """The progress of the steps called *names*; of a single one nothing is shown."""

    def __init__(self, names: list[str]) -> None:
        self._names = [harmless(name) for name in names]
        self._display: Display | None = None
        self._number = 0
        self._began = 0.0

    def begin(self, number: int) -> None:
        """Say that step *number*, counted from 0, begins."""
        self._number = number
        self._began = time.monotonic()
        if len(self._names) > 1:
            if is_terminal(sys.stderr):
                self._show()
            else:
                _say(self._line())

    def give_way(self) -> None:
        """Take the display away, because something else is about to be written."""
        if self._take_down():
            _say(self._line())

    def end(self, how: str) -> None:
        """Say how the step ended; without a terminal only a step that did not end well."""
        self._take_down()
        if len(self._names) > 1 and (how != "ok" or is_terminal(sys.stderr)):
            _say(f"{self._line()}: {how} after {time.monotonic() - self._began:.1f} s")

    def _take_down(self) -> bool:
        display, self._display = self._display, None
        if display is not None:
            display.stop()
        return display is not None

    def _line(self) -> str:
        return f"[{self._number + 1}/{len(self._names)}] {self._names[self._number]}"

    def _show(self) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Display

        self._display = Display(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._display.add_task(escape(self._line()), total=len(self._names), completed=self._number)
        self._display.start()


def _say(line: str) -> None:
    # A reader of standard error that went away is no reason to stop.
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        return
