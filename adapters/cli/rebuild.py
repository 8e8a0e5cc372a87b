"""`gesta rebuild`: the views from the events, anew; or only a comparison with them.

Rule: readers have the old views until the new ones are whole; interrupted, the next rebuild goes
on where this one stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from adapters.cli.bar import Bar
from adapters.cli.printing import tell, tell_json, warn
from adapters.cli.reading import stopped_words
from ledger.errors import GestaError, InputInvalid
from ledger.finding import OPENED

if TYPE_CHECKING:
    from adapters.reader import Reader
    from ledger.ledger import Ledger
    from projections.checking import Checked
    from projections.projection import Projection


@click.command("rebuild")
@click.option("--check", "only_check", is_flag=True, help="Change nothing; 1 if a view differs.")
@click.option("--json", "json", is_flag=True, help="Print a JSON array.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def rebuild_command(names: tuple[str, ...], only_check: bool, json: bool) -> int:
    """
    Fold the views NAME, by default all, anew from the events.

    The name `journals`, alone, writes each run's journal/events.jsonl anew.
    """
    from adapters.wiring import open_ledger, open_reader

    if names == ("journals",) and not only_check:
        with open_ledger() as ledger:
            return _write_journals(ledger, json=json)
    chosen = named_projections(names)
    with open_ledger() as ledger, open_reader(ledger) as reader:
        if only_check:
            return report_checks(check_views(reader, chosen), json=json)
        return rebuild_views(reader, chosen, json=json)


def _write_journals(ledger: Ledger, *, json: bool) -> int:
    from adapters.cli.times import plural
    from adapters.legacy_journal_file import write_legacy_journal

    hands, written, failed = ledger.hands, 0, 0
    streams = [record.stream for record in ledger.journal.read(topics=OPENED)]
    with Bar("writing journals") as bar:
        for number, stream in enumerate(streams, 1):
            try:
                path = write_legacy_journal(
                    ledger.journal, hands.blobs, hands.files, hands.workspaces, stream
                )
            except GestaError as error:
                failed += 1
                warn(str(error))
            else:
                written += path is not None
            bar.update(number, len(streams))
    if json:
        tell_json({"written": written, "failed": failed})
    else:
        tell(f"{plural(written, 'journal')} written")
    return int(failed > 0)


def named_projections(names: Sequence[str]) -> tuple[Projection, ...]:
    """Return the built-in projections of these names, all without one; raises `InputInvalid`."""
    from projections.built_in import BUILT_IN

    known = {projection.name: projection for projection in BUILT_IN}
    for name in names:
        if name not in known:
            raise InputInvalid(f"cannot find view {name}: there are {', '.join(known)}")
    return tuple(known[name] for name in names or known)


def rebuild_views(reader: Reader, projections: Sequence[Projection], *, json: bool) -> int:
    """Rebuild the views of *projections*, say what they amount to, and return the exit code."""
    from projections.checking import digests

    with Bar("rebuilding") as bar:
        standings = reader.engine(projections).rebuild(bar.update)
    found = digests(reader.views, projections)
    if json:
        tell_json(found)
    else:
        rows = [(one.name, str(one.rows), str(one.position), one.sha256) for one in found]
        _print(("view", ">rows", ">position", "sha256"), rows)
    stopped = [standing for standing in standings if standing.failure is not None]
    for standing in stopped:
        warn(stopped_words(standing))
    return int(bool(stopped))


def check_views(reader: Reader, projections: Sequence[Projection]) -> list[Checked]:
    """Compare the live views of *projections* with fresh ones."""
    from projections.checking import check

    with Bar("checking") as bar:
        return check(reader.journal.store, reader.views, projections, bar.update)


def report_checks(checked: Sequence[Checked], *, json: bool) -> int:
    """Say what was found, and return the exit code."""
    if json:
        tell_json(list(checked))
    else:
        rows = [
            (one.digest.name, "differs" if one.difference else "same", *_numbers(one))
            for one in checked
        ]
        _print(("view", "", ">rows", ">position", "sha256"), rows)
        for one in checked:
            if one.difference is not None:
                warn(difference_words(one))
    return int(any(one.difference is not None for one in checked))


def difference_words(checked: Checked) -> str:
    """Return the line that says where a view is not what its events say."""
    found = checked.difference
    assert found is not None
    return (
        f"view {checked.digest.name} differs first in table {found.table}: "
        f"has {_row(found.live)}, should have {_row(found.rebuilt)}; run `gesta rebuild`"
    )


def _numbers(one: Checked) -> tuple[str, str, str]:
    return str(one.digest.rows), str(one.digest.position), one.digest.sha256


def _row(cells: tuple[Any, ...] | None) -> str:
    return "no such row" if cells is None else repr(cells)


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from adapters.cli.tables import print_table

    if rows:
        print_table(columns, rows)
