"""A cell of code in the walk of a command: who executes it, and what is kept of its results.

Rule 1: the policy's allowlist judges a cell as the command that reads its source, also where an
interpreter of the sandbox takes it instead.
Rule 2: textual results are kept without their secrets, pictures as they are; all together up to
what the policy lets one stream bring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ledger.cells import Cell, CellResult, CellSandbox
from ledger.outcomes import Outcome, ResultKept

if TYPE_CHECKING:
    from ledger.capture import Capture
    from ledger.commands import Execute
    from ledger.ports import BlobStore, Cancellation, Sandbox
    from ledger.redaction import Redactor
    from ledger.surroundings import Surroundings

_TEXTUAL = ("application/json", "application/javascript", "image/svg+xml")


class Results:
    """What a cell gives, kept as it comes. *limit* is in bytes, of all results together."""

    def __init__(self, blobs: BlobStore, redactor: Redactor, limit: int | None) -> None:
        self._blobs = blobs
        self._redactor = redactor
        self._left = limit
        self._kept: list[ResultKept] = []

    def take(self, result: CellResult) -> None:
        """Keep one result."""
        data, redactions = result.data, {}
        if result.media_type.startswith("text/") or result.media_type in _TEXTUAL:
            clean = self._redactor.data(data)
            data, redactions = clean.value, clean.counts
        kept = data[: self._left]
        if self._left is not None:
            self._left -= len(kept)
        self._kept.append(
            ResultKept(
                kind=result.kind,
                media_type=result.media_type,
                blob=self._blobs.put(kept),
                truncated=len(kept) < len(data),
                redactions=redactions,
            )
        )

    @property
    def kept(self) -> tuple[ResultKept, ...]:
        """What was kept so far, in the order it came."""
        return tuple(self._kept)


def as_taken(
    sandbox: Sandbox, wanted: Execute, command: Surroundings
) -> tuple[Execute, Surroundings]:
    """
    Return *wanted* and its surroundings as they really will be in *sandbox*.

    Where an interpreter of the sandbox takes a cell, no program is started and nothing is read:
    its command is the language alone.
    """
    if wanted.language is None or not isinstance(sandbox, CellSandbox):
        return wanted, command
    return (
        msgspec.structs.replace(wanted, argv=(wanted.language,), stdin=None),
        msgspec.structs.replace(command, executable=None),
    )


def perform_cell(
    sandbox: CellSandbox,
    wanted: Execute,
    command: Surroundings,
    capture: Capture,
    results: Results,
    cancellation: Cancellation | None,
) -> Outcome:
    """Let the interpreter of *sandbox* execute a cell."""
    assert wanted.language is not None
    assert wanted.source is not None
    return sandbox.execute_cell(
        Cell(
            source=wanted.source.decode(),
            language=wanted.language,
            cwd=command.cwd,
            env=command.env,
            time_limit_s=command.time_limit,
            stdout=capture.stdout,
            stderr=capture.stderr,
            result=results.take,
        ),
        cancellation,
    )
