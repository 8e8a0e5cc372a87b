"""`gesta gc`: what the ledger believes to exist is compared with what exists.

Rule: what is not shown to be ours, and what is another home's, is told and left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from adapters.cli.printing import tell_json, warn

if TYPE_CHECKING:
    from ledger.drift import Drift
    from ledger.recovery import Recovery


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Name what is to be done, and change nothing.")
@click.option("--kept", is_flag=True, help="Remove worktrees too that their policy keeps.")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
def gc_command(dry_run: bool, kept: bool, json: bool) -> int:
    """
    Recover dead runs, then remove what is left of ended ones and of none.

    That is worktrees, sandboxes, blobs that no event names, locks and spooled outcomes. The exit
    code is 1 if something could not be removed that should be.
    """
    from adapters.wiring import open_ledger
    from ledger.reconcile import reconcile
    from ledger.recovery import find_unfinished

    with open_ledger() as ledger:
        hands, who = ledger.hands, ledger.provenance(None)
        unfinished = find_unfinished(hands, thorough=True) if dry_run else ledger.recover()
        recovered = list(unfinished)
        drifts = list(reconcile(hands, who, act=not dry_run, kept=kept))
    if json:
        tell_json({"dry_run": dry_run, "recovered": recovered, "drift": drifts})
    else:
        _print(recovered, drifts)
    troubles = [row.trouble for row in recovered] + [row.trouble for row in drifts]
    return 1 if any(troubles) else 0


def _print(recovered: list[Recovery], drifts: list[Drift]) -> None:
    from adapters.cli.tables import print_table

    if not recovered and not drifts:
        warn("everything is as the ledger has it")
        return
    rows: list[tuple[str, ...]] = [
        (
            "lock" if row.need == "stale" else "run",
            f"{row.task}/{row.run}" if row.run else row.stream,
            row.need,
            row.cleanliness or row.status,
            row.trouble or "",
        )
        for row in recovered
    ]
    rows += [
        (row.what, row.run or row.name, f"{row.why}: {row.name}", row.done or "", row.trouble or "")
        for row in drifts
    ]
    print_table(("what", "~which", "~why", "done", "~trouble"), rows)
