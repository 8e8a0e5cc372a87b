"""A command as the guest in an E2B sandbox is asked for it, and its result as an outcome.

Rule: arguments, environment and directory go as base64 of their bytes and reach the program
unchanged; no shell reads them.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from adapters.e2b.errors import E2BError, Trouble
from ledger.outcomes import (
    Cancelled,
    Executed,
    Lost,
    NotStarted,
    NotStartedReason,
    Outcome,
    TimedOut,
    Usage,
)
from ledger.ports import Cancellation, Command


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """
    What goes with a command beside itself.

    *archive* names the changes to take in before it, *base* the state that we have, *number* the
    one that we get. *memory_mb* of 0 is no limit of a process's own.
    """

    root: str
    archive: str | None
    base: int
    number: int
    memory_mb: int
    processes: int | None


def why_impossible(command: Command) -> str | None:
    """Return why no process can be given this command, if none can (execve(2))."""
    if not command.argv:
        return "it has no argument, not even its name"
    if any(not name or "=" in name for name in command.env):
        return "a variable's name is empty or has a '='"
    texts = (*command.argv, command.executable, *command.env, *command.env.values())
    if any("\0" in text for text in texts):
        return "it has a NUL byte"
    return None


def encode_request(
    command: Command, exchange: Exchange, inside: Callable[[Path], str]
) -> dict[str, Any]:
    """Return the guest's request; *inside* says where a directory of ours is there."""
    return {
        "argv": [encode_text(argument) for argument in command.argv],
        "executable": encode_text(command.executable),
        "cwd": encode_text(inside(command.cwd)),
        "env": [encode_text(f"{name}={value}") for name, value in command.env.items()],
        "root": exchange.root,
        "archive": exchange.archive,
        "base": exchange.base,
        "next": exchange.number,
        "memory_mb": exchange.memory_mb,
        "processes": exchange.processes,
    }


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the guest says of a command that ended, or did not begin.

    *left* are processes that it could not end, *changes* names the archive of what the command
    changed, *trouble* says why there is none.
    """

    kind: Literal["ended", "failed", "lost"]
    left: tuple[int, ...]
    changes: Annotated[str, msgspec.Meta(pattern=r"^out-\d+\.tar\.gz$")] | None
    trouble: str | None
    exit_code: int | None = None
    signal: int | None = None
    duration_us: int = 0
    cpu_us: int | None = None
    peak_kb: int | None = None
    kills: int = 0
    reason: NotStartedReason = "failed"
    message: str = ""


def decode_result(encoded: bytes) -> Result:
    """Return the guest's result; raises `E2BError` for what is none."""
    try:
        return msgspec.json.decode(encoded, type=Result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f"our program in the sandbox cannot be understood: {error}"
        raise E2BError(Trouble(reason="failed", message=message)) from error


def outcome_of(result: Result, ending: str | None, cancellation: Cancellation | None) -> Outcome:
    """Return what the guest's *result* means; *ending* says whether we ended the command."""
    if result.kind == "failed":
        return NotStarted(reason=result.reason, message=result.message)
    if result.kind == "lost":
        return Lost(message=f"cannot tell how the command ended: {result.message}")
    usage = Usage(
        duration_us=result.duration_us, cpu_us=result.cpu_us, peak_memory_kb=result.peak_kb
    )
    if ending == "timed out":
        return TimedOut(usage=usage)
    if ending == "cancelled":
        return Cancelled(usage=usage, signal=None if cancellation is None else cancellation.signal)
    return Executed(
        usage=usage,
        exit_code=result.exit_code,
        signal=result.signal,
        killed_by_memory_limit=result.kills > 0,
    )


def encode_text(text: str) -> str:
    """Return the bytes of *text*, as the operating system has them, in base64."""
    return base64.b64encode(os.fsencode(text)).decode("ascii")


def decode_text(encoded: str) -> str:
    """Return what `encode_text` was given."""
    return os.fsdecode(base64.b64decode(encoded))
