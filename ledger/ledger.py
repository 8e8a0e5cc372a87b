"""The ledger as a program uses it: open runs, find them again, ask what is on record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from msgspec.structs import replace

from ledger.active_run import ActiveRun, ending_for
from ledger.closing import settle
from ledger.errors import MoveIllegal, RunBusy, StoreError
from ledger.finding import Named, find_newest, find_run, read_named
from ledger.liveness import holding
from ledger.opening import OpenRun, name_run, open_run
from ledger.overrides import NOTHING, Overrides
from ledger.recovery import Recovery, recover
from ledger.run import Phase
from ledger.session import Listener, Session

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ledger.events import Mode
    from ledger.hands import Hands
    from ledger.journal import Journal
    from ledger.liveness import Hold
    from ledger.recorded import Provenance, Recorded
    from ledger.rules import Rules
    from ledger.run import Run, Status


class Opening(TypedDict, total=False):
    """
    What can be said of a run that is to be opened; all of it may be left out.

    Without *run* a new id is made. *directory* is where the work is branched off, by default
    where the process stands, and *base* the commit, by default the checked-out one. *overrides*
    change rules of the *profile*. *run_path* takes the place of the ledger's own directory for
    the run. *caller_trace* is kept beside the run's own trace. *listener* is told what is
    recorded.
    """

    task: str | None
    run: str | None
    profile: str | None
    overrides: Overrides
    base: str | None
    labels: Mapping[str, str]
    directory: Path | None
    run_path: Path | None
    actor: str | None
    caller_trace: str | None
    listener: Listener | None


class Ledger:
    """
    One ledger, with everything that its runs are done with.

    *rules* loads the rules of a profile by name, the default one for `None`; *provenance* says
    who acts, by name or as found. *named* finds stream and task of the runs of an id, in one task
    or in any; without it the whole log is read for them.
    """

    def __init__(
        self,
        hands: Hands,
        *,
        rules: Callable[[str | None], Rules],
        provenance: Callable[[str | None], Provenance],
        directory: Path,
        named: Named | None = None,
    ) -> None:
        self.hands = hands
        self._named = named or partial(read_named, self.journal)
        self._rules = rules
        self.provenance = provenance
        self._directory = directory

    @property
    def journal(self) -> Journal:
        """The event store."""
        return self.hands.journal

    @contextlib.contextmanager
    def run(self, **said: Unpack[Opening]) -> Iterator[ActiveRun]:
        """
        Open a run, held by this process, that is closed and cleaned up at the end of the block.

        Raises `IdInvalid`, `InputInvalid`, `PolicyInvalid`, `RunExists`, `IsolationRefused`,
        `StoreUnavailable`.
        """
        with self._holding(self._wanted("held", said), said) as active:
            yield active

    @contextlib.contextmanager
    def replay(self, wanted: OpenRun, **said: Unpack[Opening]) -> Iterator[ActiveRun]:
        """Hold a run that is opened as *wanted* says in full: see `ledger.reexecution`."""
        with self._holding(wanted, said) as active:
            yield active

    @contextlib.contextmanager
    def _holding(self, wanted: OpenRun, said: Opening) -> Iterator[ActiveRun]:
        names = name_run(self.hands, wanted)
        with holding(self.hands, names[2]) as hold:
            active = self._open(wanted, names, said, hold)
            error: BaseException | None = None
            try:
                yield active
            except BaseException as raised:
                error = raised
                raise
            finally:
                _end(active, error)

    def open(self, **said: Unpack[Opening]) -> ActiveRun:
        """Open a run that outlives this process; `resume` it to work in it, and to close it."""
        wanted = self._wanted("detached", said)
        names = name_run(self.hands, wanted)
        with holding(self.hands, names[2]) as hold:
            return self._open(wanted, names, said, hold)

    @contextlib.contextmanager
    def resume(
        self,
        words: str | None = None,
        *,
        actor: str | None = None,
        caller_trace: str | None = None,
        listener: Listener | None = None,
    ) -> Iterator[ActiveRun]:
        """
        Work in a detached run; its lock is held within the block, and the run stays open after.

        What an earlier process left unfinished is settled first. Raises `RunNotFound`,
        `RunAmbiguous`, `RunBusy`, `MoveIllegal`.
        """
        stream = self.find(words)
        with self._held(stream) as hold:
            who, history = self._who(actor, caller_trace), self.journal.history(stream)
            session = Session(self.hands, stream, history, who, listener, hold)
            if session.run.home != self.hands.home_id:
                # Where this ledger was restored, the original may be at work in it.
                raise MoveIllegal(
                    f"cannot work in run {session.run.run}: it belongs to home {session.run.home}"
                )
            if session.run.mode != "detached":
                raise MoveIllegal(
                    f"cannot work in run {session.run.run}: it is held by the process that opened "
                    "it; open one with `gesta open`"
                )
            settle(session)
            try:
                yield ActiveRun(session)
            finally:
                # One that lasts is left for the process that resumes the run next.
                if session.sandbox is not None and not session.sandbox_lasts:
                    session.sandbox.close()

    def find(self, words: str | None = None, *, imported: bool = False) -> str:
        """
        Return the stream of the run that *words* name: `RUN`, `TASK/RUN` or a stream id.

        `None` is the newest run. With *imported*, the stream id of an imported journal will do.
        Raises `RunNotFound`, `RunAmbiguous`.
        """
        if words is None:
            return find_newest(self.journal)
        return find_run(self.journal, words, self._named, imported=imported)

    def workspace(self, words: str | None = None) -> Path:
        """Return where the worktree of a run is, or was."""
        stream = self.find(words)
        history = self.journal.history(stream)
        return Session(self.hands, stream, history, self.provenance(None)).root

    def state(self, words: str | None = None) -> Run:
        """Return the state of a run, folded from its events."""
        return self.journal.load(self.find(words))

    def status(self, words: str | None = None) -> Status:
        """Return the status of a run, folded from its events."""
        return self.state(words).status

    def events(self, words: str | None = None) -> list[Recorded]:
        """Return everything on record of a run, in order."""
        return self.journal.history(self.find(words))

    def recover(self, *, thorough: bool = True) -> Iterator[Recovery]:
        """
        Bring the runs whose process died to their end, and yield what each came to.

        Without being *thorough* only those are looked at that somebody was at work in last.
        """
        return recover(self.hands, self.provenance(None), thorough=thorough)

    def close(self) -> None:
        """Let go of the store."""
        self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _wanted(self, mode: Mode, said: Opening) -> OpenRun:
        return OpenRun(
            profile=self._rules(said.get("profile")),
            overrides=said.get("overrides", NOTHING),
            directory=said.get("directory") or self._directory,
            task=said.get("task"),
            run=said.get("run"),
            mode=mode,
            base=said.get("base"),
            labels=dict(said.get("labels") or {}),
            run_path=said.get("run_path"),
            parent=self.parent(),
        )

    def _open(
        self, wanted: OpenRun, names: tuple[str, str, str], said: Opening, hold: Hold
    ) -> ActiveRun:
        who = self._who(said.get("actor"), said.get("caller_trace"))
        return ActiveRun(open_run(self.hands, wanted, names, who, said.get("listener"), hold))

    @contextlib.contextmanager
    def _held(self, stream: str) -> Iterator[Hold]:
        with contextlib.ExitStack() as stack:
            try:
                hold = stack.enter_context(holding(self.hands, stream))
            except RunBusy:
                run = self.journal.load(stream)
                raise RunBusy(
                    f"cannot work in run {run.task}/{run.run}: another process is at work in it"
                ) from None
            yield hold

    def _who(self, actor: str | None, caller_trace: str | None) -> Provenance:
        who = self.provenance(actor)
        return who if caller_trace is None else replace(who, caller_trace=caller_trace)

    def parent(self) -> str | None:
        """Return the run of this ledger whose command we are, if we are one."""
        stream = self.hands.environment.get("GESTA_RUN")
        # A run of another ledger is none of our runs' parents.
        return stream if stream and self.journal.load(stream).version >= 0 else None


def _end(active: ActiveRun, error: BaseException | None) -> None:
    if error is not None and not _has_ended(active):
        try:
            # What was interrupted may be on record without our knowing, and may not have ended.
            active.settle()
        except StoreError:
            # The run stays as it is on record, for recovery; what it runs in ends all the same.
            active.let_go()
            return
    if not _has_ended(active):
        active.end(ending_for(error))


def _has_ended(active: ActiveRun) -> bool:
    return active.state.phase is Phase.ENDED
