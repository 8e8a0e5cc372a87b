"""Writing and reading files of a run's workspace, so that it is on record.

Rule 1: a write is requested, then done, then recorded; what is denied is recorded as denied.
Rule 2: paths are relative to the workspace; `/workspace/…` is another spelling of the same.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Literal

from ledger import decide
from ledger.errors import FileRefused, GestaError
from ledger.files import FileDenial
from ledger.session import Session

_ROOT = "/workspace"


def write_file(session: Session, path: str, data: bytes) -> None:
    """Write *data* at *path* in the workspace, whole or not at all; raises `FileRefused`."""
    inside = _inside(session, "write", path)
    for pattern in session.rule_texts.protected if session.rule_texts else ():
        if _protects(pattern, inside):
            raise _deny(session, "write", path, "protected", f"paths.protected: {pattern}")
    before = session.hands.files.read(session.root, inside)
    if isinstance(before, FileDenial) and before.reason != "missing":
        raise _deny(session, "write", path, before.reason, before.message)
    digest = None if isinstance(before, FileDenial) else _digest(before)
    requested = decide.request_write(session.run, inside, len(data), digest)
    record = session.append([requested])[0]
    denied = session.hands.files.write(session.root, inside, data)
    if denied is not None:
        raise _deny(
            session, "write", path, denied.reason, denied.message, requested.file, record.id
        )
    session.record(lambda run: [decide.record_write(requested, _digest(data))], cause=record.id)


def read_file(session: Session, path: str) -> bytes:
    """Return the content of *path* in the workspace; raises `FileRefused`."""
    inside = _inside(session, "read", path)
    data = session.hands.files.read(session.root, inside)
    if isinstance(data, FileDenial):
        raise _deny(session, "read", path, data.reason, data.message)
    session.append([decide.record_read(session.run, inside, len(data), _digest(data))])
    return data


def _inside(session: Session, action: Literal["write", "read"], path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute():
        try:
            pure = pure.relative_to(_ROOT)
        except ValueError:
            raise _deny(session, action, path, "outside", "it is not in the workspace") from None
    if not pure.parts or ".." in pure.parts or "\0" in path:
        raise _deny(session, action, path, "outside", "it is not a file in the workspace")
    return str(pure)


def _protects(pattern: str, path: str) -> bool:
    guarded = PurePosixPath(pattern.rstrip("/")).parts
    return PurePosixPath(path).parts[: len(guarded)] == guarded


def _deny(
    session: Session,
    action: Literal["write", "read"],
    path: str,
    reason: decide.FileReason,
    why: str,
    file: str | None = None,
    cause: str | None = None,
) -> GestaError:
    denied = decide.deny_file(session.run, action, path, reason, why, file=file)
    session.append([denied], cause=cause)
    return FileRefused(f"cannot {action} {path!r}: {why}")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
