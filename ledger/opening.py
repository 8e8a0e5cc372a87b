"""How a run is opened: its intent is recorded, then its workspace is made.

At every line after the first append a crash leaves a run on record whose worktree, if there is
one, lies where the record says it would.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import msgspec

from ledger import decide
from ledger import events as e
from ledger.choosing import prepare_sandbox
from ledger.closing import CloseRun, close_run
from ledger.decide import Attempted
from ledger.errors import (
    IsolationRefused,
    RunExists,
    StoreError,
    StoreUnavailable,
    VersionConflict,
    WorkspaceError,
)
from ledger.hands import Hands
from ledger.ids import check_id, named_stream, new_stream, run_name
from ledger.isolation import Isolation
from ledger.liveness import Hold
from ledger.ostext import from_os
from ledger.outcomes import Unavailable, WorktreeMade
from ledger.overrides import (
    NOTHING,
    Overrides,
    asked_isolation,
    overridden,
    overridden_keys,
    wanted_kinds,
)
from ledger.ports import Repository
from ledger.recorded import Provenance, Recorded, Said
from ledger.recorded_work import RecordedWork
from ledger.rules import Rules
from ledger.run import Run
from ledger.session import Listener, Session
from ledger.withholding import withhold


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """
    An earlier run that is to be executed again: its *stream*, and what it began with.

    *asked*, *sandbox_wanted* and *overridden* are what its opening says; the rules that are taken
    over have its flags in them already.
    """

    stream: str
    asked: Isolation
    sandbox_wanted: str
    overridden: tuple[str, ...]
    work: RecordedWork


class OpenRun(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run that somebody wants opened.

    *profile* are the rules as the profile has them, *overrides* what flags change in them.
    *directory* is where they stand; *run_path* takes the place of the ledger's own directory for
    the run.
    """

    profile: Rules
    overrides: Overrides = NOTHING
    directory: Path
    task: str | None = None
    run: str | None = None
    mode: e.Mode = "held"
    base: str | None = None
    labels: dict[str, str] = {}
    run_path: Path | None = None
    parent: str | None = None
    again: Again | None = None


DEFAULT_TASK = "adhoc"
# Bytes in the home without which no run is begun: room for its records, and to end it in order.
LEAST_ROOM = 16 << 20


def name_run(hands: Hands, wanted: OpenRun) -> tuple[str, str, str]:
    """Return task, run and stream id for *wanted*; raises `IdInvalid`."""
    task = check_id("task", wanted.task) if wanted.task is not None else DEFAULT_TASK
    if wanted.run is not None:
        run = check_id("run", wanted.run)
        return task, run, named_stream(hands.journal.store.ledger_id, task, run)
    stream = new_stream(hands.clock, hands.randomness)
    return task, run_name(stream), stream


def open_run(
    hands: Hands,
    wanted: OpenRun,
    names: tuple[str, str, str],
    who: Provenance,
    listener: Listener | None = None,
    hold: Hold | None = None,
) -> Session:
    """
    Open a run and make its workspace.

    *names* come from `name_run`; whoever wants the run held has its lock by now. Raises
    `RunExists`, `IsolationRefused` (with the refusal and the run's end on record), and
    `StoreUnavailable` where there is too little room to begin.
    """
    _check_room(hands)
    survey = hands.git.survey(wanted.directory)
    recorded = _record_intent(hands, wanted, names, survey, who)
    session = Session(hands, names[2], recorded, who, listener, hold)
    try:
        if wanted.mode == "held":
            prepare_sandbox(session)
        made = _make_workspace(session, survey, wanted.again)
        _record_worktree(session, made)
        hands.files.make_directory(session.root, session.prefix)
    except BaseException as error:
        _give_up(session, error)
        raise
    return session


def _check_room(hands: Hands) -> None:
    free = hands.room()
    if free < LEAST_ROOM:
        raise StoreUnavailable(
            f"cannot open a run: {free >> 20} MiB are free on the disk of the ledger's home; free "
            f"at least {LEAST_ROOM >> 20}"
        )


def _record_worktree(session: Session, made: WorktreeMade) -> None:
    with session.hands.blobs.keeping():
        manifest = session.hands.blobs.put(made.manifest)
        patch, redactions = (None, {}) if made.patch is None else session.store(made.patch)
        session.record(
            lambda run: [
                decide.create_worktree(
                    run, made, patch=patch, manifest=manifest, redactions=redactions
                )
            ],
            blobs=[manifest, patch] if patch else [manifest],
        )


