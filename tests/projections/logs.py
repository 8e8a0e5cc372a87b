"""Whole logs: the events of several runs, one between another's, as a store has them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from ledger import events as e
from ledger.codec import encode
from ledger.events import Event
from ledger.recorded import Provenance, Said
from ledger.run import LEGAL, Run, evolve
from ledger.store import Row
from tests.ledger.samples import SAMPLES
from tests.projections.records import SECOND
from tests.strategies import events

LONGEST = 14
WHO = Provenance(actor="ada", via="os_user", host="here", trace="a" * 32)
ACTORS = ("ada", "grace", "ci")
# A run must be able to end, and to run commands: these kinds are drawn more often.
LIKELY: tuple[type[Event], ...] = (
    e.CommandRequested,
    e.CommandExecuted,
    e.SandboxCreated,
    e.CommandLost,
    e.RunCompleted,
)


class Happening(msgspec.Struct, frozen=True):
    """An event about to be stored: in which stream, when (µs), and by whom."""

    stream: str
    event: Event
    occurred: int
    actor: str = "ada"


def stored(happenings: Sequence[Happening], *, first: int = 0) -> list[Row]:
    """Return *happenings* as rows of a store, from position *first* on."""
    versions: dict[str, int] = {}
    rows = []
    for position, one in enumerate(happenings, first):
        version = versions[one.stream] = versions.get(one.stream, -1) + 1
        topic, facts, part = encode(
            Said(event=one.event, occurred=one.occurred),
            msgspec.structs.replace(WHO, actor=one.actor),
            id=f"{position:032x}",
            recorded=position * SECOND,
            salt=b"s" * 16,
        )
        rows.append(
            Row(
                position=position,
                stream=one.stream,
                version=version,
                topic=topic,
                facts=facts,
                leaf=b"",
                private=part,
            )
        )
    return rows


def story(*history: Event, stream: str = "s1") -> list[Happening]:
    """Return *history* as one run's happenings, a second apart."""
    return [Happening(stream, event, at * SECOND) for at, event in enumerate(history)]


def mixed(*stories: Sequence[Happening]) -> list[Happening]:
    """Return *stories* with their events taken in turns."""
    longest = max(map(len, stories))
    return [one[at] for at in range(longest) for one in stories if at < len(one)]


@st.composite
def legal_runs(draw: st.DrawFn) -> list[Event]:
    """Draw a run as the law has it: every event may follow the one before it."""
    run = Run()
    history: list[Event] = []
    for _ in range(draw(st.integers(1, LONGEST))):
        # In the order of the catalogue, so that examples can be replayed.
        legal = [kind for kind in LEGAL[run.phase] if kind is not e.RunOpened or not history]
        likely = [kind for kind in legal if kind in LIKELY]
        event = draw(_kind(draw(st.sampled_from([*legal, *likely * 3]))))
        event = _fitting(draw, run, event)
        run = evolve(run, event)
        history.append(event)
    return history


@st.composite
def logs(draw: st.DrawFn, *, runs: int = 3) -> list[Row]:
    """Draw a log of up to *runs* runs, and the ledger's own first event, in any mixture."""
    stories = [draw(legal_runs()) for _ in range(draw(st.integers(1, runs)))]
    waiting = {f"s{number}": list(history) for number, history in enumerate(stories)}
    happenings = [Happening("ledger", SAMPLES["ledger created"], 0)]
    while waiting:
        stream = draw(st.sampled_from(sorted(waiting)))
        event = waiting[stream].pop(0)
        if not waiting[stream]:
            del waiting[stream]
        # Clocks are set back, and a log goes over many days.
        occurred = draw(st.integers(0, 5 * 86_400)) * SECOND
        happenings.append(Happening(stream, event, occurred, draw(st.sampled_from(ACTORS))))
    return _missing(draw, stored(happenings))


def _missing(draw: st.DrawFn, rows: list[Row]) -> list[Row]:
    gone = draw(st.sets(st.sampled_from([row.position for row in rows]), max_size=4))
    return [
        msgspec.structs.replace(row, private=None) if row.position in gone else row for row in rows
    ]


@cache
def _kind(kind: type[Event]) -> st.SearchStrategy[Any]:
    """Return a strategy for events of one kind: written-out ones, and anything at all."""
    samples = [event for event in SAMPLES.values() if type(event) is kind]
    return st.one_of(st.sampled_from(samples), events(kind))


def _fitting(draw: st.DrawFn, run: Run, event: Any) -> Any:
    """Return *event* with the numbers of what is there: its command, its sandbox."""
    fields: dict[str, Any] = {}
    if isinstance(event, e.CommandRequested | e.CommandDenied):
        fields["command"] = f"c{run.requests + 1}"
    elif isinstance(event, e.CommandOutcomeFound):
        fields["command"] = min(run.lost_commands, default=event.command)
    elif run.open_command and hasattr(event, "command"):
        fields["command"] = run.open_command
    if isinstance(event, e.SandboxCreated):
        fields["ordinal"] = run.made("sandbox") + 1
    elif isinstance(event, e.SandboxLost):
        fields["ordinal"] = max(run.made("sandbox"), 1)
    elif isinstance(event, e.CommandRequested):
        fields["sandbox"] = run.made("sandbox")
    elif isinstance(event, e.CleanedUp | e.CleanupFailed) and run.holdings:
        holding = draw(st.sampled_from(run.holdings))
        fields.update(resource=holding.resource, ordinal=holding.ordinal)
    return msgspec.structs.replace(event, **fields)
