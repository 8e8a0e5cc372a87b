"""One process at work in one run: what it knows of the run, and how it puts more on record.

Rule 1: the state is the fold of what is on record, and changes only by appending.
Rule 2: an intent that meets another writer's event surfaces `VersionConflict`; an outcome is
decided again on the newer state, and is never refused.
Rule 3: the walk itself (open, execute, close) is in the modules beside; each step is
decide → record intent → act → record outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from ledger.capture import store_clean
from ledger.errors import RunNotFound, VersionConflict
from ledger.events import (
    PatchCaptured,
    PatchText,
    RunEvent,
    RunOpened,
    RunOpenedText,
    UnsetType,
    WorktreeCreated,
    WorktreeCreatedText,
)
from ledger.ostext import to_os
from ledger.overrides import branch_name
from ledger.ports import WorktreeIntent
from ledger.recorded import Provenance, Recorded, Said
from ledger.replay import fold
from ledger.rules import RuleTexts
from ledger.withholding import DEFAULT_PATTERNS, withhold

if TYPE_CHECKING:
    from ledger.codec import SignSeal
    from ledger.hands import Hands
    from ledger.liveness import Hold
    from ledger.outcomes import Blob
    from ledger.ports import Sandbox
    from ledger.run import Run

Listener = Callable[[Sequence[Recorded]], None]


class Session:
    """
    A run that this process works in.

    *history* is everything on record of the stream, private parts included. *listener* is told
    what this process records from now on. *hold* is the run's lock; without it nothing is ended
    that another process may have left.
    """

    def __init__(
        self,
        hands: Hands,
        stream: str,
        history: Sequence[Recorded],
        who: Provenance,
        listener: Listener | None = None,
        hold: Hold | None = None,
    ) -> None:
        if not history or not isinstance(history[0].event, RunOpened):
            raise RunNotFound(f"cannot work in run {stream}: nothing is on record of it")
        self.hands = hands
        self.stream = stream
        self._listener = listener
        self.hold = hold
        self.opened = history[0]
        self.who = msgspec.structs.replace(who, trace=self.opened.trace)
        self.run: Run = fold(record.event for record in history)
        self.worktree: WorktreeCreated | None = None
        self.sandbox: Sandbox | None = None
        self.sandbox_home: str | None = None
        self.sandbox_lasts = False
        self.prepared: dict[str, Sandbox] = {}
        self.unclear: list[Sandbox] = []
        self.patch: PatchCaptured | None = None
        texts = self.rule_texts
        self.redactor = hands.redactor(texts.redact if texts else DEFAULT_PATTERNS)
        self._knowing_nothing = self.redactor
        self._notice(history)
        self._remember()

    @property
    def intent(self) -> RunOpened:
        """The run's first event."""
        return cast("RunOpened", self.opened.event)

    @property
    def text(self) -> RunOpenedText | None:
        """What a person typed when the run was opened, or `None` if that was erased."""
        private = self.intent.private
        return None if isinstance(private, UnsetType) else private

    @property
    def rule_texts(self) -> RuleTexts | None:
        """The names, paths and patterns of the run's policy, or `None` if they were erased."""
        return self.text.rules if self.text else None

    @property
    def worktree_text(self) -> WorktreeCreatedText | None:
        """Where the worktree is, or `None` if there is none on record or that was erased."""
        private = self.worktree.private if self.worktree else None
        return private if isinstance(private, WorktreeCreatedText) else None

    @property
    def patch_text(self) -> PatchText | None:
        """The patch captured last, or `None` if there is none on record or that was erased."""
        private = self.patch.private if self.patch else None
        return private if isinstance(private, PatchText) else None

    @property
    def knows_secrets(self) -> bool:
        """Whether this process gave a command something that must not be recorded."""
        return self.redactor is not self._knowing_nothing

    @property
    def run_path(self) -> Path:
        """The run's own directory, which holds its worktree."""
        if self.text is not None:
            return Path(to_os(self.text.run_path))
        return self.hands.workspaces / self.run.task / "runs" / self.run.run

    @property
    def root(self) -> Path:
        """Where the run's worktree is, or would be; the name derives from the stream."""
        return self.run_path / self.stream

    @property
    def prefix(self) -> str:
        """The caller's subdirectory of the checkout, empty at its top."""
        repository = self.text.repository if self.text else None
        return to_os(repository.prefix) if repository else ""

    def worktree_intent(self) -> WorktreeIntent:
        """Return the intent of the run's worktree, the same in every process that asks."""
        rules = self.intent.rules
        text = self.text
        source = Path("/")
        if text is not None:
            source = Path(to_os(text.repository.root if text.repository else text.directory))
        return WorktreeIntent(
            path=self.root,
            scratch=self.run_path / f"{self.stream}.scratch",
            source=source,
            kind=rules.worktree_kind,
            sync=rules.sync,
            base=text.base if text else None,
            branch=self._branch(),
            keep_ref=f"refs/gesta/{self.stream}",
        )

    def _branch(self) -> str | None:
        template = self.rule_texts.branch if self.rule_texts else None
        if template is None:
            return None
        return branch_name(template, task=self.run.task, run=self.run.run)

    def append(
        self,
        events: Iterable[RunEvent],
        *,
        cause: str | None = None,
        occurred: int | None = None,
        who: Provenance | None = None,
        blobs: Sequence[Blob] = (),
        sign: SignSeal | None = None,
    ) -> list[Recorded]:
        """
        Record an intent; *sign* signs one that is a seal.

        Raises `VersionConflict` if somebody else was at work in the run.
        """
        now = self.hands.clock.now() if occurred is None else occurred
        said = [
            Said(event=withhold(self.redactor, event), occurred=now, cause=cause or self.opened.id)
            for event in events
        ]
        if not said:
            return []
        recorded = self.hands.journal.append(
            self.stream, self.run.version, said, who or self.who, blobs=blobs, sign=sign
        )
        self.run = fold((record.event for record in recorded), self.run)
        self._notice(recorded)
        self._remember()
        if self._listener is not None:
            self._listener(recorded)
        return recorded

    def record(
        self,
        decide: Callable[[Run], Sequence[RunEvent]],
        *,
        cause: str | None = None,
        occurred: int | None = None,
        who: Provenance | None = None,
        blobs: Sequence[Blob] = (),
    ) -> list[Recorded]:
        """
        Record an outcome: decided on the state as it is, however often that has moved on.

        It *occurred* now and was seen by *who* is at work here, unless something else is said.
        """
        at = self.hands.clock.now() if occurred is None else occurred
        while True:
            try:
                return self.append(decide(self.run), cause=cause, occurred=at, who=who, blobs=blobs)
            except VersionConflict:
                self.reload()

    def store(self, data: bytes) -> tuple[Blob, dict[str, int]]:
        """Store *data* without its secrets; return the blob, and what was taken out by rule."""
        return store_clean(self.hands.blobs, self.redactor, [data])

    def reload(self) -> None:
        """Take the state from what is on record now."""
        history = self.hands.journal.history(self.stream)
        self.run = fold(record.event for record in history)
        self._notice(history)
        self._remember()

    def _remember(self) -> None:
        if self.hold is not None:
            self.hold.remember(not self.run.is_settled)

    def _notice(self, records: Iterable[Recorded]) -> None:
        for record in records:
            if isinstance(record.event, WorktreeCreated):
                self.worktree = record.event
            elif isinstance(record.event, PatchCaptured):
                self.patch = record.event