def _give_up(session: Session, error: BaseException) -> None:
    """End a run that could not be opened whole, and leave nothing of it."""
    # A store that cannot be written leaves the run open on record: recovery ends it.
    with contextlib.suppress(StoreError):
        message = str(error) or type(error).__name__
        close_run(session, CloseRun(outcome="failed", reason="error", message=message))


def _record_intent(
    hands: Hands,
    wanted: OpenRun,
    names: tuple[str, str, str],
    survey: Repository | Unavailable,
    who: Provenance,
) -> list[Recorded]:
    opened, rules = _opened(hands, wanted, names, survey)
    clean = withhold(hands.redactor(rules.texts.redact), opened)
    said = Said(event=decide.open_run(Run(), clean), occurred=hands.clock.now())
    try:
        return hands.journal.append(names[2], -1, [said], who)
    except VersionConflict:
        raise RunExists(
            f"cannot open run {names[1]} of task {names[0]}: there is one already; "
            "give another run id"
        ) from None


def _opened(
    hands: Hands, wanted: OpenRun, names: tuple[str, str, str], survey: Repository | Unavailable
) -> tuple[e.RunOpened, Rules]:
    task, run, _ = names
    rules = overridden(wanted.profile, wanted.overrides)
    asked, kind, changed = _asked(wanted)
    run_path = wanted.run_path or hands.workspaces / task / "runs" / run
    opened = e.RunOpened(
        task=task,
        run=run,
        mode=wanted.mode,
        home=hands.home_id,
        rules=rules.facts,
        overridden=changed,
        asked=asked,
        sandbox_wanted=kind,
        parent=wanted.parent,
        replay_of=wanted.again.stream if wanted.again else None,
        private=e.RunOpenedText(
            rules=rules.texts,
            directory=from_os(str(wanted.directory)),
            run_path=from_os(str(run_path)),
            repository=_repository_text(survey),
            base=wanted.base,
            labels=wanted.labels,
        ),
    )
    return opened, rules


def _asked(wanted: OpenRun) -> tuple[Isolation, str, tuple[str, ...]]:
    """Return the isolation asked for, the sandbox wanted, and the keys that flags changed."""
    again, profile, overrides = wanted.again, wanted.profile, wanted.overrides
    if again is not None:
        return again.asked, again.sandbox_wanted, again.overridden
    return (
        asked_isolation(profile.facts, overrides),
        wanted_kinds(profile.facts)[0],
        overridden_keys(profile, overrides),
    )


def _repository_text(survey: Repository | Unavailable) -> e.RepositoryText | None:
    if isinstance(survey, Unavailable):
        return None
    return e.RepositoryText(
        root=from_os(survey.root),
        common_dir=from_os(survey.common_dir),
        prefix=from_os(survey.prefix),
        base_commit=survey.head,
    )


def _make_workspace(
    session: Session, survey: Repository | Unavailable, again: Again | None
) -> WorktreeMade:
    made = _make_any_workspace(session, survey, again.work if again else None)
    if again is not None and made.tree != again.work.tree:
        session.hands.workspace(made.kind).remove(session.worktree_intent(), made)
        raise WorkspaceError(f"{session.worktree_intent().source} is not as it was then")
    return made


def _make_any_workspace(
    session: Session, survey: Repository | Unavailable, work: RecordedWork | None
) -> WorktreeMade:
    rules = session.intent.rules
    wanted = rules.worktree_kind
    cause: Literal["unavailable", "override"] = "unavailable"
    tried: tuple[Attempted, ...] = ()
    if rules.worktree_enabled:
        why = survey
        if not isinstance(survey, Unavailable):
            intent = msgspec.structs.replace(session.worktree_intent(), work=work)
            made = session.hands.git.create(intent)
            if isinstance(made, WorktreeMade):
                return made
            why = made
        assert isinstance(why, Unavailable)
        tried = (Attempted(wanted, why),)
    elif "worktree.enabled" in session.intent.overridden:
        cause = "override"
    else:
        return _copy_directory(session)
    decided = decide.fall_back(
        session.run,
        "worktree",
        wanted=wanted,
        used="directory",
        cause=cause,
        attempts=tried,
        lost=(),
    )
    session.append([decided])
    if isinstance(decided, e.FallbackRefused):
        reason = tried[0].why.message if tried else "it was switched off"
        raise IsolationRefused(
            f"cannot make a {wanted} worktree: {reason}; the policy's worktree.fallback is false"
        )
    return _copy_directory(session)


def _copy_directory(session: Session) -> WorktreeMade:
    made = session.hands.plain.create(session.worktree_intent())
    if isinstance(made, WorktreeMade):
        return made
    raise WorkspaceError(made.message)
