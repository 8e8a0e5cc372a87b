"""What holds of every run, at every step: the invariants of the state machine over a run.

The machine keeps a plain account of the run beside the state, and the two are compared.
"""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from ledger import events as e
from ledger.codec import decode, encode
from ledger.events import Event
from ledger.recorded import Said
from ledger.replay import fold
from ledger.run import LEGAL, Phase, Run, evolve
from ledger.store import Row
from tests.ledger.vectors import load_vectors
from tests.strategies import erased

WHO = load_vectors()[0].who()
ENDINGS = (
    e.CommandExecuted,
    e.CommandNotStarted,
    e.CommandTimedOut,
    e.CommandCancelled,
    e.CommandLost,
)
AFTER_THE_END = (
    e.PatchCaptured,
    e.ArtifactStored,
    e.CleanedUp,
    e.CleanupFailed,
    e.SandboxLost,
    e.CommandOutcomeFound,
    e.RunSealed,
)


def stored(event: Event, version: int) -> Row:
    """Return *event* as a row of a store."""
    said = Said(event=event, occurred=version)
    topic, facts, part = encode(said, WHO, id="1d" * 16, recorded=version, salt=b"s" * 16)
    return Row(
        position=version,
        stream="s",
        version=version,
        topic=topic,
        facts=facts,
        leaf=b"",
        private=part,
    )


class RecordedRun(RuleBasedStateMachine):
    """One run, its history as said and as stored, and a plain account of what it has made."""

    def __init__(self) -> None:
        super().__init__()
        self.run = Run()
        self.history: list[Event] = []
        self.rows: list[Row] = []
        self.end: int | None = None
        # resource, ordinal: whether it is there.
        self.things: dict[tuple[str, int], str] = {}

    def record(self, *events: Any) -> None:
        """Put what was decided on record: all of it is legal, one after the other."""
        for event in events:
            assert type(event) in LEGAL[self.run.phase]
            self.rows.append(stored(event, len(self.history)))
            self.history.append(event)
            self.run = evolve(self.run, event)
            if isinstance(event, e.RunCompleted | e.RunAbandoned):
                self.end = len(self.history)

    @invariant()
    def versions_have_no_gaps(self) -> None:
        assert len(self.history) - 1 == self.run.version

    @invariant()
    def the_state_is_the_fold(self) -> None:
        assert self.run == fold(self.history)

    @invariant()
    def erasing_changes_nothing(self) -> None:
        assert self.run == fold(map(erased, self.history))

    @invariant()
    def after_the_end_only_what_may_follow(self) -> None:
        assert (self.end is not None) == (self.run.phase is Phase.ENDED)
        if self.end is not None:
            assert all(isinstance(event, AFTER_THE_END) for event in self.history[self.end :])

    @invariant()
    def every_command_has_at_most_one_ending(self) -> None:
        endings: dict[str, list[type[Event]]] = {}
        for event in self.history:
            if isinstance(event, e.CommandRequested):
                assert event.command not in endings
                endings[event.command] = []
            elif isinstance(event, (*ENDINGS, e.CommandOutcomeFound)):
                endings[event.command].append(type(event))
        for command, kinds in endings.items():
            is_open = command == self.run.open_command
            assert kinds[1:] in ([], [e.CommandOutcomeFound])
            assert is_open == (not kinds)
            if kinds:
                assert kinds[0] in ENDINGS
            if kinds[1:]:
                assert e.CommandLost is kinds[0]
            assert (kinds == [e.CommandLost]) == (command in self.run.lost_commands)

    @invariant()
    def status_says_where_the_run_is(self) -> None:
        run = self.run
        assert (run.phase is Phase.NEW) == (run.status == "new") == (not self.history)
        assert (run.phase is Phase.RUNNING) == (run.status == "running")
        assert (run.phase is Phase.RUNNING) == (run.open_command is not None)
        assert (run.phase in (Phase.OPEN, Phase.ENDING)) == (run.status == "open")
        assert (run.phase is Phase.ENDED) == (run.outcome is not None)

    @invariant()
    def cleanliness_says_what_is_left(self) -> None:
        assert self.things == {(h.resource, h.ordinal): h.state for h in self.run.holdings}
        if self.end is None:
            assert self.run.cleanliness is None
            return
        left = [
            (key[0], state) for key, state in self.things.items() if state in ("live", "leaked")
        ]
        kept = bool(left) and self.run.keeps_worktree(self.run.outcome)
        kept = kept and all(one == ("worktree", "live") for one in left)
        expected = "clean" if not left else "kept" if kept else "leaked"
        assert expected == self.run.cleanliness

    def teardown(self) -> None:
        """What was stored is what was said, event for event."""
        assert self.history == [decode(row).event for row in self.rows]
