"""`gesta replay`: a run folded again and held against the views; or executed again and compared.

Rule: nothing is executed before the whole plan stands; a run that cannot be executed again as it
was is refused, with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from adapters.cli.opening_flags import ACTOR, JSON, check_line
from adapters.cli.printing import tell, tell_json, warn
from adapters.cli.times import plural

if TYPE_CHECKING:
    from adapters.cancellation import SignalCancellation
    from ledger.comparison import Comparison, StreamComparison
    from ledger.ledger import Ledger
    from ledger.reexecution import Plan
    from projections.agreement import Agreement


@click.command("replay")
@click.option("--execute", is_flag=True, help="Execute the recorded commands again, and compare.")
@ACTOR
@JSON
@click.argument("run", required=False)
def replay_command(run: str | None, execute: bool, actor: str | None, json: bool) -> int:
    """
    Fold RUN, by default the newest, again from its stored bytes and compare every view with it.

    With --execute its commands are executed again, in a fresh worktree at the recorded commit with
    the recorded uncommitted work, in the recorded kind of sandbox, as a run of its own. The exit
    code is 0 if everything is the same, and 1 if something differs or cannot be compared.
    """
    from adapters.wiring import open_ledger

    check_line("--actor", actor)
    if not execute:
        with open_ledger() as ledger:
            return _fold(ledger, ledger.find(run), json=json)
    from adapters.cancellation import SignalCancellation

    cancellation = SignalCancellation()
    with cancellation.ending_on_signals(), open_ledger() as ledger:
        found = _execute(ledger, ledger.find(run), actor, cancellation)
        if cancellation.signal is not None:
            return 128 + cancellation.signal
        if json:
            tell_json(found)
        else:
            _print(ledger, found)
        return 0 if found.verdict == "identical" else 1


def _fold(ledger: Ledger, stream: str, *, json: bool) -> int:
    from adapters.cli.reading import reading
    from projections.agreement import agreements
    from projections.built_in import BUILT_IN

    with reading(ledger) as reader:
        found = agreements(reader.views, BUILT_IN, ledger.journal.history(stream))
    if json:
        tell_json([_replayed(one) for one in found])
    else:
        from adapters.cli.tables import print_table

        words = [(one.view, one.table, str(one.rows), _words(_likeness(one))) for one in found]
        print_table(("view", "table", ">rows", ""), words)
    for one in found:
        if not one.agrees:
            warn(
                f"table {one.table} has {one.live!r}, the events say {one.folded!r}; "
                "run `gesta rebuild`"
            )
    return int(not all(one.agrees for one in found))


def _replayed(one: Agreement) -> dict[str, object]:
    return {"view": one.view, "table": one.table, "rows": one.rows, "agrees": one.agrees}


def _likeness(one: Agreement) -> str:
    return "same" if one.agrees else "differs"


def _execute(
    ledger: Ledger, stream: str, actor: str | None, cancellation: SignalCancellation
) -> Comparison:
    from ledger.comparison import compare
    from ledger.reexecution import plan_again

    history, read = ledger.journal.history(stream), ledger.hands.blobs.read
    plan = plan_again(history, read, parent=ledger.parent())
    again = _run(ledger, plan, actor, cancellation)
    return compare(history, ledger.journal.history(again), read)


def _run(ledger: Ledger, plan: Plan, actor: str | None, cancellation: SignalCancellation) -> str:
    """Execute *plan* as a run of its own, and return its stream."""
    from ledger.closing import CloseRun
    from ledger.errors import GestaError, ReplayRefused

    name = _name(ledger, plan)
    _check_base(ledger, plan, name)
    try:
        with ledger.replay(plan.wanted, actor=actor) as active:
            for _, wanted in plan.commands:
                if cancellation.signal is None:
                    active.perform(wanted, cancellation)
            if cancellation.signal is not None:
                active.end(CloseRun(outcome="cancelled", reason="signal"))
            return active.stream
    except GestaError as error:
        raise ReplayRefused(f"cannot replay run {name}: {error}") from error


def _check_base(ledger: Ledger, plan: Plan, name: str) -> None:
    from ledger.errors import ReplayRefused
    from ledger.outcomes import Unavailable

    if plan.base is None:
        return
    found = ledger.hands.git.survey(plan.wanted.directory, plan.base)
    if isinstance(found, Unavailable):
        raise ReplayRefused(f"cannot replay run {name}: {found.message}")


def _name(ledger: Ledger, plan: Plan) -> str:
    assert plan.wanted.again is not None
    return _called(ledger, plan.wanted.again.stream)


def _called(ledger: Ledger, stream: str) -> str:
    run = ledger.journal.load(stream)
    return f"{run.task}/{run.run}"


def _print(ledger: Ledger, found: Comparison) -> None:
    from adapters.cli.tables import print_table

    tell(f"{_called(ledger, found.stream)} again, as {_called(ledger, found.again)}")
    rows = [
        (
            command.command,
            command.before if command.same_ending else f"{command.before}, now {command.after}",
            _words(command.stdout.likeness),
            _words(command.stderr.likeness),
        )
        for command in found.commands
    ]
    print_table(("command", "ended", "stdout", "stderr"), rows)
    tell(f"what it changed: {_words(found.changes)}")
    for command in found.commands:
        for stream, compared in (("stdout", command.stdout), ("stderr", command.stderr)):
            _print_difference(f"{command.command} {stream}", compared)
    differing = sum(command.likeness == "different" for command in found.commands)
    count = f" ({differing} of {plural(len(found.commands), 'command')})" if differing else ""
    tell(f"{_words(found.verdict)}{count}")


def _print_difference(what: str, compared: StreamComparison) -> None:
    if compared.diff is not None:
        tell(f"{what}:")
        tell(compared.diff)
    elif compared.likeness == "different":
        warn(f"{what} differs and is too long to be shown; `gesta output` prints both")


def _words(likeness: str) -> str:
    return likeness.replace("_", " ")
