"""`gesta audit`: what happened, event by event, for a person or for other tools."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from adapters.cli.harmless import harmless
from adapters.cli.printing import tell, tell_json
from adapters.cli.time_flag import AS_OF, AT, TIME, cut
from adapters.cli.view_printing import print_csv

if TYPE_CHECKING:
    from adapters.reader import Reader
    from projections.audit_trail import AuditRow
    from projections.queries import AuditFilter


@click.command("audit")
@click.option("--all", "everything", is_flag=True, help="The whole ledger, not one run.")
@click.option("--task", metavar="T", help="The runs of this task, not one run.")
@click.option("--type", "types", multiple=True, metavar="E", help="CommandExecuted; repeatable.")
@click.option("--since", type=TIME, help="ISO 8601, or 2h, 7d ago.")
@click.option("--until", type=TIME, help="ISO 8601, or 2h, 7d ago.")
@click.option("--actor", metavar="WHO", help="What WHO did.")
@click.option("--search", multiple=True, metavar="TEXT", help="Words in the row; repeatable.")
@AT
@AS_OF
@click.option("--follow", is_flag=True, help="Go on, until interrupted, with what comes.")
@click.option("--json", "form", flag_value="json", default=None, help="Print a JSON array.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Print a JSON object a line.")
@click.option("--csv", "form", flag_value="csv", help="Print comma-separated values (RFC 4180).")
@click.argument("run", required=False)
def audit_command(
    run: str | None, everything: bool, types: tuple[str, ...], form: str | None, **wanted: Any
) -> None:
    """Show what happened in RUN, by default the newest, event by event."""
    from adapters.cli.reading import reading
    from adapters.wiring import open_ledger
    from projections.queries import AuditFilter

    context = click.get_current_context()
    if run is not None and (everything or wanted["task"]):
        raise click.UsageError("give a RUN, --task or --all", context)
    at, as_of, follow = (wanted.pop(name) for name in ("at", "as_of", "follow"))
    if follow and form == "json":
        raise click.UsageError("give --jsonl with --follow: an array has an end", context)
    with open_ledger() as ledger:
        one = not everything and wanted["task"] is None
        stream = ledger.find(run, imported=True) if one else None
        with reading(ledger) as reader:
            filter = AuditFilter(
                stream=stream,
                events=frozenset(map(_event_name, types)),
                through=cut(reader, at, as_of),
                **wanted,
            )
            if follow:
                _follow(reader, filter, form)
            else:
                _show(reader.queries.every_event(filter), form, everything=not one)


def _show(rows: Iterable[AuditRow], form: str | None, *, everything: bool) -> None:
    from projections.audit_trail import AuditRow

    match form:
        case "json":
            tell_json(list(rows))
        case "jsonl":
            for row in rows:
                tell_json(row)
        case "csv":
            print_csv(rows, AuditRow)
        case _:
            _print(list(rows), everything=everything)


def _follow(reader: Reader, wanted: AuditFilter, form: str | None) -> None:
    import msgspec

    from adapters.cli.following import follow
    from projections.audit_trail import AuditRow

    is_first = True
    for _ in follow(reader):
        rows = list(reader.queries.every_event(wanted))
        if rows:
            wanted = msgspec.structs.replace(wanted, after=rows[-1].position)
        match form:
            case "jsonl":
                for row in rows:
                    tell_json(row)
            case "csv":
                print_csv(rows, AuditRow, header=is_first)
            case _:
                for row in rows:
                    _print_line(row)
        is_first = False
        sys.stdout.flush()


def _print_line(row: AuditRow) -> None:
    from adapters.cli.times import local

    who = "(missing)" if row.actor is None else row.actor
    cells = (str(row.position), local(row.recorded_at), _run(row), who, row.what)
    tell(harmless("  ".join(cells)))


def _run(row: AuditRow) -> str:
    """Return whose event it is: a run's, an imported journal's, or the ledger's own."""
    return "/".join(name for name in (row.task, row.run) if name)


def _event_name(typed: str) -> str:
    """Return the class name of an event that was typed as such, or by its stored name."""
    from ledger.codec import TOPICS

    names = {kind.__name__.casefold(): kind.__name__ for kind in TOPICS.values()}
    for topic, kind in TOPICS.items():
        names[topic] = names[topic.rpartition(".")[0]] = kind.__name__
    if typed.casefold() not in names:
        known = ", ".join(sorted({kind.__name__ for kind in TOPICS.values()}))
        raise click.BadParameter(
            f"{typed!r} is no type of event; there are {known}", click.get_current_context()
        )
    return names[typed.casefold()]


def _print(rows: list[AuditRow], *, everything: bool) -> None:
    from adapters.cli.printing import warn
    from adapters.cli.tables import print_table
    from adapters.cli.times import local

    if not rows:
        warn("no event on record is like that")
        return
    columns = [">position", "recorded", "who", "event", "~what", "where"]
    cells = [
        [
            str(row.position),
            local(row.recorded_at),
            "(missing)" if row.actor is None else row.actor,
            row.event,
            row.what,
            row.where.partition(" ")[0],
        ]
        for row in rows
    ]
    if everything:
        columns.insert(1, "run")
        for row, cell in zip(rows, cells, strict=True):
            cell.insert(1, _run(row))
    print_table(columns, cells)
