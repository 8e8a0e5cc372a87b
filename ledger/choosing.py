"""Which sandbox a run gets: the kind that the policy names, else the first fallback it permits.

Rule 1: nothing is used that loses more than the policy consents to, whatever the cause.
Rule 2: what was tried, and what is lost, is on record before the first command is.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ledger import decide
from ledger import events as e
from ledger.decide import Attempted
from ledger.errors import IsolationRefused
from ledger.isolation import AXES, Axis, Isolation, lost
from ledger.ostext import to_os
from ledger.outcomes import Removed, SandboxMade, Unavailable
from ledger.overrides import wanted_kinds
from ledger.ports import Sandbox, SandboxWish
from ledger.run import Holding
from ledger.session import Session


class Choice(msgspec.Struct, frozen=True):
    """A sandbox that was made, and the events that say so, still to be recorded."""

    sandbox: Sandbox
    made: SandboxMade
    events: tuple[e.RunEvent, ...]


def choose_sandbox(session: Session) -> Choice:
    """
    Make the run's sandbox, or take hold again of the one that an earlier process made.

    Raises `IsolationRefused`, with the refusal on record, if nothing permitted could be had, and
    `MoveIllegal` if the sandbox is found gone and the policy lets no other take its place.
    """
    held = session.run.holding("sandbox")
    attempts: list[Attempted] = []
    if held and held.state == "live":
        got = _take_hold(session, held)
        if not isinstance(got, Unavailable):
            return Choice(*got, _events(session, got[1], (), held, None))
        session.record(decide.lose_sandbox)
        decide.begin_command(session.run)
        attempts.append(Attempted(held.kind, got))
    elif held and held.state == "lost":
        gone = Unavailable(reason="outage", message="it was lost", unknown_effect=True)
        attempts.append(Attempted(held.kind, gone))
    lost_kind = attempts[0].kind if attempts else None
    for kind in wanted_kinds(session.intent.rules):
        # What was lost is not silently had again: the next one takes its place, on record.
        if kind == lost_kind:
            continue
        asked_at = session.hands.clock.monotonic()
        got = _attempt(session, kind)
        if isinstance(got, Unavailable):
            attempts.append(Attempted(kind, got))
            continue
        startup_us = session.hands.clock.monotonic() - asked_at
        return Choice(*got, _events(session, got[1], tuple(attempts), None, startup_us))
    raise _refuse(session, tuple(attempts))


def prepare_sandbox(session: Session) -> None:
    """Begin, while the worktree is made, what the likeliest sandbox will take its time for."""
    for kind in wanted_kinds(session.intent.rules):
        sandbox = session.hands.sandboxes(kind)
        if not isinstance(sandbox, Unavailable):
            sandbox.prepare()
            session.prepared[kind] = sandbox
            return


def _events(
    session: Session,
    made: SandboxMade,
    attempts: tuple[Attempted, ...],
    held: Holding | None,
    startup_us: int | None,
) -> tuple[e.RunEvent, ...]:
    if held and (made.kind, made.id, made.isolation) == (held.kind, held.id, session.run.had):
        return ()
    events: list[e.RunEvent] = []
    if held and held.state == "live":
        # What an earlier process had here is not had now; of a local one nothing is left.
        events.append(decide.record_cleanup(held, Removed(), name=held.id, ending=False))
    weaker = lost(session.intent.asked, made.isolation)
    if weaker or made.kind != session.intent.sandbox_wanted:
        cause = "machine" if held else _cause(session, attempts)
        events.append(_fall_back(session, made, attempts, weaker, cause))
    return (*events, decide.create_sandbox(session.run, made, startup_us))


def sandbox_wish(session: Session) -> SandboxWish:
    """Return what the run wants of its sandbox, by its policy."""
    rules, texts = session.intent.rules, session.rule_texts
    asked = session.intent.asked
    held = session.run.holding("sandbox")
    return SandboxWish(
        home_id=session.intent.home,
        stream=session.stream,
        ordinal=held.ordinal if held and held.state == "live" else session.run.made("sandbox") + 1,
        workspace=session.root,
        filesystem=asked.filesystem,
        network=asked.network,
        limits=asked.limits,
        image=texts.image if texts else None,
        read_only=texts.read_only if texts else (),
        git_dirs=_git_dirs(session),
        protected=texts.protected if texts else (),
        lifetime_s=rules.idle_limit,
    )


def _git_dirs(session: Session) -> tuple[Path, ...]:
    """Return what git reads outside the worktree: all of its directory, or a clone's objects."""
    worktree, made = session.worktree, session.worktree_text
    repository = session.text.repository if session.text else None
    if worktree is None or made is None or repository is None:
        return ()
    common_dir = Path(to_os(repository.common_dir))
    if worktree.kind == "clone":
        return (common_dir / "objects",)
    return (common_dir, Path(to_os(made.git_dir))) if made.git_dir else ()


