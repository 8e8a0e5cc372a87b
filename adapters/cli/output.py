"""`gesta output`: what a command printed, as it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from adapters.cli.printing import tell_bytes, warn
from adapters.cli.times import size
from ledger.errors import BlobMissing, RunNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.commands import CommandRow, StreamRow


@click.command("output")
@click.option("--stderr", "stderr", is_flag=True, help="What it printed to standard error.")
@click.option("--raw", is_flag=True, help="At a terminal too, exactly the stored bytes.")
@click.argument("run", required=False)
@click.argument("command", required=False)
def output_command(run: str | None, command: str | None, stderr: bool, raw: bool) -> None:
    """
    Print what COMMAND (c1, c2, …) of RUN printed: by default the last one of the newest run.

    The bytes are those that are stored. At a terminal, escape sequences are made harmless.
    """
    from adapters.wiring import open_ledger
    from projections.commands import fold_commands

    with open_ledger() as ledger:
        rows = fold_commands(ledger.journal.history(ledger.find(run)))
        row = _chosen(rows, command)
        stream = row.stderr if stderr else row.stdout
        digest = _digest(row, stream, "stderr" if stderr else "stdout")
        if digest is not None:
            tell_bytes(ledger.hands.blobs.chunks(digest), raw=raw)


def _chosen(rows: Sequence[CommandRow], command: str | None) -> CommandRow:
    if not rows:
        raise RunNotFound("cannot print an output: the run has no command")
    if command is None:
        return rows[-1]
    for row in rows:
        if row.command == command:
            return row
    known = ", ".join(row.command for row in rows)
    raise RunNotFound(f"cannot find command {command}: the run has {known}")


def _digest(row: CommandRow, stream: StreamRow | None, name: str) -> str | None:
    if stream is None:
        words = row.status.replace("_", " ")
        raise BlobMissing(f"cannot print {name} of {row.command}: none is on record ({words})")
    if stream.stored and stream.sha256 is None:
        raise BlobMissing(f"cannot print {name} of {row.command}: the name of its blob is missing")
    if stream.truncated:
        warn(f"{name} is cut off: {size(stream.stored)} of {size(stream.total)} are stored")
    return stream.sha256
