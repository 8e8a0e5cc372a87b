"""`gesta run`: one command, or a job's steps, from opening to cleaning up.

Rule 1: everything that was typed is checked before the ledger is opened.
Rule 2: a signal ends the command; the run is then recorded as cancelled and cleaned up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from adapters.cli.announcer import Announcer
from adapters.cli.opening_flags import opening_flags, opening_of, variables
from adapters.cli.printing import is_terminal, tell_json, warn
from adapters.cli.recover import recover_first
from adapters.cli.walk import Walk, exit_code, passed_on
from ledger.allowlist import check_argv
from ledger.commands import Execute
from ledger.errors import CommandNotAllowed, GestaError, InputInvalid

if TYPE_CHECKING:
    from adapters.cancellation import SignalCancellation
    from ledger.active_run import ActiveRun
    from ledger.job import Job
    from ledger.ledger import Ledger, Opening

_REFUSED, _DENIED = 125, 126


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option("--file", "file", metavar="JOB.yaml", help="Run the steps of a job file.")
@opening_flags
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run_command(file: str | None, command: tuple[str, ...], **flags: Any) -> int:
    """
    Run COMMAND in a worktree of its own and record everything.

    \b
        gesta run --task T-1 -- python -m pytest -q
        gesta run --file job.yaml

    The exit code is the command's own (of a job: that of the step that it stopped at); 124 is
    the time limit, 125 our own refusal or failure, 126 denied or not executable, 127 not found,
    128+n a signal. The steps of a job have no standard input.
    """
    if (file is None) == (not command):
        raise click.UsageError(
            "give either a COMMAND after -- or --file", click.get_current_context()
        )
    job = _read_job(file)
    opening = opening_of(flags, job)
    steps = _steps(flags, job, command)
    for step in steps:
        check_argv(step.argv)
    return _record(opening, steps, json=flags["json"])


def _read_job(file: str | None) -> Job | None:
    if file is None:
        return None
    from adapters.job_files import read_job

    return read_job(file)


def _steps(flags: dict[str, Any], job: Job | None, command: tuple[str, ...]) -> list[Execute]:
    if job is None:
        from adapters.cli.live_streams import standard_input

        stdin, terminal = standard_input()
        env = {k: v for k, v in variables(flags["env"], {}).items() if v is not None}
        return [Execute(argv=command, env=env, stdin=stdin, terminal=terminal)]
    common = variables(flags["env"], job.env)
    return [
        Execute(
            argv=step.argv,
            form=step.form,
            step=step.name,
            may_fail=step.on_failure == "continue",
            cwd=step.cwd,
            env=passed_on({**common, **step.env}),
            time_limit=step.timeout,
        )
        for step in job.steps
    ]


def _record(opening: Opening, steps: list[Execute], *, json: bool) -> int:
    from adapters.cancellation import SignalCancellation
    from adapters.wiring import open_ledger

    cancellation = SignalCancellation()
    with cancellation.ending_on_signals(), open_ledger() as ledger:
        recover_first(ledger)
        announcer = opening["listener"] = Announcer()
        active: ActiveRun | None = None
        error: GestaError | None = None
        code = 0
        try:
            with ledger.run(**opening) as active:
                walk = Walk(active, cancellation, json=json)
                code = _walk(walk, announcer, active, steps, cancellation)
        except GestaError as raised:
            if active is None:
                raise
            error = raised
            code = _code_of(error)
        assert active is not None
        _report(ledger, active, code, error, json=json)
        return code


def _code_of(error: GestaError) -> int:
    match error:
        case InputInvalid():
            return 2
        case CommandNotAllowed():
            return _DENIED
        case _:
            return _REFUSED


def _walk(
    walk: Walk,
    announcer: Announcer,
    active: ActiveRun,
    steps: list[Execute],
    cancellation: SignalCancellation,
) -> int:
    from adapters.cli.progress import Progress

    progress = Progress([step.step or "" for step in steps])
    walk.on_output = announcer.before = progress.give_way
    code = 0
    for number, step in enumerate(steps):
        if cancellation.signal is not None:
            break
        progress.begin(number)
        try:
            result = walk.perform(step)
            step_code = exit_code(result, cancellation)
        except CommandNotAllowed as denied:
            if not step.may_fail:
                progress.end("denied")
                raise
            warn(str(denied))
            step_code = _DENIED
        progress.end("ok" if step_code == 0 else f"exit {step_code}")
        if step_code and not step.may_fail:
            code = step_code
            break
    if cancellation.signal is not None:
        from ledger.closing import CloseRun

        active.end(CloseRun(outcome="cancelled", reason="signal"))
        return 128 + cancellation.signal
    return code


def _report(
    ledger: Ledger,
    active: ActiveRun,
    code: int,
    error: GestaError | None,
    *,
    json: bool,
) -> None:
    import sys

    if error is not None:
        warn(str(error))
    if json:
        from projections.run_view import view_of

        view = view_of(ledger.journal.history(active.stream))
        assert view is not None
        message = None if error is None else str(error)
        tell_json({"exit_code": code, "error": message, **msgspec.structs.asdict(view)})
    if is_terminal(sys.stderr):
        from adapters.cli.closing_line import closing_line

        warn(closing_line(ledger.journal.history(active.stream)))