def _take_hold(session: Session, held: Holding) -> tuple[Sandbox, SandboxMade] | Unavailable:
    sandbox = session.hands.sandboxes(held.kind)
    if isinstance(sandbox, Unavailable):
        return sandbox
    made = sandbox.attach(sandbox_wish(session), held.id)
    if not isinstance(made, Unavailable) and (too_weak := _too_weak(session, made.isolation)):
        made = too_weak
    if isinstance(made, Unavailable):
        sandbox.close()
        return made
    return sandbox, made


def _attempt(session: Session, kind: str) -> tuple[Sandbox, SandboxMade] | Unavailable:
    sandbox = session.prepared.pop(kind, None) or session.hands.sandboxes(kind)
    if isinstance(sandbox, Unavailable):
        return sandbox
    wish = sandbox_wish(session)
    offer = sandbox.offer(wish)
    if isinstance(offer, Unavailable):
        sandbox.close()
        return offer
    if too_weak := _too_weak(session, offer):
        sandbox.close()
        return too_weak
    made = sandbox.create(wish)
    if isinstance(made, Unavailable):
        if made.unknown_effect:
            # It may exist: looked for, by what it was marked with, when the run ends.
            session.unclear.append(sandbox)
        else:
            sandbox.close()
        return made
    # What was made is judged again: a machine may give less than it seemed to.
    if too_weak := _too_weak(session, made.isolation):
        sandbox.close()
        return too_weak
    return sandbox, made


def _too_weak(session: Session, had: Isolation) -> Unavailable | None:
    weaker = set(lost(session.intent.asked, had)) - set(session.intent.rules.may_lose)
    if not weaker:
        return None
    words = ", ".join(axis for axis in AXES if axis in weaker)
    return Unavailable(reason="not_permitted", message=f"it would lose {words}")


def _cause(session: Session, attempts: tuple[Attempted, ...]) -> e.Cause:
    if session.run.holding("sandbox"):
        return "lost"
    if attempts:
        return "unavailable"
    return "override" if "sandbox.type" in session.intent.overridden else "machine"


def _fall_back(
    session: Session,
    made: SandboxMade,
    attempts: tuple[Attempted, ...],
    weaker: tuple[Axis, ...],
    cause: e.Cause,
) -> e.RunEvent:
    return decide.fall_back(
        session.run,
        "sandbox",
        wanted=session.intent.sandbox_wanted,
        used=made.kind,
        cause=cause,
        attempts=attempts,
        lost=weaker,
    )


def _refuse(session: Session, attempts: tuple[Attempted, ...]) -> IsolationRefused:
    wanted = session.intent.sandbox_wanted
    refused = decide.fall_back(
        session.run,
        "sandbox",
        wanted=wanted,
        used=None,
        cause="override" if "sandbox.type" in session.intent.overridden else "unavailable",
        attempts=attempts,
        lost=(),
    )
    session.append([refused])
    assert isinstance(refused, e.FallbackRefused)
    reasons = "; ".join(f"{a.kind}: {a.why.message}" for a in attempts)
    return IsolationRefused(
        f"cannot execute in sandbox {wanted}: {reasons}; the policy's {refused.forbidden_by} "
        "permits nothing else"
    )
