"""Worktrees: those that runs believe to have against those that there are.

Rule: nothing is removed on the strength of a name; the workspace's own adapter has to find it ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ledger import decide
from ledger.cleaning import clear_workspace, remove_worktree
from ledger.closing import seal_run
from ledger.drift import Done, Drift, Pass, ended, run_name
from ledger.errors import GestaError
from ledger.liveness import holding
from ledger.orphans import tell_found, tell_removed
from ledger.ostext import to_os
from ledger.outcomes import RemovalFailed, Removed
from ledger.ports import WorktreeIntent
from ledger.recovery import clean_again
from ledger.run import Phase
from ledger.session import Session

if TYPE_CHECKING:
    from ledger.inventory import DirectoryFound
    from ledger.recorded import Recorded

_OPENED = ("run.opened.1",)


class WorktreeDrift:
    """The worktrees of all runs, in one pass; *repositories* are those that they came from."""

    def __init__(self, look: Pass) -> None:
        self._look = look
        self.repositories: dict[Path, frozenset[str]] = {}

    def of_runs(self) -> Iterator[Drift]:
        """Yield what is otherwise than our home's runs have it."""
        hands = self._look.hands
        for opened in hands.journal.read(topics=_OPENED):
            if hands.locks.state(opened.stream) == "free":
                history = hands.journal.history(opened.stream)
                session = Session(hands, opened.stream, history, self._look.who)
                if session.run.home == hands.home_id:
                    yield from self._of_run(session)

    def orphaned(self) -> Iterator[Drift]:
        """Yield the directories in the home that no run of ours accounts for."""
        hands = self._look.hands
        for found in hands.inventory.directories():
            run = hands.journal.load(found.stream)
            if run.version < 0 or run.home != hands.home_id:
                why = "it is of another home" if run.run else "no run on record has it"
                drift = Drift(
                    what="worktree",
                    name=str(found.path),
                    stream=found.stream,
                    run=run_name(run),
                    why=why,
                    done="left" if run.run else None,
                )
                yield drift if run.run or not self._look.act else self._remove_orphan(drift, found)

    def _of_run(self, session: Session) -> Iterator[Drift]:
        registered = self._is_registered(session)
        files, intent = session.hands.files, session.worktree_intent()
        stands, held = files.stands(intent.path), session.run.holding("worktree")
        if session.run.phase is not Phase.ENDED:
            if held is not None and not stands:
                why = "it is gone, and its run is open; close the run"
                yield _drift(session, why, done="left")
        elif held is None and (stands or registered or files.stands(intent.scratch)):
            yield self._settled(session, "it is there, and its run has none", "removed")
        elif held is not None and not stands:
            yield self._settled(session, "it is gone, and its run has it", "recorded")
        elif held is not None and held.state == "live" and self._look.kept:
            yield self._settled(session, "its policy keeps it", "removed")

    def _is_registered(self, session: Session) -> bool:
        repository = session.text.repository if session.text else None
        if repository is None:
            return False
        common_dir = Path(to_os(repository.common_dir))
        if common_dir not in self.repositories:
            names = frozenset(session.hands.inventory.registered(common_dir))
            self.repositories[common_dir] = names
        return session.stream in self.repositories[common_dir]

    def _settled(self, found: Session, why: str, done: Done) -> Drift:
        """Remove the worktree of a run that has ended, or what is left of it, and record that."""
        drift = _drift(found, why)
        if not self._look.act:
            return drift
        hands, stream = self._look.hands, found.stream
        try:
            with holding(hands, stream) as hold:
                history = hands.journal.history(stream)
                session = Session(hands, stream, history, self._look.who, hold=hold)
                trouble = _remove(session, history)
                seal_run(session)
        except GestaError as error:
            trouble = str(error)
        return ended(drift, trouble, done)

    def _remove_orphan(self, drift: Drift, found: DirectoryFound) -> Drift:
        hands, look, names = self._look.hands, self._look, [str(found.path)]
        try:
            # A run that is being opened has its lock before it is on record.
            with holding(hands, found.stream):
                if hands.journal.load(found.stream).run:
                    return ended(drift, "its run is on record by now", "removed")
                told = tell_found(look, "worktree", names, stream=found.stream)
                result = _clear(look, found)
                if isinstance(result, RemovalFailed):
                    return ended(drift, result.message, "removed")
                tell_removed(look, told, "worktree", names, stream=found.stream)
        except GestaError as error:
            return ended(drift, str(error), "removed")
        return ended(drift, None, "removed")


def _drift(session: Session, why: str, done: Done | None = None) -> Drift:
    return Drift(
        what="worktree",
        name=str(session.root),
        stream=session.stream,
        run=run_name(session.run),
        why=why,
        done=done,
    )


def _remove(session: Session, history: Sequence[Recorded]) -> str | None:
    held = session.run.holding("worktree")
    if held is not None:
        failures = clean_again(session, history, kept=True)
        return failures[0].message if failures else None
    made = session.worktree is not None
    result = remove_worktree(session) if made else clear_workspace(session)
    if isinstance(result, RemovalFailed):
        return result.message
    files, intent = session.hands.files, session.worktree_intent()
    if files.stands(intent.path) or files.stands(intent.scratch):
        return f"cannot remove {intent.path}: nothing shows that it is ours; look, and delete it"
    files.remove_empty(session.run_path, below=session.hands.workspaces)
    held = next((one for one in session.run.holdings if one.resource == "worktree"), None)
    if held is not None:
        # Once more, because it was there once more.
        gone = decide.record_cleanup(held, Removed(), name=str(session.root), ending=False)
        session.record(lambda run: [gone])
    return None


def _clear(look: Pass, found: DirectoryFound) -> Removed | RemovalFailed:
    hands = look.hands
    intent = WorktreeIntent(
        path=found.path, scratch=found.scratch, source=Path("/"), kind="linked", sync="off"
    )
    for hand in (hands.git, hands.plain):
        result = hand.clear(intent)
        if isinstance(result, RemovalFailed):
            return result
    if hands.files.stands(found.path) or hands.files.stands(found.scratch):
        message = f"cannot remove {found.path}: nothing shows that it is ours; look, and delete it"
        return RemovalFailed(reason="not_ours", message=message)
    hands.files.remove_empty(found.path.parent, below=hands.workspaces)
    return Removed()
