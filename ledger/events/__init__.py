"""Everything that can be on record, one frozen past-tense class each; the catalogue of DESIGN.

Rule 1: names are fixed; fields grow by a new version of the event (see `ledger.upcast`).
"""

from ledger.events.closing import (
    ArtifactStored,
    ArtifactText,
    CleanedUp,
    CleanupFailed,
    CleanupText,
    PatchCaptured,
    PatchText,
    ReasonText,
    Resource,
    RunAbandoned,
    RunCompleted,
    RunOutcome,
    RunSealed,
    SignedStatement,
)
from ledger.events.commands import (
    CommandCancelled,
    CommandDenied,
    CommandDeniedText,
    CommandEnding,
    CommandExecuted,
    CommandLost,
    CommandNotStarted,
    CommandOutcomeFound,
    CommandRequested,
    CommandText,
    CommandTimedOut,
    Form,
    MessageText,
    ResultName,
    StdinKind,
    StreamFacts,
    StreamsText,
)
from ledger.events.event import UNSET, BlobName, Event, OsText, Private, Text, UnsetType
from ledger.events.files import (
    FileDenied,
    FileDeniedText,
    FileRead,
    FileText,
    FileWriteRequested,
    FileWritten,
    ProtectedPathChanged,
    ProtectedText,
)
from ledger.events.importing import LegacyEventImported, LegacyText
from ledger.events.ledger_stream import (
    KeyChanged,
    LedgerCreated,
    LedgerRestored,
    OrphanFound,
    OrphanKind,
    OrphanRemoved,
    OrphanText,
)
from ledger.events.opening import (
    Attempt,
    Cause,
    Component,
    FallbackRefused,
    FallbackTaken,
    FallbackText,
    Mode,
    RepositoryText,
    RunOpened,
    RunOpenedText,
    SandboxCreated,
    SandboxCreatedText,
    SandboxLost,
    WorktreeCreated,
    WorktreeCreatedText,
)

__all__ = [
    "UNSET",
    "ArtifactStored",
    "ArtifactText",
    "Attempt",
    "BlobName",
    "Cause",
    "CleanedUp",
    "CleanupFailed",
    "CleanupText",
    "CommandCancelled",
    "CommandDenied",
    "CommandDeniedText",
    "CommandEnding",
    "CommandExecuted",
    "CommandLost",
    "CommandNotStarted",
    "CommandOutcomeFound",
    "CommandRequested",
    "CommandText",
    "CommandTimedOut",
    "Component",
    "Event",
    "FallbackRefused",
    "FallbackTaken",
    "FallbackText",
    "FileDenied",
    "FileDeniedText",
    "FileRead",
    "FileText",
    "FileWriteRequested",
    "FileWritten",
    "Form",
    "KeyChanged",
    "LedgerCreated",
    "LedgerEvent",
    "LedgerRestored",
    "LegacyEventImported",
    "LegacyText",
    "MessageText",
    "Mode",
    "OrphanFound",
    "OrphanKind",
    "OrphanRemoved",
    "OrphanText",
    "OsText",
    "PatchCaptured",
    "PatchText",
    "Private",
    "ProtectedPathChanged",
    "ProtectedText",
    "ReasonText",
    "RepositoryText",
    "Resource",
    "ResultName",
    "RunAbandoned",
    "RunCompleted",
    "RunEvent",
    "RunOpened",
    "RunOpenedText",
    "RunOutcome",
    "RunSealed",
    "SandboxCreated",
    "SandboxCreatedText",
    "SandboxLost",
    "SignedStatement",
    "StdinKind",
    "StreamFacts",
    "StreamsText",
    "Text",
    "UnsetType",
    "WorktreeCreated",
    "WorktreeCreatedText",
]

RunEvent = (
    RunOpened
    | WorktreeCreated
    | SandboxCreated
    | SandboxLost
    | FallbackTaken
    | FallbackRefused
    | CommandRequested
    | CommandExecuted
    | CommandTimedOut
    | CommandCancelled
    | CommandLost
    | CommandNotStarted
    | CommandOutcomeFound
    | CommandDenied
    | FileWriteRequested
    | FileWritten
    | FileRead
    | FileDenied
    | ProtectedPathChanged
    | PatchCaptured
    | ArtifactStored
    | CleanedUp
    | CleanupFailed
    | RunCompleted
    | RunAbandoned
    | RunSealed
    | LegacyEventImported
)

LedgerEvent = LedgerCreated | LedgerRestored | KeyChanged | OrphanFound | OrphanRemoved
