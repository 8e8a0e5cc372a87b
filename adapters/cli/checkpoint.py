"""`gesta checkpoint`: the signed head of the log, to be kept where its writer cannot change it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from adapters.cli.printing import tell_bytes


@click.command("checkpoint")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it to this file instead, whole or not at all.",
)
def checkpoint_command(out: Path | None) -> None:
    """
    Print the signed head of the log, a C2SP checkpoint.

    Kept elsewhere, it shows later (`gesta verify --known-checkpoint`) that nothing up to there was
    changed since. Cosignatures of witnesses come with it, where there are some.
    """
    from adapters.wiring import open_ledger
    from ledger.errors import InputInvalid
    from ledger.heads import publish_head

    with open_ledger() as ledger:
        note = publish_head(ledger.journal.store)
    if out is None:
        tell_bytes([note], raw=True)
        return
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        draft.write_bytes(note)
        draft.replace(out)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputInvalid(f"cannot write {out}: {error.strerror}") from error
