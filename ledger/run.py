"""The life of a run: which event may follow which, and the state that the events amount to.

Rule 1: the law is the table `LEGAL`; nothing else says what may happen when.
Rule 2: `evolve` is the only way to a state, never refuses what is on record, and never looks at a
private part: a run whose private parts are all erased has the same state.
Rule 3: an event marked *ending* begins the end of an open run; from then on only the rest of the
ending follows. After the end: cleaning up, sealing, late outcomes, and what recovery finds.
Rule 4: what is imported of another system's journal is a stream of its own, of nothing but
`LegacyEventImported`: it never becomes a run, and no run gets one.

            RunOpened         CommandRequested
    NEW ───────────────► OPEN ───────────────► RUNNING
     │                    │  ◄───────────────
     ▼                    │      its ending
  IMPORTED                │
        first *ending*    ▼
                        ENDING ──RunCompleted, RunAbandoned──► ENDED
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, assert_never

import msgspec

from ledger import events as e
from ledger.errors import MoveIllegal
from ledger.events import Event, RunEvent
from ledger.isolation import Isolation
from ledger.rules import RuleFacts

Status = Literal[
    "new", "open", "running", "succeeded", "failed", "cancelled", "abandoned", "imported"
]
Cleanliness = Literal["clean", "leaked", "kept"]


class Phase(Enum):
    """Where a run is in its life."""

    NEW = "new"
    OPEN = "open"
    RUNNING = "running"
    ENDING = "ending"
    ENDED = "ended"
    IMPORTED = "imported"


_ENDINGS = (
    e.CommandExecuted,
    e.CommandNotStarted,
    e.CommandTimedOut,
    e.CommandCancelled,
    e.CommandLost,
)
_TRACES = (e.PatchCaptured, e.ArtifactStored, e.CleanedUp, e.CleanupFailed)
_FINDINGS = (e.SandboxLost, e.CommandOutcomeFound)
_BETWEEN = (
    e.WorktreeCreated,
    e.SandboxCreated,
    e.FallbackTaken,
    e.FallbackRefused,
    e.CommandDenied,
    e.FileWriteRequested,
    e.FileWritten,
    e.FileRead,
    e.FileDenied,
    e.ProtectedPathChanged,
)
_CLOSINGS = (e.RunCompleted, e.RunAbandoned)

LEGAL: dict[Phase, dict[type[Event], Phase]] = {
    Phase.NEW: {e.RunOpened: Phase.OPEN, e.LegacyEventImported: Phase.IMPORTED},
    Phase.OPEN: {
        e.CommandRequested: Phase.RUNNING,
        **dict.fromkeys(_BETWEEN + _TRACES + _FINDINGS, Phase.OPEN),
        **dict.fromkeys(_CLOSINGS, Phase.ENDED),
    },
    Phase.RUNNING: {
        **dict.fromkeys(_ENDINGS, Phase.OPEN),
        **dict.fromkeys(_FINDINGS, Phase.RUNNING),
    },
    Phase.ENDING: {
        **dict.fromkeys(_TRACES + _FINDINGS, Phase.ENDING),
        **dict.fromkeys(_CLOSINGS, Phase.ENDED),
    },
    Phase.ENDED: dict.fromkeys((*_TRACES, *_FINDINGS, e.RunSealed), Phase.ENDED),
    Phase.IMPORTED: {e.LegacyEventImported: Phase.IMPORTED},
}


_CommandEvent = (
    e.CommandRequested
    | e.CommandDenied
    | e.CommandExecuted
    | e.CommandNotStarted
    | e.CommandTimedOut
    | e.CommandCancelled
    | e.CommandLost
    | e.CommandOutcomeFound
)


class Holding(msgspec.Struct, frozen=True):
    """A worktree or sandbox that the run made, and what has become of it."""

    resource: e.Resource
    ordinal: int
    kind: str
    id: str
    state: Literal["live", "lost", "cleaned", "leaked"]


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run as its events have it; `Run()` is one of which nothing is on record."""

    version: int = -1
    phase: Phase = Phase.NEW
    task: str = ""
    run: str = ""
    mode: e.Mode = "held"
    home: str = ""
    rules: RuleFacts | None = None
    asked: Isolation | None = None
    had: Isolation | None = None
    holdings: tuple[Holding, ...] = ()
    fallbacks: int = 0
    requests: int = 0
    commands: int = 0
    failures: int = 0
    files: int = 0
    open_command: str | None = None
    open_may_fail: bool = False
    lost_commands: frozenset[str] = frozenset()
    outcome: e.RunOutcome | Literal["abandoned"] | None = None
    patches: int = 0
    sealed: int = 0

    @property
    def status(self) -> Status:
        """One word for where the run is."""
        if self.outcome is not None:
            return self.outcome
        if self.phase is Phase.IMPORTED:
            return "imported"
        if self.phase is Phase.RUNNING:
            return "running"
        return "new" if self.phase is Phase.NEW else "open"

    def keeps_worktree(self, outcome: str | None) -> bool:
        """Say whether the policy wants the worktree of a run with this *outcome* to stay."""
        cleanup = self.rules.cleanup if self.rules else "always"
        return cleanup == "never" or (cleanup == "on_success" and outcome != "succeeded")

    @property
    def cleanliness(self) -> Cleanliness | None:
        """What is left of the run; `None` while it may still need what it has."""
        if self.phase is not Phase.ENDED:
            return None
        left = [h for h in self.holdings if h.state in ("live", "leaked")]
        if not left:
            return "clean"
        kept = self.keeps_worktree(self.outcome) and all(
            h.resource == "worktree" and h.state == "live" for h in left
        )
        return "kept" if kept else "leaked"

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do: it has ended, nothing leaked, the last seal covers it."""
        sealed = self.phase is Phase.ENDED and self.sealed == self.version
        return sealed and self.cleanliness != "leaked"

    def holding(self, resource: e.Resource) -> Holding | None:
        """Return the newest worktree or sandbox that is not gone."""
        held = [h for h in self.holdings if h.resource == resource and h.state != "cleaned"]
        return held[-1] if held else None

    def made(self, resource: e.Resource) -> int:
        """Return how many worktrees or sandboxes the run has made so far."""
        return sum(h.resource == resource for h in self.holdings)


def check_legal(run: Run, event: type[Event], doing: str) -> None:
    """Raise `MoveIllegal` if *event* may not follow; *doing* completes "cannot … in run X"."""
    if event in LEGAL[run.phase]:
        return
    name = f"{run.task}/{run.run}" if run.run else "a run that was never opened"
    why = {
        Phase.NEW: "it was never opened",
        Phase.OPEN: "it is open",
        Phase.RUNNING: f"command {run.open_command} has no recorded outcome yet",
        Phase.ENDING: "it is being closed",
        Phase.ENDED: f"it has ended ({run.outcome})",
        Phase.IMPORTED: "it is an imported journal",
    }[run.phase]
    raise MoveIllegal(f"cannot {doing} in run {name}: {why}")


def evolve(run: Run, event: RunEvent) -> Run:
    """Return the state after *event*; never raises for what is on record."""
    phase = LEGAL[run.phase].get(type(event), run.phase)
    if phase is Phase.OPEN and getattr(event, "ending", False):
        phase = Phase.ENDING
    changes = _changes(run, event)
    return msgspec.structs.replace(run, version=run.version + 1, phase=phase, **changes)


def _changes(run: Run, event: RunEvent) -> dict[str, object]:
    match event:
        case e.RunOpened():
            names = ("task", "run", "mode", "home", "rules", "asked")
            return {name: getattr(event, name) for name in names}
        case e.WorktreeCreated():
            return _held(run, "worktree", event.kind, "")
        case e.SandboxCreated():
            return {"had": event.had, **_held(run, "sandbox", event.kind, event.id)}
        case e.SandboxLost():
            return _became(run, "sandbox", event.ordinal, "lost")
        case e.FallbackTaken():
            return {"fallbacks": run.fallbacks + 1}
        case e.FallbackRefused():
            return {"failures": run.failures + 1}
        case e.CleanedUp():
            return _became(run, event.resource, event.ordinal, "cleaned")
        case e.CleanupFailed():
            return _became(run, event.resource, event.ordinal, "leaked")
        case e.FileWriteRequested() | e.FileRead():
            return {"files": run.files + 1}
        case e.FileDenied():
            # A denial after a request bears the request's number.
            return {"files": run.files + (event.file == f"f{run.files + 1}")}
        case e.FileWritten() | e.ArtifactStored() | e.ProtectedPathChanged():
            return {}
        case e.PatchCaptured():
            return {"patches": run.patches + 1}
        case e.RunCompleted():
            return {"outcome": event.outcome}
        case e.RunAbandoned():
            return {"outcome": "abandoned"}
        case e.RunSealed():
            return {"sealed": event.count}
        case e.LegacyEventImported():
            return {"task": event.task, "run": event.run or ""} if run.version < 0 else {}
        case _:
            return _command_changes(run, event)


def _command_changes(run: Run, event: _CommandEvent) -> dict[str, object]:
    match event:
        case e.CommandRequested():
            return {
                "requests": run.requests + 1,
                "commands": run.commands + 1,
                "open_command": event.command,
                "open_may_fail": event.may_fail,
            }
        case e.CommandDenied():
            failed = 0 if event.may_fail else 1
            return {"requests": run.requests + 1, "failures": run.failures + failed}
        case e.CommandOutcomeFound():
            return {"lost_commands": run.lost_commands - {event.command}}
        case e.CommandLost():
            lost = run.lost_commands | {event.command}
            return {"lost_commands": lost, **_ended(run, failed=True)}
        case e.CommandExecuted():
            return _ended(run, failed=event.exit_code != 0)
        case e.CommandNotStarted() | e.CommandTimedOut() | e.CommandCancelled():
            return _ended(run, failed=True)
        case _:
            assert_never(event)


def _ended(run: Run, *, failed: bool) -> dict[str, object]:
    counted = failed and not run.open_may_fail
    return {"open_command": None, "open_may_fail": False, "failures": run.failures + counted}


def _held(run: Run, resource: e.Resource, kind: str, id: str) -> dict[str, object]:
    holding = Holding(resource, run.made(resource) + 1, kind, id, "live")
    return {"holdings": (*run.holdings, holding)}


def _became(
    run: Run, resource: e.Resource, ordinal: int, state: Literal["lost", "cleaned", "leaked"]
) -> dict[str, object]:
    def change(holding: Holding) -> Holding:
        if (holding.resource, holding.ordinal) == (resource, ordinal):
            return msgspec.structs.replace(holding, state=state)
        return holding

    return {"holdings": tuple(change(holding) for holding in run.holdings)}
