"""Where events are born: from a run's state and what is wanted or was seen, those that follow.

Rule 1: pure; a decision may refuse an intent (`MoveIllegal`) and never refuses an outcome.
Rule 2: intents name what will happen before it does; outcomes are what an adapter reported.
"""

from ledger.decide.blobs import blob_name
from ledger.decide.closing import (
    abandon_run,
    begin_ending,
    complete_run,
    lost_commands,
    record_artifact,
    record_cleanup,
    record_patch,
    seal_run,
)
from ledger.decide.commands import (
    CommandWanted,
    begin_command,
    lose_command,
    lose_sandbox,
    record_outcome,
    request_command,
)
from ledger.decide.files import (
    FileReason,
    deny_file,
    record_protected_change,
    record_read,
    record_write,
    request_write,
)
from ledger.decide.importing import import_line
from ledger.decide.opening import (
    Attempted,
    create_sandbox,
    create_worktree,
    fall_back,
    open_run,
)

__all__ = [
    "Attempted",
    "CommandWanted",
    "FileReason",
    "abandon_run",
    "begin_command",
    "begin_ending",
    "blob_name",
    "complete_run",
    "create_sandbox",
    "create_worktree",
    "deny_file",
    "fall_back",
    "import_line",
    "lose_command",
    "lose_sandbox",
    "lost_commands",
    "open_run",
    "record_artifact",
    "record_cleanup",
    "record_outcome",
    "record_patch",
    "record_protected_change",
    "record_read",
    "record_write",
    "request_command",
    "request_write",
    "seal_run",
]
