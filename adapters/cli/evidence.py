"""`gesta evidence`: one file that shows a run to somebody who has nothing of ours.

Rule: what the file cannot show is said when it is written, before anybody relies on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.cli.printing import tell, warn
from adapters.cli.times import plural
from ledger.errors import BlobMissing, InputInvalid

if TYPE_CHECKING:
    from ledger.checkpoint import Checkpoint
    from ledger.evidence import Evidence
    from ledger.ledger import Ledger
    from ledger.recorded import Recorded

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("evidence")
@click.option("-o", "--output", type=_FILE, required=True, help="The file to write.")
@click.option("--blobs", is_flag=True, help="Put outputs, patches and other blobs into it.")
@click.option(
    "--known-checkpoint",
    type=_FILE,
    help="A checkpoint of this log that somebody kept: show that the log has only grown since.",
)
@click.option(
    "--trusted-root",
    type=_FILE,
    help="Write a Sigstore trusted root with the log's keys too, for others' verifiers.",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.argument("run", required=False)
def evidence_command(
    run: str | None,
    output: Path,
    blobs: bool,
    known_checkpoint: Path | None,
    trusted_root: Path | None,
    force: bool,
) -> None:
    """
    Write the evidence of RUN, by default the newest, to a file.

    It holds the run's records, what was typed and named in them, and a Sigstore bundle that
    proves them. `gesta_verify.py` checks it with nothing of ours installed.
    """
    from adapters.ed25519_signer import check_ed25519
    from adapters.whole_file import write_whole
    from adapters.wiring import open_ledger
    from ledger.evidence import collect_evidence, format_evidence, log_keys
    from ledger.sigstore import format_trusted_root

    with open_ledger() as ledger:
        stream = ledger.find(run)
        state = ledger.journal.load(stream)
        name = f"{state.task}/{state.run}"
        known = None if known_checkpoint is None else _read_checkpoint(known_checkpoint)
        evidence = collect_evidence(ledger.journal, stream, check_ed25519, name=name, known=known)
        records = ledger.journal.history(stream)[: len(evidence.records)]
        chosen = list(_blobs(ledger, records)) if blobs else []
        write_whole(output, format_evidence(evidence, chosen), over=force)
        if trusted_root is not None:
            root = format_trusted_root(log_keys(ledger.journal))
            write_whole(trusted_root, [root], over=force)
    entry = evidence.bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    tell(
        f"{output}: {plural(len(records), 'record')} of run {name}, under the signed head of "
        f"{entry['treeSize']} events"
    )
    for line in _cautions(evidence, records, [digest for digest, read in chosen if read is None]):
        warn(line)


def _read_checkpoint(path: Path) -> Checkpoint:
    from ledger.checkpoint import read_checkpoint

    try:
        return read_checkpoint(path.read_bytes())
    except OSError as error:
        raise InputInvalid(f"cannot read checkpoint {path}: {error.strerror}") from error


def _blobs(
    ledger: Ledger, records: Iterable[Recorded]
) -> Iterator[tuple[str, Callable[[], Iterable[bytes]] | None]]:
    from functools import partial

    from ledger.evidence import blob_names

    store = ledger.hands.blobs
    for digest in blob_names(records):
        try:
            # Read to its end once: a damaged blob must not be found in the middle of the file.
            for _ in store.chunks(digest):
                pass
        except BlobMissing:
            yield digest, None
        else:
            yield digest, partial(store.chunks, digest)


def _cautions(
    evidence: Evidence, records: Iterable[Recorded], missing_blobs: list[str]
) -> Iterator[str]:
    from adapters.cli.show import REACHABLE
    from ledger.events import CommandRequested

    kept = list(records)
    if any(
        isinstance(one.event, CommandRequested) and one.event.had.record == "reachable"
        for one in kept
    ):
        yield REACHABLE
    if missing := sum(one.private == "missing" for one in kept):
        yield f"{plural(missing, 'private part')} of its records: gone, and not in the file"
    if missing_blobs:
        yield f"{plural(len(missing_blobs), 'blob')} of the run: gone or damaged, not in the file"
    if evidence.later:
        yield f"{plural(evidence.later, 'record')} came after the run's seal, not in the file"
