"""`gesta import`: takes over a journal of the system that gesta replaces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.cli.printing import tell, tell_json, warn
from adapters.cli.times import plural

if TYPE_CHECKING:
    from ledger.importing import Imported


@click.command("import")
@click.option("--task", required=True, metavar="T", help="The task that the journal is of.")
@click.option("--run", metavar="R", help="What its run was called.")
@click.option("--actor", metavar="WHO", help="Who imports it.")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
@click.argument("file", type=click.Path(path_type=Path))
def import_command(file: Path, task: str, run: str | None, actor: str | None, json: bool) -> int:
    """
    Import FILE, a `journal/events.jsonl`, in its order, into a stream of its own.

    Each line becomes one event that says it was imported, never one of a run. The code is 1 if a
    line was no event; the others are imported all the same.
    """
    from adapters.legacy_journal import JournalFile
    from adapters.wiring import open_ledger
    from ledger.importing import import_journal

    journal = JournalFile(file)
    with open_ledger() as ledger:
        who = ledger.provenance(actor)
        done = import_journal(ledger.hands, journal, who, task=task, run=run)
    if json:
        tell_json(done)
    else:
        _print(done)
    return 1 if done.bad else 0


def _print(done: Imported) -> None:
    for bad in done.bad:
        warn(f"line {bad.number} not imported ({bad.reason}): {bad.message}")
    for unknown in done.unknown:
        warn(
            f"{plural(unknown.lines, 'line')} of the unknown type {unknown.type} imported as they "
            f"are, first line {unknown.first_line}"
        )
    spelled = ", ".join(f"{count} with {spelling}" for spelling, count in done.spelled.items())
    earlier = f", {done.earlier} of them earlier" if done.earlier else ""
    said = f"{done.imported} of {plural(done.lines, 'line')} imported{earlier}"
    tell(said + (f" ({spelled})" if spelled else ""))
    if done.imported:
        tell(f"stream {done.stream}; see `gesta audit {done.stream}`")
