"""Sandboxes that outlive us: those that carry a home's mark against those that runs have.

Rule: what carries another home's mark is told and never touched, whatever is on record of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger import decide
from ledger.cleaning import remove_sandbox
from ledger.closing import seal_run
from ledger.drift import Drift, Pass, ended, run_name
from ledger.errors import GestaError
from ledger.liveness import Marked, MarkingSandbox, holding
from ledger.orphans import tell_found, tell_removed
from ledger.outcomes import RemovalFailed, Unavailable
from ledger.run import Holding, Phase, Run
from ledger.session import Session

_OPENED = ("run.opened.1",)


def sandbox_drifts(look: Pass) -> Iterator[Drift]:
    """Yield every sandbox of ours that no run has, those of others, and those that are gone."""
    for kind in look.hands.inventory.marking_kinds():
        sandbox = look.hands.sandboxes(kind)
        if not isinstance(sandbox, MarkingSandbox):
            continue
        found = sandbox.marked(None)
        if isinstance(found, Unavailable):
            continue
        for one in found:
            drift = _found(look, kind, one)
            if drift is not None:
                yield drift
        yield from _gone(look, kind, {one.id for one in found})


def _found(look: Pass, kind: str, one: Marked) -> Drift | None:
    hands = look.hands
    run = hands.journal.load(one.stream) if one.stream else Run()
    drift = Drift(
        what="sandbox",
        name=f"{kind} {one.id}",
        stream=one.stream or None,
        run=run_name(run),
        why="its run does not have it" if run.run else "no run on record has it",
    )
    if one.home != hands.home_id:
        return msgspec.structs.replace(drift, why="it is of another home", done="left")
    if one.stream and hands.locks.state(one.stream) == "held":
        return None
    held = run.holding("sandbox")
    if run.phase is not Phase.ENDED and held is not None and held.state == "live":
        # The one that it has, or what the next command there settles.
        return None
    if not look.act:
        return drift
    try:
        trouble = _end(look, kind, one) if run.run else _end_orphan(look, kind, one)
    except GestaError as error:
        trouble = str(error)
    return ended(drift, trouble, "removed")


def _end(look: Pass, kind: str, one: Marked) -> str | None:
    hands = look.hands
    with holding(hands, one.stream) as hold:
        history = hands.journal.history(one.stream)
        session = Session(hands, one.stream, history, look.who, hold=hold)
        ordinal = int(one.ordinal) if one.ordinal.isdecimal() else 0
        held = Holding("sandbox", ordinal, kind, one.id, "live")
        result = remove_sandbox(session, held)
        if isinstance(result, RemovalFailed):
            return result.message
        session.record(lambda run: [decide.record_cleanup(held, result, name=one.id, ending=False)])
        seal_run(session)
    return None


def _end_orphan(look: Pass, kind: str, one: Marked) -> str | None:
    sandbox = look.hands.sandboxes(kind)
    if isinstance(sandbox, Unavailable):
        return sandbox.message
    stream = one.stream or None
    told = tell_found(look, "sandbox", [one.id], kind=kind, stream=stream)
    result = sandbox.remove(one.id)
    if isinstance(result, RemovalFailed):
        return result.message
    tell_removed(look, told, "sandbox", [one.id], kind=kind, stream=stream)
    return None


def _gone(look: Pass, kind: str, there: set[str]) -> Iterator[Drift]:
    """Yield the lasting sandboxes of open runs that nobody has any more."""
    hands = look.hands
    for opened in hands.journal.read(topics=_OPENED):
        run = hands.journal.load(opened.stream)
        held = run.holding("sandbox")
        if (
            run.home != hands.home_id
            or run.phase is Phase.ENDED
            or held is None
            or (held.kind, held.state) != (kind, "live")
            or held.id in there
            or hands.locks.state(opened.stream) == "held"
            or not _lasts(look, opened.stream, held.ordinal)
        ):
            continue
        drift = Drift(
            what="sandbox",
            name=f"{kind} {held.id}",
            stream=opened.stream,
            run=run_name(run),
            why="it is gone, and its run has it",
        )
        yield _lose(look, drift, opened.stream) if look.act else drift


def _lasts(look: Pass, stream: str, ordinal: int) -> bool:
    from ledger.events import SandboxCreated

    return any(
        isinstance(record.event, SandboxCreated)
        and (record.event.ordinal, record.event.lifetime) == (ordinal, "run")
        for record in look.hands.journal.history(stream)
    )


def _lose(look: Pass, drift: Drift, stream: str) -> Drift:
    try:
        with holding(look.hands, stream) as hold:
            history = look.hands.journal.history(stream)
            session = Session(look.hands, stream, history, look.who, hold=hold)
            session.record(decide.lose_sandbox)
    except GestaError as error:
        return ended(drift, str(error), "recorded")
    return ended(drift, None, "recorded")
