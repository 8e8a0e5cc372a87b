"""One command after the other in an open run, seen from the terminal.

Rule: whoever sends us a signal ends the command, and no further one is begun.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from adapters.cli.live_streams import LiveOutput

if TYPE_CHECKING:
    from adapters.cancellation import SignalCancellation
    from ledger.active_run import ActiveRun, Result
    from ledger.commands import Execute


class Walk:
    """
    An open run whose commands' output comes to our own descriptors.

    With *json* all of it goes to standard error. *on_output* is called before anything is written
    there.
    """

    def __init__(self, active: ActiveRun, cancellation: SignalCancellation, *, json: bool) -> None:
        self._active = active
        self._cancellation = cancellation
        self.on_output: Callable[[], None] = lambda: None
        self._stdout = LiveOutput(2 if json else 1, cancellation, self._before_output)
        self._stderr = LiveOutput(2, cancellation, self._before_output)

    def perform(self, wanted: Execute) -> Result:
        """Execute one command; raises what `ActiveRun.perform` raises."""
        wanted = msgspec.structs.replace(
            wanted, stdout=self._stdout.write, stderr=self._stderr.write
        )
        return self._active.perform(wanted, self._cancellation)

    def _before_output(self) -> None:
        self.on_output()


def exit_code(result: Result, cancellation: SignalCancellation) -> int:
    """Return the code for a command that was executed; a signal to us outweighs its own."""
    if cancellation.signal is not None:
        return 128 + cancellation.signal
    return result.returncode


def passed_on(variables: dict[str, str | None]) -> dict[str, str]:
    """Return *variables* with their values; those without one have the caller's, if it has one."""
    given = {
        name: os.environ.get(name) if value is None else value for name, value in variables.items()
    }
    return {name: value for name, value in given.items() if value is not None}
