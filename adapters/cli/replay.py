"""`gesta replay`: a run folded again from its stored bytes, and held against the views."""

from __future__ import annotations

import click
import msgspec

from adapters.cli.printing import tell_json, warn
from adapters.cli.tables import print_table


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared of a run: a table of a view, or the state; *agrees* says the rest."""

    view: str
    table: str
    rows: int
    agrees: bool


@click.command("replay")
@click.option("--json", "json", is_flag=True, help="Print a JSON array.")
@click.argument("run", required=False)
def replay_command(run: str | None, json: bool) -> int:
    """
    Fold RUN, by default the newest, again from its stored bytes and compare every view with it.

    The exit code is 1 if a view does not agree.
    """
    from adapters.cli.reading import reading
    from adapters.wiring import open_ledger
    from projections.agreement import agreements
    from projections.built_in import BUILT_IN

    with open_ledger() as ledger:
        stream = ledger.find(run)
        with reading(ledger) as reader:
            history = ledger.journal.history(stream)
            found = agreements(reader.views, BUILT_IN, history)
    rows = [
        Replayed(view=one.view, table=one.table, rows=one.rows, agrees=one.agrees) for one in found
    ]
    if json:
        tell_json(rows)
    else:
        words = [
            (row.view, row.table, str(row.rows), "same" if row.agrees else "differs")
            for row in rows
        ]
        print_table(("view", "table", ">rows", ""), words)
    for one in found:
        if not one.agrees:
            warn(
                f"table {one.table} has {one.live!r}, the events say {one.folded!r}; "
                "run `gesta rebuild`"
            )
    return int(not all(row.agrees for row in rows))
