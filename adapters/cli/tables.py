"""Tables and lists of facts, for a person.

Rule 1: at a terminal rich lays them out, in colour unless NO_COLOR is set; anywhere else they are
plain aligned text of full width. Nothing is cut off in either.
Rule 2: every cell is made harmless, and none is read as markup.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from adapters.cli.harmless import harmless
from adapters.cli.printing import is_terminal, tell

_STYLES = {
    "succeeded": "green",
    "clean": "green",
    "ok": "green",
    "failed": "red",
    "abandoned": "red",
    "leaked": "red",
    "wrong": "red",
    "denied": "red",
    "running": "yellow",
    "open": "yellow",
    "cancelled": "yellow",
    "kept": "yellow",
    "timed out": "red",
    "signalled": "red",
    "lost": "red",
    "not started": "red",
    "no recorded outcome": "yellow",
    "not here": "yellow",
}
_NARROWEST = 24


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """
    Print *rows* under the names of *columns*.

    A column that begins with `>` is right-aligned; one that begins with `~` may be folded where a
    terminal is too narrow.
    """
    names = [column.lstrip(">~") for column in columns]
    cells = [names, *([harmless(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    if is_terminal(sys.stdout):
        _print_rich_table(columns, cells, widths)
        return
    for row in cells if any(names) else cells[1:]:
        aligned = (
            cell.rjust(width) if column.startswith(">") else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        tell("  ".join(aligned).rstrip())


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print what each name says, one fact a line."""
    if is_terminal(sys.stdout):
        _print_rich_facts(facts)
        return
    width = max(len(name) for name, _ in facts)
    for name, said in facts:
        tell(f"{name.ljust(width)}  {harmless(said)}")


def _print_rich_table(
    columns: Sequence[str], cells: Sequence[Sequence[str]], widths: Sequence[int]
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    foldable = [width for column, width in zip(columns, widths, strict=True) if column[:1] == "~"]
    fixed = sum(widths) - sum(foldable) + 2 * len(columns)
    # Narrower than what cannot be folded, the terminal breaks the lines: nothing is cut off.
    console.width = max(console.width, fixed + len(foldable) * _NARROWEST)
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(cells[0]))
    for name, column in zip(cells[0], columns, strict=True):
        table.add_column(
            name,
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=not column.startswith("~"),
        )
    for row in cells[1:]:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    console.print(table)


def _print_rich_facts(facts: Sequence[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, said in facts:
        grid.add_row(name, Text(harmless(said), style=_style(said)))
    Console(highlight=False).print(grid)


def _style(cell: str) -> str:
    return _STYLES.get(cell.partition(",")[0], "")
