"""`gesta verify`: whether the log agrees with itself and what you kept, and who vouches for it.

Rule 1: integrity and assurance stand on lines of their own; what cannot be told is always said.
Rule 2: the exit code is 0 only where nothing is wrong; 3 says that there are two histories.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.cli.printing import is_terminal, tell, tell_json, warn

if TYPE_CHECKING:
    from adapters.verify_state import Remembered
    from ledger.checkpoint import Checkpoint
    from ledger.ledger import Ledger
    from ledger.signing import VerifierKey
    from ledger.verdict import Report
    from ledger.verify import Progress, Verified, Wanted
    from ledger.witness_policy import Policy

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("verify")
@click.option(
    "--key", "keys", multiple=True, metavar="VKEY", help="A key of the log that you kept."
)
@click.option("--policy", type=_FILE, help="Your policy file: logs, witnesses and a quorum.")
@click.option(
    "--known-checkpoint", "known", type=_FILE, multiple=True, help="A head that you kept."
)
@click.option("--since", type=_FILE, help="Go on from what --save wrote.")
@click.option("--save", type=_FILE, help="Write what a later --since goes on from.")
@click.option("--blobs", is_flag=True, help="Read outputs, patches and files too.")
@click.option("--views", is_flag=True, help="Compare the views with what the events say.")
@click.option("--signatures", is_flag=True, help="Check those of every kept head.")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
@click.argument("run", required=False)
def verify_command(
    run: str | None,
    keys: tuple[str, ...],
    policy: Path | None,
    known: tuple[Path, ...],
    since: Path | None,
    save: Path | None,
    blobs: bool,
    views: bool,
    signatures: bool,
    json: bool,
) -> int:
    """
    Verify the whole log, or RUN alone.

    Exit code 0: nothing is wrong. 1: something is. 3: it contradicts a head that you kept.
    """
    from adapters.verify_state import read_state, save_state
    from adapters.wiring import open_ledger
    from ledger.errors import InputInvalid

    if run is not None and (since or save):
        raise InputInvalid("cannot verify a run from a saved state: that is of the whole log")
    before = read_state(since) if since else None
    with open_ledger() as ledger:
        wanted = _wanted(ledger, run, keys, policy, known, before, signatures=signatures)
        verified = _verify(ledger, wanted, blobs=blobs, views=views)
    report = verified.report
    if save and report.exit_code == 0:
        save_state(save, verified)
    if json:
        _tell_json(report)
    else:
        _tell(report)
    return report.exit_code


def _wanted(
    ledger: Ledger,
    run: str | None,
    keys: tuple[str, ...],
    policy: Path | None,
    known: tuple[Path, ...],
    before: Remembered | None,
    *,
    signatures: bool,
) -> Wanted:
    from adapters.wiring.verification import read_witnesses
    from ledger import merkle
    from ledger.verify import Wanted

    brought = _policy(policy) if policy else None
    heads = [_known(path) for path in known] + ([before.known] if before else [])
    for head in heads:
        _check_origin(ledger, head)
    return Wanted(
        since=before.head if before else merkle.EMPTY,
        epochs=before.epochs if before else (),
        stream=ledger.find(run) if run is not None else None,
        known=tuple(heads),
        keys=(*map(_key, keys), *(brought.logs if brought else ())),
        policy=brought or read_witnesses(ledger),
        policy_brought=brought is not None,
        all_signatures=signatures,
    )


def _verify(ledger: Ledger, wanted: Wanted, *, blobs: bool, views: bool) -> Verified:
    from adapters.wiring.verification import make_verifier

    look = partial(_differing_views, ledger, wanted.stream) if views else None
    with ledger.journal.store.snapshot() as snapshot, _progress(wanted) as progress:
        verifier = make_verifier(ledger, snapshot, wanted, blobs=blobs, views=look)
        return verifier.verify(progress)


def _differing_views(ledger: Ledger, stream: str | None) -> Iterator[str]:
    """Yield what is wrong with the views: with all of them, or with what they have of one run."""
    from adapters.cli.reading import reading
    from adapters.cli.rebuild import check_views, difference_words
    from projections.agreement import agreements
    from projections.built_in import BUILT_IN

    with reading(ledger) as reader:
        if stream is None:
            checked = check_views(reader, BUILT_IN)
            yield from (difference_words(one) for one in checked if one.difference)
            return
        for one in agreements(reader.views, BUILT_IN, ledger.journal.history(stream)):
            if not one.agrees:
                yield (
                    f"view {one.view} differs in table {one.table}: has {one.live!r}, the events "
                    f"say {one.folded!r}; run `gesta rebuild`"
                )


def _key(text: str) -> VerifierKey:
    from ledger.errors import InputInvalid, ProofInvalid
    from ledger.note import parse_vkey

    try:
        return parse_vkey(text)
    except ProofInvalid as error:
        raise InputInvalid(str(error)) from error


def _policy(path: Path) -> Policy:
    from ledger.errors import InputInvalid, ProofInvalid
    from ledger.witness_policy import parse_policy

    try:
        return parse_policy(path.read_bytes())
    except OSError as error:
        raise InputInvalid(f"cannot read policy {path}: {error.strerror}") from error
    except ProofInvalid as error:
        raise InputInvalid(f"{error} ({path})") from error


def _known(path: Path) -> Checkpoint:
    from ledger.checkpoint import read_checkpoint
    from ledger.errors import InputInvalid, ProofInvalid

    try:
        return read_checkpoint(path.read_bytes())
    except OSError as error:
        raise InputInvalid(f"cannot read checkpoint {path}: {error.strerror}") from error
    except ProofInvalid as error:
        raise InputInvalid(f"{error} ({path})") from error


def _check_origin(ledger: Ledger, head: Checkpoint) -> None:
    from ledger.errors import InputInvalid

    if head.origin != ledger.journal.store.origin:
        raise InputInvalid(
            f"cannot compare a head of {head.origin}: this log is {ledger.journal.store.origin}"
        )


@contextlib.contextmanager
def _progress(wanted: Wanted) -> Iterator[Progress]:
    if wanted.stream is not None or not is_terminal(sys.stderr):
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Display(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("events")
        yield lambda done, total: display.update(task, completed=done, total=total)


def _tell_json(report: Report) -> None:
    import msgspec

    from projections.verification import cannot_tell

    tell_json(
        {
            "integrity": report.integrity,
            **msgspec.structs.asdict(report),
            "cannot_tell": cannot_tell(report),
            "exit_code": report.exit_code,
        }
    )


def _tell(report: Report) -> None:
    from adapters.cli.tables import print_facts
    from projections.verification import (
        assurance_line,
        cannot_tell,
        finding_line,
        integrity_line,
        reach_line,
    )

    for finding in report.findings:
        warn(finding_line(finding))
    more = sum(report.counted.values()) - len(report.findings)
    if more:
        warn(f"and {more:,} more")
    print_facts(
        [
            ("integrity", integrity_line(report)),
            ("assurance", assurance_line(report)),
            ("head", f"{report.origin}, {report.size:,} events, root {report.root}"),
            ("key", report.key or "none is on record"),
            ("record", reach_line(report)),
        ]
    )
    tell("cannot tell:")
    for line in cannot_tell(report):
        tell(f"  {line}")
