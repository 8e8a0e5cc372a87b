"""`gesta recover`: runs whose process died are brought to their end.

Rule: at the start of another run the same is done after a glance, and what stands in its way is a
line of warning and never stops that run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from adapters.cli.printing import tell, tell_json, warn

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.recovery import Recovery

_WHY = {
    "dead": "its process died",
    "idle": "nobody came back to it",
    "unrecorded": "an outcome was not on record",
    "unsealed": "it was not sealed",
    "leaked": "something of it was left",
}


@click.command("recover")
@click.option("--dry-run", is_flag=True, help="Name them, and change nothing.")
@click.option("--json", "json", is_flag=True, help="Print a JSON array.")
def recover_command(dry_run: bool, json: bool) -> int:
    """
    End the runs whose process died: what they changed is captured, then they are cleaned up.

    A run that some process is at work in is never touched. The exit code is 1 if something stood in
    the way.
    """
    from adapters.wiring import open_ledger
    from ledger.recovery import find_unfinished

    with open_ledger() as ledger:
        found = (
            find_unfinished(ledger.hands, thorough=True)
            if dry_run
            else ledger.recover(thorough=True)
        )
        rows = []
        for row in found:
            if row.need == "stale":
                continue
            rows.append(row)
            if not json:
                tell(_line(row))
    if json:
        tell_json(rows)
    elif not rows:
        warn("no run needs recovery")
    return 1 if any(row.trouble for row in rows) else 0


def recover_first(ledger: Ledger) -> None:
    """Recover what a glance finds, before another run is begun."""
    try:
        for row in ledger.recover(thorough=False):
            # What has been left for long is told when somebody asks.
            if row.need != "leaked" or row.cleanliness == "clean":
                warn(_line(row))
    except Exception as error:
        # Whatever it is, it is no reason not to begin what was asked for.
        warn(f"cannot recover earlier runs: {error}; see `gesta recover`")


def _line(row: Recovery) -> str:
    left = row.cleanliness or "not at its end"
    lost = f"; how {', '.join(row.lost)} ended is not known" if row.lost else ""
    line = f"{row.task}/{row.run}: {_WHY[row.need]}; it is {row.status}, {left}{lost}"
    return line if row.trouble is None else f"{line}; {row.trouble}"
