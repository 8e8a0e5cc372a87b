"""Every error that we raise.

Rule 1: the text says *cannot*, the verb, the thing, its state; the remedy, where there is one,
follows after a semicolon. It names values and blames nobody.
Rule 2: the root is never raised. What a caller can do about it decides the branch.

    GestaError
    ├── InputInvalid            what was typed cannot be accepted; nothing was written
    │   ├── IdInvalid
    │   └── JobInvalid
    ├── PolicyInvalid           a profile names the file and the key
    │   └── PolicyKeysInvalid
    ├── HomeRefused             the ledger's home is not safe to use
    ├── StoreError
    │   ├── StoreUnavailable    it cannot be read or written now
    │   ├── KeyRefused          its signing key is missing, broken, or not ours alone
    │   ├── StoreUnknown        it was written by a newer version, or not by us
    │   ├── StoreOutdated       it is of an older version, and was not migrated yet
    │   ├── VersionConflict     another writer was first
    │   └── EventUnknown        an event type that this version does not know
    ├── RunError
    │   ├── RunNotFound
    │   ├── RunAmbiguous
    │   ├── RunExists
    │   ├── ImportExists        this very journal was imported before
    │   ├── RunBusy             another process holds its lock
    │   ├── MoveIllegal         the run's state does not allow it
    │   └── ReplayRefused       what was recorded cannot be executed again
    ├── BackupError
    │   ├── BackupFailed        it cannot be written or read now
    │   └── BackupRefused       it is not whole, not ours, or of a newer version
    ├── CommandRefused          no process was started
    │   ├── CommandNotAllowed   by a rule of the policy; a CommandDenied is on record
    │   └── IsolationRefused    no permitted sandbox could be had; a FallbackRefused is on record
    ├── FileRefused             outside the workspace, or protected; a FileDenied is on record
    ├── WorkspaceError          git or the file system could not do it
    ├── BlobMissing
    │   └── BlobDamaged         it is there, and its bytes are not those of its name
    └── ProofInvalid            a note, key or proof is not of its form, or does not prove it
"""

from __future__ import annotations

__all__ = [
    "BackupError",
    "BackupFailed",
    "BackupRefused",
    "BlobDamaged",
    "BlobMissing",
    "CommandNotAllowed",
    "CommandRefused",
    "EventUnknown",
    "FileRefused",
    "GestaError",
    "HomeRefused",
    "IdInvalid",
    "ImportExists",
    "InputInvalid",
    "IsolationRefused",
    "JobInvalid",
    "KeyRefused",
    "MoveIllegal",
    "PolicyInvalid",
    "PolicyKeysInvalid",
    "ProofInvalid",
    "ReplayRefused",
    "RunAmbiguous",
    "RunBusy",
    "RunError",
    "RunExists",
    "RunNotFound",
    "StoreError",
    "StoreOutdated",
    "StoreUnavailable",
    "StoreUnknown",
    "VersionConflict",
    "WorkspaceError",
]


class GestaError(Exception):
    """The root of our errors; never raised itself."""


class InputInvalid(GestaError):
    """Something typed cannot be accepted."""


class IdInvalid(InputInvalid):
    """A task or run id is not of the permitted form."""


class JobInvalid(InputInvalid):
    """A job file is not of the documented form."""


class PolicyInvalid(GestaError):
    """A policy profile is missing, unreadable or not of the documented form."""


class PolicyKeysInvalid(PolicyInvalid):
    """Keys of a profile are wrong; *problems* names every one of them, the first in the text."""

    def __init__(self, message: str, problems: tuple[str, ...]) -> None:
        super().__init__(message)
        self.problems = problems


class HomeRefused(GestaError):
    """The ledger's home is not ours alone, or lies inside a checkout."""


class StoreError(GestaError):
    """Superclass of what the event store says; never raised itself."""


class StoreUnavailable(StoreError):
    """The event store cannot be read or written now."""


class KeyRefused(StoreError):
    """The key that signs the log is missing or broken, or others may read it."""


class StoreUnknown(StoreError):
    """The event store is newer than we are, or holds objects that we did not make."""


class StoreOutdated(StoreError):
    """The event store is of an older version and has to be migrated first."""


class VersionConflict(StoreError):
    """Another writer appended to the stream first."""


class EventUnknown(StoreError):
    """A stored event is of a type that this version does not know."""


class RunError(GestaError):
    """Superclass of what stands against a run; never raised itself."""


class RunNotFound(RunError):
    """No run has this id."""


class RunAmbiguous(RunError):
    """Several tasks have a run of this id."""


class RunExists(RunError):
    """A run of this task and id was opened before."""


class ImportExists(RunError):
    """A journal was imported before, for the same task and whole."""


class RunBusy(RunError):
    """Another process is at work in the run."""


class MoveIllegal(RunError):
    """The run's state does not allow what was asked."""


class ReplayRefused(RunError):
    """What is on record of the run cannot be executed again."""


class BackupError(GestaError):
    """Superclass of what stands against a backup; never raised itself."""


class BackupFailed(BackupError):
    """The backup cannot be written, read or put in its place now."""


class BackupRefused(BackupError):
    """The archive is not a whole backup of a ledger; nothing of it was put anywhere."""


class CommandRefused(GestaError):
    """Superclass of refusals to start a command; never raised itself."""


class CommandNotAllowed(CommandRefused, PermissionError):
    """The policy's allowlist does not let this command run."""


class IsolationRefused(CommandRefused):
    """No sandbox that the policy permits could be had."""


class FileRefused(GestaError, PermissionError):
    """The path is outside the workspace, or the policy protects it."""


class WorkspaceError(GestaError):
    """The workspace could not be made, read or removed."""


class BlobMissing(GestaError):
    """A blob that an event names is not in the blob store."""


class BlobDamaged(BlobMissing):
    """A blob is in the blob store, and its bytes are not those that its name stands for."""


class ProofInvalid(GestaError):
    """A note, a key or a proof is not of its form, or does not prove what it should."""
