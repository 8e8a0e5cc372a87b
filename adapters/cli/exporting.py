"""`gesta export`: the events themselves, whole, for other tools.

Rule 1: memory stays flat, however long the log is: pages come in and go out.
Rule 2: of the whole ledger everything is exported that was on record when the export began.
Rule 3: a file, or a directory of tiles, is there whole or not at all; a file, which has private
parts in it, is for its owner alone.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from adapters.cli.printing import is_terminal, tell
from adapters.cli.times import plural
from ledger.errors import InputInvalid

if TYPE_CHECKING:
    from ledger.store import Row, Store

_PAGE = 1000


@click.command("export")
@click.option("--all", "everything", is_flag=True, help="The whole ledger, not one run.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("jsonl", "csv", "tlog-tiles")),
    default="jsonl",
    show_default=True,
    help="JSON objects, one a line; comma-separated values (RFC 4180); the log as tiles (C2SP).",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="A file, or tiles' directory, whole or not at all.",
)
@click.argument("run", required=False)
def export_command(run: str | None, everything: bool, form: str, output: Path | None) -> None:
    """
    Export the events of RUN, as they are stored, with their private parts.

    An event of a type that this version does not know is exported like any other. As tlog-tiles
    the whole log is written to a new directory, and nothing private is in it.
    """
    from adapters.wiring import open_ledger

    if form == "tlog-tiles":
        _export_tiles(run, output)
        return
    if (run is None) != everything:
        raise click.UsageError("give either a RUN or --all", click.get_current_context())
    with open_ledger() as ledger:
        store = ledger.journal.store
        stream = None if everything else ledger.find(run, imported=True)
        rows = _all_rows(store) if stream is None else _rows_of(store, stream)
        pieces = {"jsonl": _json_lines, "csv": _csv_lines}[form](rows)
        if output is None:
            _print(pieces)
        else:
            with _whole_file(output) as file:
                count = sum(file.write(piece) > 0 for piece in pieces) - (form == "csv")
            tell(f"{plural(count, 'event')} in {output}")


def _export_tiles(run: str | None, output: Path | None) -> None:
    from adapters.tiles_export import export_tiles
    from adapters.wiring import open_ledger

    if run is not None or output is None:
        usage = "tiles are of the whole log and need a directory: give --output, and no RUN"
        raise click.UsageError(usage, click.get_current_context())
    with open_ledger() as ledger:
        checkpoint = export_tiles(ledger.journal, output.absolute())
    tell(f"tiles of {plural(checkpoint.size, 'event')} in {output}")


def _all_rows(store: Store) -> Iterator[Row]:
    after, last = -1, store.tree_head().size - 1
    while after < last:
        page = store.page(after=after, limit=min(_PAGE, last - after))
        if not page:
            return
        yield from page
        after = page[-1].position


def _rows_of(store: Store, stream: str) -> Iterator[Row]:
    after = -1
    while page := store.stream_rows(stream, after=after, through=after + _PAGE):
        yield from page
        after = page[-1].version


def _json_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    from projections.exported import export_json

    for row in rows:
        yield export_json(row) + b"\n"


def _csv_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    from adapters.cli.harmless import harmless
    from adapters.cli.view_printing import no_formula
    from projections.exported import COLUMNS, export_cells

    text = io.StringIO(newline="")
    writer = csv.writer(text)

    def line(cells: Iterable[str]) -> bytes:
        writer.writerow([no_formula(harmless(cell)) for cell in cells])
        made = text.getvalue().encode()
        text.seek(0)
        text.truncate()
        return made

    yield line(COLUMNS)
    for row in rows:
        yield line(export_cells(row))


def _print(pieces: Iterable[bytes]) -> None:
    if is_terminal(sys.stdout):
        from adapters.cli.harmless import harmless_json

        for piece in pieces:
            text = piece.decode().rstrip("\r\n")
            tell(harmless_json(text) if text.startswith("{") else text)
        return
    # As they are stored: whoever reads them can hash them.
    sys.stdout.flush()
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Lend a file that takes its name when the block has ended well."""
    from adapters.durable import sync_directory

    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise InputInvalid(f"cannot write {path}: it is not a regular file")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
            sync_directory(path.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputInvalid(f"cannot write {path}: {error.strerror}") from error
