"""Notices when a command changed what the policy protects.

A sandbox binds protected paths read-only where it can; this is for those that cannot.

Rule: what a command was given is compared with what it left, and only its own changes are its.
"""

from __future__ import annotations

from ledger import decide
from ledger.session import Session


def fingerprints(session: Session) -> dict[str, str | None]:
    """Return a digest of each protected path as it is now, `None` where there is nothing."""
    texts = session.rule_texts
    files = session.hands.files
    return {
        path: files.fingerprint(session.root, path) for path in (texts.protected if texts else ())
    }


def changed_paths(session: Session, before: dict[str, str | None]) -> tuple[str, ...]:
    """Return the protected paths that are not as they were *before*."""
    if not before:
        return ()
    after = fingerprints(session)
    return tuple(path for path in before if before[path] != after[path])


def record_changes(
    session: Session, command: str, before: dict[str, str | None], cause: str
) -> None:
    """Record which protected paths *command* has changed, if any."""
    changed = changed_paths(session, before)
    if changed:
        session.record(lambda run: [decide.record_protected_change(command, changed)], cause=cause)
