"""What somebody wants executed, and what came of it: said by a caller, never on record as such."""

from __future__ import annotations

import msgspec

from ledger import events as e
from ledger.capture import Live
from ledger.outcomes import Outcome, Output


class Execute(msgspec.Struct, frozen=True, kw_only=True):
    """
    A command that somebody wants executed in a run.

    *cwd* is relative to the workspace, by default the caller's own subdirectory. *env* comes on
    top of what the policy passes through. *time_limit* in seconds takes the place of the
    policy's. A cell has a *language* and a *source*, which *argv* reads from *stdin*. *caller*
    takes the place of the caller's own environment, of which the policy passes a part on.
    """

    argv: tuple[str, ...]
    form: e.Form = "argv"
    language: str | None = None
    source: bytes | None = None
    step: str | None = None
    may_fail: bool = False
    cwd: str | None = None
    env: dict[str, str] = {}
    caller: dict[str, str] | None = None
    time_limit: float | None = None
    stdin: int | bytes | None = None
    terminal: bool = False
    stdout: Live | None = None
    stderr: Live | None = None


class Finished(msgspec.Struct, frozen=True):
    """A command, how it ended, and what was kept of its streams."""

    command: str
    outcome: Outcome
    output: Output
