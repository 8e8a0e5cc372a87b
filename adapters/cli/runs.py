"""`gesta runs`: the runs on record, newest first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adapters.cli.printing import tell_json
from adapters.cli.time_flag import AS_OF, AT, TIME, cut

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from projections.queries import RunFilter
    from projections.run_status import RunStatus

_STATUSES = ("open", "running", "succeeded", "failed", "cancelled", "abandoned")


@click.command("runs")
@click.option("--task", metavar="T", help="Runs of this task.")
@click.option("--status", type=click.Choice(_STATUSES), help="Runs with this status.")
@click.option("--since", type=TIME, help="Opened since then: ISO 8601, or 2h, 7d ago.")
@click.option("--until", type=TIME, help="Opened until then.")
@click.option("--actor", metavar="WHO", help="Runs that WHO opened.")
@click.option("--sandbox", metavar="KIND", help="Runs that had this kind of sandbox.")
@click.option("--here", is_flag=True, help="Runs of the repository we stand in.")
@click.option("--fell-back", is_flag=True, help="Runs that used something weaker than asked for.")
@click.option("--leaked", is_flag=True, help="Runs that something was left of.")
@click.option(
    "--limit", type=click.IntRange(0), default=50, show_default=True, help="At most; 0 is all."
)
@AT
@AS_OF
@click.option("--json", "json", is_flag=True, help="Print a JSON array.")
def runs_command(
    limit: int, json: bool, here: bool, at: int | None, as_of: int | None, **wanted: Any
) -> None:
    """List the runs on record, newest first."""
    from adapters.cli.reading import reading
    from adapters.wiring import open_ledger
    from projections.queries import RunFilter

    with open_ledger() as ledger, reading(ledger) as reader:
        filter = RunFilter(**wanted, **(_place(ledger) if here else {}))
        position = cut(reader, at, as_of)
        with reader.as_of(position) if position is not None else reader.now() as queries:
            rows = queries.runs(filter, limit=limit or None)
    if json:
        tell_json(rows)
    else:
        _print(rows, filter)


def _place(ledger: Ledger) -> dict[str, Any]:
    from ledger.ostext import from_os
    from ledger.outcomes import Unavailable

    found = ledger.hands.git.survey(Path.cwd())
    if isinstance(found, Unavailable):
        return {"directory": from_os(str(Path.cwd()))}
    return {"repository": from_os(found.common_dir)}


def _print(rows: list[RunStatus], wanted: RunFilter) -> None:
    from adapters.cli.printing import warn
    from adapters.cli.tables import print_table
    from adapters.cli.times import duration, local
    from projections.queries import RunFilter

    if not rows:
        warn("no run is on record" if wanted == RunFilter() else "no run on record is like that")
        return
    columns = ("run", "status", "left", "opened", ">took", ">cmds", ">failed", "sandbox", "actor")
    print_table(
        columns,
        [
            (
                f"{row.task}/{row.run}",
                row.status,
                row.cleanliness or "",
                local(row.opened_at),
                duration(row.duration_us),
                str(row.commands),
                str(row.failed + row.denied),
                _sandbox(row),
                "(missing)" if row.actor is None else row.actor,
            )
            for row in rows
        ],
    )


def _sandbox(row: RunStatus) -> str:
    if row.sandbox is None:
        return "none"
    if row.sandbox == row.sandbox_wanted and not row.lost:
        return row.sandbox
    return f"{row.sandbox} for {row.sandbox_wanted}"
