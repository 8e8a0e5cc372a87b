"""What an imported line of the replaced system's journal becomes: never one of our own events."""

from __future__ import annotations

from ledger import events as e
from ledger.decide.blobs import blob_name
from ledger.legacy import LegacyLine
from ledger.outcomes import Blob
from ledger.run import Run, check_legal


def import_line(
    run: Run,
    line: LegacyLine,
    *,
    task: str,
    name: str | None,
    file: str,
    payload: Blob | None,
    others: Blob | None,
    redactions: dict[str, int],
    rule_set: str,
) -> e.RunEvent:
    """Return the event for *line*, clean of secrets, of the journal with the digest *file*."""
    check_legal(run, e.LegacyEventImported, "import an event")
    return e.LegacyEventImported(
        task=task,
        run=name,
        line=line.number,
        size=payload.size if payload else 0,
        redactions=redactions,
        private=e.LegacyText(
            file=file,
            type=line.type,
            time=line.time,
            trace=line.trace,
            payload=blob_name(payload),
            others=blob_name(others),
            rule_set=rule_set,
        ),
    )
