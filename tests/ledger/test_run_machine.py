"""Random commands through `decide` and `evolve`: what holds of every run, whatever is done to it.

What holds at every step is in `run_invariants`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
)

from ledger import decide
from ledger import events as e
from ledger.allowlist import Denial
from ledger.decide import Attempted, CommandWanted
from ledger.errors import MoveIllegal
from ledger.events import Event
from ledger.isolation import Axis, Isolation
from ledger.outcomes import (
    Blob,
    Cancelled,
    Captured,
    Executed,
    Lost,
    NotStarted,
    Outcome,
    Output,
    PatchMade,
    RemovalFailed,
    Removed,
    SandboxMade,
    TimedOut,
    Unavailable,
    Usage,
    WorktreeMade,
)
from ledger.run import LEGAL, Phase
from tests.ledger.run_invariants import RecordedRun
from tests.ledger.samples import SAMPLES
from tests.ledger.stories import OPENED, changed
from tests.strategies import axes, isolations, rule_facts

USAGE = Usage(duration_us=3)
RIPE = 12
WORKTREE = WorktreeMade(
    kind="linked", path="/w", git_dir=None, branch=None, base_commit=None, tree="d0", synced=0,
    skipped=0, deleted=0, patch=None, manifest=b"m",
)  # fmt: skip
STORED = Blob("aa", 2)
PATCH = PatchMade(patch=b"pp", tree="d1", files=1, insertions=1, deletions=0, untracked=0)

outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(
        Executed,
        usage=st.just(USAGE),
        exit_code=st.one_of(st.none(), st.integers(0, 3)),
        signal=st.one_of(st.none(), st.just(9)),
    ),
    st.just(NotStarted(reason="not_found", message="no")),
    st.just(TimedOut(usage=USAGE)),
    st.just(Cancelled(usage=USAGE, signal=2)),
    st.just(Lost(message="gone")),
)
outputs = st.sampled_from(
    [None, Output(stdout=Captured(3, Blob("cc", 3), False), stderr=Captured(0, None, False))]
)
removals: st.SearchStrategy[Removed | RemovalFailed] = st.sampled_from(
    [Removed(), RemovalFailed(reason="in_use", message="busy")]
)


class RunMachine(RecordedRun):
    """One run: commands are tried at random, refused or recorded."""

    def attempt(self, kind: type[Event], deciding: Any) -> Any:
        """Decide and record; refused exactly where the law does not have the event."""
        legal = kind in LEGAL[self.run.phase]
        before = self.run
        try:
            event = deciding()
        except MoveIllegal:
            assert not legal
            assert before == self.run
            return None
        assert legal
        self.record(event)
        return event

    def is_ripe(self) -> bool:
        """Say whether an ending may begin: a life that is always short shows little."""
        return self.run.phase is not Phase.OPEN or len(self.history) >= RIPE

    # ---- opening ----

    @initialize(rules=rule_facts, asked=isolations, at_once=st.integers(0, 9))
    def begin(self, rules: Any, asked: Isolation, at_once: int) -> None:
        if at_once:
            self.open(rules, asked)

    @rule(rules=rule_facts, asked=isolations)
    def open_again(self, rules: Any, asked: Isolation) -> None:
        self.open(rules, asked)

    def open(self, rules: Any, asked: Isolation) -> None:
        opened = changed(OPENED, rules=rules, asked=asked)
        self.attempt(e.RunOpened, lambda: decide.open_run(self.run, opened))

    @rule()
    def create_worktree(self) -> None:
        deciding = lambda: decide.create_worktree(  # noqa: E731
            self.run, WORKTREE, patch=None, manifest=STORED, redactions={}
        )
        if self.attempt(e.WorktreeCreated, deciding):
            self.things["worktree", self.run.made("worktree")] = "live"

    @rule(had=isolations)
    def create_sandbox(self, had: Isolation) -> None:
        made = SandboxMade(kind="local", id="x", isolation=had, lifetime="run", persists=())
        created = self.attempt(e.SandboxCreated, lambda: decide.create_sandbox(self.run, made))
        if created:
            assert ("sandbox", created.ordinal) not in self.things
            self.things["sandbox", created.ordinal] = "live"

    @precondition(lambda self: self.run.holding("sandbox") and self.run.phase is not Phase.NEW)
    @rule()
    def lose_sandbox(self) -> None:
        holding = self.run.holding("sandbox")
        assert holding is not None
        self.record(e.SandboxLost(ordinal=holding.ordinal))
        self.things["sandbox", holding.ordinal] = "lost"

    @precondition(lambda self: self.run.rules is not None)
    @rule(lost=axes, used=st.sampled_from([None, "local"]), component=st.sampled_from(
        ["sandbox", "worktree"]))  # fmt: skip
    def fall_back(self, lost: tuple[Axis, ...], used: str | None, component: e.Component) -> None:
        why = Attempted("e2b", Unavailable(reason="no_key", message="none"))
        try:
            event = decide.fall_back(
                self.run,
                component,
                wanted="e2b",
                used=used,
                cause="unavailable",
                attempts=(why,),
                lost=lost,
            )
        except MoveIllegal:
            assert self.run.phase is not Phase.OPEN
            return
        if isinstance(event, e.FallbackTaken) and component == "sandbox":
            assert self.run.rules is not None
            assert set(lost) <= set(self.run.rules.may_lose)
        if self.run.phase is Phase.OPEN:
            self.record(event)

    # ---- commands ----

    @precondition(lambda self: self.run.asked is not None)
    @rule(had=isolations, may_fail=st.booleans(), denied=st.booleans())
    def request_command(self, had: Isolation, may_fail: bool, denied: bool) -> None:
        text: Any = SAMPLES["command requested"]
        wanted = CommandWanted(
            form="argv", may_fail=may_fail, uid=0, stdin="none", time_limit=None, sandbox=1,
            had=had, text=text.private,
        )  # fmt: skip
        denial = Denial("exec.allowlist", "not_listed") if denied else None
        self.attempt(e.CommandRequested, lambda: decide.request_command(self.run, wanted, denial))

    @precondition(lambda self: self.run.open_command)
    @rule(outcome=outcomes, output=outputs)
    def end_command(self, outcome: Outcome, output: Output | None) -> None:
        command = self.run.open_command
        assert command is not None
        events = decide.record_outcome(self.run, command, outcome, output)
        assert 1 == len(events)
        self.record(*events)

    @rule()
    def lose_command(self) -> None:
        running = self.run.phase is Phase.RUNNING
        events = decide.lose_command(self.run)
        assert running == bool(events)
        self.record(*events)

    @precondition(lambda self: self.run.requests)
    @rule(data=st.data(), outcome=outcomes, output=outputs)
    def find_outcome(self, data: st.DataObject, outcome: Outcome, output: Output | None) -> None:
        numbers = range(1, self.run.requests + 1)
        command = data.draw(st.sampled_from([f"c{number}" for number in numbers]))
        if command == self.run.open_command:
            return
        was_lost = command in self.run.lost_commands
        events = decide.record_outcome(self.run, command, outcome, output)
        assert (was_lost and not isinstance(outcome, Lost)) == bool(events)
        self.record(*events)

    # ---- files ----

    @rule(denied=st.booleans())
    def write_file(self, denied: bool) -> None:
        wanted = self.attempt(
            e.FileWriteRequested, lambda: decide.request_write(self.run, "a", 1, None)
        )
        if wanted and denied:
            self.record(decide.deny_file(self.run, "write", "a", "failed", "no", file=wanted.file))
        elif wanted:
            self.record(decide.record_write(wanted, "bb"))

    @rule()
    def read_file(self) -> None:
        self.attempt(e.FileRead, lambda: decide.record_read(self.run, "a", 1, "aa"))

    @rule()
    def deny_file(self) -> None:
        self.attempt(
            e.FileDenied, lambda: decide.deny_file(self.run, "read", "a", "missing", "gone")
        )

    # ---- ending ----

    @precondition(lambda self: e.PatchCaptured in LEGAL[self.run.phase])
    @rule(ending=st.booleans())
    def capture_patch(self, ending: bool) -> None:
        self.record(decide.record_patch(PATCH, STORED, {}, ending=ending and self.is_ripe()))

    @precondition(lambda self: e.ArtifactStored in LEGAL[self.run.phase] and self.is_ripe())
    @rule()
    def store_artifact(self) -> None:
        self.record(decide.record_artifact("out.log", Blob("ab", 7), {}, ending=True))

    @precondition(lambda self: e.CleanedUp in LEGAL[self.run.phase] and self.run.holdings)
    @rule(data=st.data(), result=removals, ending=st.booleans())
    def clean_up(self, data: st.DataObject, result: Any, ending: bool) -> None:
        holding = data.draw(st.sampled_from(self.run.holdings))
        ending = ending and self.is_ripe()
        self.record(decide.record_cleanup(holding, result, name="x", ending=ending))
        gone = isinstance(result, Removed)
        self.things[holding.resource, holding.ordinal] = "cleaned" if gone else "leaked"

    @precondition(is_ripe)
    @rule(asked=st.sampled_from([None, "succeeded", "failed", "cancelled"]))
    def complete(self, asked: e.RunOutcome | None) -> None:
        failures = self.run.failures
        completed = self.attempt(e.RunCompleted, lambda: decide.complete_run(self.run, asked=asked))
        if completed:
            assert (asked or ("failed" if failures else "succeeded")) == self.run.status

    @precondition(lambda self: e.RunAbandoned in LEGAL[self.run.phase] and self.is_ripe())
    @rule()
    def abandon(self) -> None:
        self.record(e.RunAbandoned(lost=tuple(sorted(self.run.lost_commands))))
        assert "abandoned" == self.run.status

    @rule()
    def seal(self) -> None:
        seal = decide.seal_run(
            self.run, count=len(self.history), root=b"\x00", log_size=len(self.history)
        )
        if self.run.phase is not Phase.ENDED:
            assert seal is None
        elif seal is None:
            assert isinstance(self.history[-1], e.RunSealed)
        else:
            assert not isinstance(self.history[-1], e.RunSealed)
            self.record(seal)


TestRunMachine = RunMachine.TestCase
TestRunMachine.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
