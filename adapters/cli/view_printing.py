"""Prints rows of views: as a table for a person, as JSON or CSV for other tools.

Rule: the three are the same rows; what a spreadsheet would take for a formula is not one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import click
import msgspec

from adapters.cli.harmless import harmless
from adapters.cli.printing import tell_json, warn

Form = Literal["json", "csv"] | None
_Function = TypeVar("_Function", bound=Callable[..., Any])
# What makes a spreadsheet compute a cell (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def form_flags(function: _Function) -> _Function:
    """Add the flags that choose a form."""
    json = click.option(
        "--json", "form", flag_value="json", default=None, help="Print a JSON array."
    )
    csv = click.option("--csv", "form", flag_value="csv", help="Print CSV (RFC 4180).")
    return json(csv(function))


def print_rows(rows: Iterable[msgspec.Struct], kind: type[msgspec.Struct], form: Form) -> None:
    """Print *rows*, which are all of one *kind*."""
    match form:
        case "json":
            tell_json(list(rows))
        case "csv":
            print_csv(rows, kind)
        case _:
            _print_table(list(rows), kind)


def print_csv(
    rows: Iterable[msgspec.Struct], kind: type[msgspec.Struct], *, header: bool = True
) -> None:
    """Print *rows* as comma-separated values, below the names of the fields."""
    import csv

    writer = csv.writer(sys.stdout)
    if header:
        writer.writerow(kind.__struct_fields__)
    for row in rows:
        writer.writerow([no_formula(cell) for cell in _cells(row)])


def _print_table(rows: Sequence[msgspec.Struct], kind: type[msgspec.Struct]) -> None:
    from adapters.cli.tables import print_table

    if not rows:
        warn("the view has no such row")
        return
    print_table([f"~{name}" for name in kind.__struct_fields__], [list(_cells(r)) for r in rows])


def _cells(row: msgspec.Struct) -> Iterator[str]:
    from adapters.cli.shapes import json_shape

    for value in json_shape(row).values():
        if value is None:
            yield ""
        elif isinstance(value, str):
            yield harmless(value)
        else:
            yield msgspec.json.encode(value).decode()


def no_formula(cell: str) -> str:
    """Return *cell* with a `'` before it where a spreadsheet would compute it."""
    return f"'{cell}" if cell.startswith(_FORMULA) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
