"""`python -m projections`: one of the built-in views, for a person or for other tools."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

import click
import msgspec

from adapters.cli.printing import tell_json
from adapters.cli.time_flag import TIME
from adapters.cli.view_printing import Form, form_flags, print_rows

if TYPE_CHECKING:
    from projections.figures import Figures
    from projections.queries import Queries

_NAMES = (
    "audit_trail",
    "commands",
    "dashboard",
    "run_status",
    "sandbox_metrics",
    "workspaces",
)
_WITHOUT_TASK = ("dashboard", "sandbox_metrics")


@click.command("projections", context_settings={"max_content_width": 100})
@click.option("--since", type=TIME, help="What is newer: ISO 8601, or 2h, 7d ago.")
@click.option("--task", metavar="T", help="What belongs to this task.")
@form_flags
@click.argument("name", type=click.Choice(_NAMES))
def views_command(name: str, since: int | None, task: str | None, form: Form) -> None:
    """Bring the view NAME up to date and print it."""
    from adapters.cli.reading import reading
    from adapters.wiring import open_ledger

    if task is not None and name in _WITHOUT_TASK:
        context = click.get_current_context()
        raise click.UsageError(f"view {name} is not kept by task", context)
    with open_ledger() as ledger, reading(ledger) as reader:
        if name == "dashboard":
            _print_dashboard(reader.queries, since, form)
        else:
            rows, kind = _rows(reader.queries, name, since, task)
            print_rows(rows, kind, form)


def _rows(
    queries: Queries, name: str, since: int | None, task: str | None
) -> tuple[Iterable[msgspec.Struct], type[msgspec.Struct]]:
    from projections.audit_trail import AuditRow
    from projections.commands import CommandRow
    from projections.queries import AuditFilter, CommandFilter, RunFilter
    from projections.run_status import RunStatus
    from projections.sandbox_metrics import SandboxDay, day_of
    from projections.workspaces import WorkspaceRow

    match name:
        case "run_status":
            return queries.runs(RunFilter(task=task, since=since)), RunStatus
        case "audit_trail":
            return queries.every_event(AuditFilter(task=task, since=since)), AuditRow
        case "commands":
            return queries.commands(CommandFilter(task=task, since=since)), CommandRow
        case "workspaces":
            return queries.workspaces(task=task, since=since), WorkspaceRow
        case _:
            first = None if since is None else day_of(since)
            return queries.sandbox_days(since=first), SandboxDay


def _print_dashboard(queries: Queries, since: int | None, form: Form) -> None:
    from projections.dashboard import DashboardDay
    from projections.figures import figures

    found = figures(queries.tables, since=since)
    match form:
        case "json":
            tell_json(found)
        case "csv":
            print_rows(found.days, DashboardDay, "csv")
        case _:
            _print_figures(found)


def _print_figures(found: Figures) -> None:
    from adapters.cli.printing import tell
    from adapters.cli.show import words_of
    from adapters.cli.tables import print_facts, print_table
    from adapters.cli.times import duration, local
    from projections.sentences import command_line

    endings = ("succeeded", "failed", "cancelled", "abandoned")
    print_facts(
        [
            ("Runs", f"{found.runs}, {found.open} of them open"),
            ("Ended", ", ".join(f"{getattr(found, name)} {name}" for name in endings)),
            ("Succeeded", _percent(found.success_rate, "of those that have ended")),
            ("Fell back", _percent(found.fallback_rate, "of all")),
            ("Refused", f"{found.refused} runs had no sandbox that the policy permits"),
            ("Denials", f"{found.denials} commands and files"),
            ("Commands", str(found.commands)),
        ]
    )
    if found.slowest:
        tell()
        slowest = [
            (words_of(row), f"{row.stream} {row.command}", duration(row.duration_us))
            for row in found.slowest
        ]
        print_table(("~slowest", "run", ">took"), slowest)
    if found.most_failing:
        tell()
        failing = [
            (command_line(one.argv), str(one.failures), local(one.last_at))
            for one in found.most_failing
        ]
        print_table(("~most failing", ">failures", "last"), failing)


def _percent(rate: float | None, of: str) -> str:
    return "none yet" if rate is None else f"{rate:.1%} {of}"


def main() -> NoReturn:
    """Run the command of this process's arguments and exit with its code."""
    from adapters.cli.program import run_command

    run_command(views_command, "python -m projections")
