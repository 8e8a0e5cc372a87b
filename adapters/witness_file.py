"""The file that names the log's witnesses: a C2SP tlog-policy in the ledger's home.

Rule: it is put in place whole or not at all. It may be written by hand, and is read strictly.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from adapters.durable import sync_directory
from ledger.errors import InputInvalid, ProofInvalid
from ledger.witness_policy import Policy, format_policy, parse_policy


def read_policy(path: Path) -> Policy | None:
    """Return the policy at *path*, `None` if there is none; raises `InputInvalid`."""
    try:
        return parse_policy(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputInvalid(f"cannot read {path}: {error.strerror}") from error
    except ProofInvalid as error:
        raise InputInvalid(f"{error} ({path})") from error


def write_policy(path: Path, policy: Policy) -> None:
    """Put *policy* at *path*; raises `InputInvalid`."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(format_policy(policy))
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)
        sync_directory(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputInvalid(f"cannot write {path}: {error.strerror}") from error
