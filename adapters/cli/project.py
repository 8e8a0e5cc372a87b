"""`gesta project`: a projection of the user's own, kept and read like those of gesta's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.cli.bar import Bar
from adapters.cli.printing import tell_json, warn
from adapters.cli.reading import stopped_words
from adapters.cli.view_printing import Form, form_flags, print_rows

if TYPE_CHECKING:
    from adapters.reader import Reader
    from projections.projection import Projection


@click.command("project")
@click.option("--rebuild", is_flag=True, help="Fold it anew, from the first event.")
@click.option("--check", "only_check", is_flag=True, help="Change nothing; 1 if it differs.")
@click.option("--follow", is_flag=True, help="Print it again whenever there is more, as JSON.")
@click.option("--drop", is_flag=True, help="Remove its tables.")
@click.option("--table", metavar="T", help="Which of its tables to print; the first without it.")
@form_flags
@click.argument("file", type=click.Path(path_type=Path))
def project_command(
    file: Path,
    rebuild: bool,
    only_check: bool,
    follow: bool,
    drop: bool,
    table: str | None,
    form: Form,
) -> int:
    """
    Fold the events with the projection in FILE, a Python file, and print its rows.

    Its tables are kept in views.db, beside gesta's own, and brought up to date each time.
    """
    from adapters.cli.rebuild import check_views, rebuild_views, report_checks
    from adapters.projection_files import read_projection
    from adapters.wiring import open_ledger, open_reader

    projection = read_projection(file)
    table = _table_name(projection, table)
    with open_ledger() as ledger, open_reader(ledger) as reader:
        if drop:
            with reader.views.writing() as writing:
                writing.drop(projection.name, "live")
                writing.drop(projection.name, "next")
            return 0
        if only_check:
            return report_checks(check_views(reader, [projection]), json=form == "json")
        if rebuild:
            return rebuild_views(reader, [projection], json=form == "json")
        if follow:
            _follow(reader, projection, table)
        code = _catch_up(reader, projection)
        _print(reader, projection, table, form)
        return code


def _table_name(projection: Projection, table: str | None) -> str:
    names = [one.name for one in projection.tables]
    if table is not None and table not in names:
        known = ", ".join(names)
        raise click.UsageError(
            f"no table {table} in projection {projection.name}; there are {known}",
            click.get_current_context(),
        )
    return table or names[0]


def _catch_up(reader: Reader, projection: Projection) -> int:
    with Bar("reading events") as bar:
        standings = reader.engine([projection]).catch_up(bar.update)
    stopped = [standing for standing in standings if standing.failure is not None]
    for standing in stopped:
        warn(stopped_words(standing))
    return int(bool(stopped))


def _print(reader: Reader, projection: Projection, name: str, form: Form) -> None:
    table = next(one for one in projection.tables if one.name == name)
    print_rows(reader.queries.every_row(table), table.row, form)


def _follow(reader: Reader, projection: Projection, name: str) -> None:
    from adapters.cli.following import changes

    table = next(one for one in projection.tables if one.name == name)
    for _ in changes(reader):
        _catch_up(reader, projection)
        tell_json(list(reader.queries.every_row(table)))
