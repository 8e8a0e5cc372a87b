"""Puts a run's journal in the replaced system's form beside its workspace.

`RUN_PATH/journal/events.jsonl` is a projection: it is written whole when the run has ended, and
can be deleted and written again to the same bytes.

Rule: no symbolic link on the way below the ledger's workspaces is followed, and the file is there
whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

from ledger.errors import BlobMissing, WorkspaceError
from ledger.events import BlobName, RunOpened, RunOpenedText
from ledger.files import Files
from ledger.journal import Journal
from ledger.ostext import to_os
from ledger.ports import BlobStore
from ledger.replay import fold
from ledger.run import Phase
from projections.legacy_journal import fold_legacy_journal

_PLACE = "journal/events.jsonl"


def write_legacy_journal(
    journal: Journal, blobs: BlobStore, files: Files, workspaces: Path, stream: str
) -> Path | None:
    """
    Write the journal of the run that *stream* is; return where it is, or `None` if it goes on.

    Raises `WorkspaceError` if it cannot be written, `StoreError` if the events cannot be read.
    """
    history = journal.history(stream)
    run = fold(record.event for record in history)
    if run.phase is not Phase.ENDED:
        return None
    data = b"".join(fold_legacy_journal(history, lambda blob, count: _head(blobs, blob, count)))
    opened = history[0].event
    assert isinstance(opened, RunOpened)
    text = opened.private if isinstance(opened.private, RunOpenedText) else None
    usual = workspaces / run.task / "runs" / run.run
    run_path = Path(to_os(text.run_path)) if text else usual
    # Where the caller named the run's directory, the way to it is the caller's own.
    root = workspaces if run_path == usual else run_path
    path = run_path / _PLACE
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}") from error
    denial = files.write(root, str(path.relative_to(root)), data)
    if denial is not None:
        raise WorkspaceError(f"cannot write {path}: {denial.message}")
    return path


def _head(blobs: BlobStore, blob: BlobName, count: int) -> bytes:
    head = b""
    try:
        for piece in blobs.chunks(blob.sha256):
            head += piece
            if len(head) >= count:
                break
    except BlobMissing:
        return b""
    return head[:count]
