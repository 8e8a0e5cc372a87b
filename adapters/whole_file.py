"""A file that is there whole, or not at all, whatever happens while it is written."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

from adapters.durable import sync_directory
from ledger.errors import InputInvalid, WorkspaceError


def write_whole(path: Path, chunks: Iterable[bytes], *, over: bool) -> None:
    """
    Write *chunks* to *path*, which only its owner may read; it is durable when this returns.

    Raises `InputInvalid` if something is there already and *over* is not set, `WorkspaceError` if
    it cannot be written.
    """
    draft = path.with_name(f".{path.name[:64]}.{uuid.uuid4().hex}")
    taken = InputInvalid(f"cannot write {path}: it is there already; --force replaces it")
    if not over and os.path.lexists(path):
        raise taken
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            # Up to here a crash leaves the draft, and nothing under the file's own name.
            if over:
                os.rename(draft, path)
            else:
                os.link(draft, path)
            sync_directory(path.parent)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
    except FileExistsError:
        raise taken from None
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}") from error
