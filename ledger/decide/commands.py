"""What a command is allowed to do, and how it ended.

Rule: a request may be refused; an outcome never is.
"""

from __future__ import annotations

from typing import Any, Literal, assert_never

import msgspec

from ledger import events as e
from ledger.allowlist import Denial
from ledger.decide.blobs import blob_name
from ledger.errors import MoveIllegal
from ledger.events import BlobName, RunEvent
from ledger.isolation import Isolation
from ledger.outcomes import (
    Cancelled,
    Captured,
    Executed,
    Lost,
    NotStarted,
    Outcome,
    Output,
    ResultKept,
    TimedOut,
    Usage,
)
from ledger.run import Phase, Run, check_legal


class CommandWanted(msgspec.Struct, frozen=True, kw_only=True):
    """A command that somebody wants executed, with everything about it that is put on record."""

    form: e.Form
    may_fail: bool
    uid: int
    stdin: e.StdinKind
    time_limit: float | None
    sandbox: int
    had: Isolation
    redactions: dict[str, int] = {}
    text: e.CommandText


def request_command(
    run: Run, wanted: CommandWanted, denial: Denial | None
) -> e.CommandRequested | e.CommandDenied:
    """Return the intent to execute *wanted*, or its denial. A refusal by state is `MoveIllegal`."""
    command = f"c{run.requests + 1}"
    assert run.asked is not None
    requested = e.CommandRequested(
        command=command,
        form=wanted.form,
        sandbox=wanted.sandbox,
        may_fail=wanted.may_fail,
        uid=wanted.uid,
        stdin=wanted.stdin,
        time_limit=wanted.time_limit,
        asked=run.asked,
        had=wanted.had,
        redactions=wanted.redactions,
        private=wanted.text,
    )
    check_legal(run, e.CommandRequested, "execute a command")
    if denial is None:
        return requested
    return _denied(command, wanted, denial)


def _denied(command: str, wanted: CommandWanted, denial: Denial) -> e.CommandDenied:
    text = wanted.text
    return e.CommandDenied(
        command=command,
        form=wanted.form,
        may_fail=wanted.may_fail,
        reason=denial.reason,
        redactions=wanted.redactions,
        private=e.CommandDeniedText(
            argv=text.argv,
            argv_blob=text.argv_blob,
            cwd=text.cwd,
            executable=text.executable,
            step=text.step,
            language=text.language,
            source=text.source,
            rule=denial.rule,
            rule_set=text.rule_set,
        ),
    )


def record_outcome(
    run: Run, command: str, outcome: Outcome, output: Output | None
) -> tuple[RunEvent, ...]:
    """Return how *command* ended: its ending, a late outcome, or nothing if that is on record."""
    if run.phase is Phase.RUNNING and run.open_command == command:
        return (_ending(command, outcome, output),)
    if command in run.lost_commands and not isinstance(outcome, Lost):
        return (_late(command, outcome, output),)
    return ()


def _ending(command: str, outcome: Outcome, output: Output | None) -> RunEvent:
    match outcome:
        case NotStarted():
            text = e.MessageText(message=outcome.message)
            return e.CommandNotStarted(command=command, reason=outcome.reason, private=text)
        case Executed():
            return e.CommandExecuted(
                exit_code=outcome.exit_code,
                signal=outcome.signal,
                killed_by_memory_limit=outcome.killed_by_memory_limit,
                **_seen(command, outcome, output),
            )
        case TimedOut():
            return e.CommandTimedOut(**_seen(command, outcome, output))
        case Cancelled():
            return e.CommandCancelled(signal=outcome.signal, **_seen(command, outcome, output))
        case Lost():
            return e.CommandLost(reason="sandbox", **_seen(command, outcome, output))
        case _:
            assert_never(outcome)


def _late(command: str, outcome: Outcome, output: Output | None) -> RunEvent:
    names: dict[type, Literal["executed", "timed_out", "cancelled", "not_started"]] = {
        Executed: "executed",
        TimedOut: "timed_out",
        Cancelled: "cancelled",
        NotStarted: "not_started",
    }
    return e.CommandOutcomeFound(
        outcome=names[type(outcome)],
        exit_code=getattr(outcome, "exit_code", None),
        signal=getattr(outcome, "signal", None),
        killed_by_memory_limit=getattr(outcome, "killed_by_memory_limit", False),
        **_seen(command, outcome, output),
    )


def begin_command(run: Run) -> None:
    """Raise `MoveIllegal` if the run takes no command now, before a sandbox is made for it."""
    check_legal(run, e.CommandRequested, "execute a command")
    held = run.holding("sandbox")
    if held and held.state == "lost" and run.rules and run.rules.on_lost == "stop":
        raise MoveIllegal(
            f"cannot execute a command in run {run.task}/{run.run}: its sandbox was lost and the "
            "policy's sandbox.on_lost is stop; close it"
        )


def lose_sandbox(run: Run) -> tuple[RunEvent, ...]:
    """Return the loss of the sandbox that the run has, if that is not on record."""
    held = run.holding("sandbox")
    return (e.SandboxLost(ordinal=held.ordinal),) if held and held.state == "live" else ()


def lose_command(run: Run) -> tuple[RunEvent, ...]:
    """Return the loss of a command whose process nobody can have seen end, if there is one."""
    if run.phase is not Phase.RUNNING or run.open_command is None:
        return ()
    return (e.CommandLost(command=run.open_command, reason="process"),)


def _seen(command: str, outcome: Outcome, output: Output | None) -> dict[str, Any]:
    usage: Usage | None = getattr(outcome, "usage", None)
    seen: dict[str, Any] = {"command": command}
    if usage is not None:
        seen["duration_us"] = usage.duration_us
        seen["cpu_us"] = usage.cpu_us
        seen["peak_memory_kb"] = usage.peak_memory_kb
    if output is not None:
        streams = {"stdout": output.stdout, "stderr": output.stderr, "stdin": output.stdin}
        seen.update({name: _stream(stream) for name, stream in streams.items()})
        names = {name: blob_name(stream.blob) for name, stream in streams.items() if stream}
        seen["private"] = e.StreamsText(
            **names,
            results=tuple(_result(result) for result in output.results),
            rule_set=output.rule_set,
        )
    return seen


def _result(result: ResultKept) -> e.ResultName:
    return e.ResultName(
        result.kind,
        result.media_type,
        BlobName(result.blob.digest, result.blob.size),
        result.truncated,
        result.redactions,
    )


def _stream(stream: Captured | None) -> e.StreamFacts | None:
    if stream is None:
        return None
    stored = stream.blob.size if stream.blob else 0
    return e.StreamFacts(stream.total, stored, stream.truncated, stream.redactions)
