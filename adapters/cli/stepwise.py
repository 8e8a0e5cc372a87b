"""`gesta open`, `exec` and `close`: a run step by step, for scripts and agents.

Rule: one process at a time works in a run; whoever comes second is refused, and nothing waits.
"""

from __future__ import annotations

from typing import Any

import click
import msgspec

from adapters.cli.announcer import Announcer
from adapters.cli.opening_flags import (
    ACTOR,
    ENV,
    JSON,
    TIMEOUT,
    check_line,
    opening_flags,
    opening_of,
    variables,
)
from adapters.cli.printing import tell, tell_json
from adapters.cli.recover import recover_first
from adapters.cli.walk import Walk, exit_code, passed_on
from ledger.commands import Execute
from ledger.errors import InputInvalid


@click.command("open")
@opening_flags
def open_command(**flags: Any) -> None:
    """
    Open a run that outlives this process, and print it as TASK/RUN.

    \b
        run=$(gesta open --task T-1)
        gesta exec "$run" -- make
        gesta close "$run"

    A variable can be passed on for all commands; its value is set for each by `exec --env`.
    """
    from adapters.wiring import open_ledger
    from projections.run_view import view_of

    opening = opening_of(flags)
    valued = [name for name, value in variables(flags["env"], {}).items() if value is not None]
    if valued:
        raise InputInvalid(
            f"cannot accept --env {valued[0]}=…: an open run keeps names alone; give it to exec"
        )
    opening["listener"] = Announcer()
    with open_ledger() as ledger:
        recover_first(ledger)
        active = ledger.open(**opening)
        if flags["json"]:
            tell_json(view_of(ledger.journal.history(active.stream)))
        else:
            tell(f"{active.task}/{active.id}")


@click.command("exec")
@ENV
@ACTOR
@TIMEOUT
@click.option("--cwd", metavar="DIR", help="Relative to the workspace.")
@click.option("--may-fail", is_flag=True, help="A failure does not make the run one.")
@JSON
@click.argument("run")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_command(run: str, command: tuple[str, ...], **flags: Any) -> int:
    """
    Execute COMMAND, which comes after `--`, in the open run RUN.

    Exit codes are those of `gesta run`; 125 also says that another process is at work in the run.
    """
    from adapters.cancellation import SignalCancellation
    from adapters.cli.live_streams import standard_input
    from adapters.wiring import open_ledger
    from projections.commands import fold_commands

    check_line("--actor", flags["actor"])
    stdin, terminal = standard_input()
    wanted = Execute(
        argv=command,
        env=passed_on(variables(flags["env"], {})),
        cwd=flags["cwd"],
        time_limit=flags["timeout"],
        may_fail=flags["may_fail"],
        stdin=stdin,
        terminal=terminal,
    )
    cancellation = SignalCancellation()
    with cancellation.ending_on_signals(), open_ledger() as ledger:
        stream = ledger.find(run)
        with ledger.resume(stream, actor=flags["actor"], listener=Announcer()) as active:
            result = Walk(active, cancellation, json=flags["json"]).perform(wanted)
            code = exit_code(result, cancellation)
        if flags["json"]:
            rows = fold_commands(ledger.journal.history(stream))
            row = next(row for row in rows if row.command == result.command)
            tell_json({"exit_code": code, "command": row})
        return code


@click.command("close")
@click.option("--outcome", type=click.Choice(["succeeded", "failed", "cancelled"]))
@click.option("--message", metavar="TEXT", help="Why, in words.")
@ACTOR
@JSON
@click.argument("run")
def close_command(
    run: str, outcome: Any, message: str | None, actor: str | None, json: bool
) -> None:
    """
    Close the open run RUN: capture what it changed, clean up, complete.

    Without --outcome it succeeded if its commands did. What an earlier close left is gone on with.
    """
    from adapters.cancellation import SignalCancellation
    from adapters.wiring import open_ledger
    from projections.run_view import view_of

    check_line("--actor", actor)
    check_line("--message", message)
    # A signal must not leave the run half closed: it is noted, and closing goes on.
    with SignalCancellation().ending_on_signals(), open_ledger() as ledger:
        stream = ledger.find(run)
        with ledger.resume(stream, actor=actor, listener=Announcer()) as active:
            active.close(outcome, message=message)
        view = view_of(ledger.journal.history(stream))
        assert view is not None
        if json:
            tell_json(msgspec.structs.asdict(view))
        else:
            row = view.run
            tell(f"{row.task}/{row.run} {row.status}, {row.cleanliness}")
