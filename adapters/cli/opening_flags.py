"""The flags that open a run, for `run` and `open` alike.

Rule: what is typed is checked here, before a ledger is opened: a refused id leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ledger.errors import InputInvalid
from ledger.ids import check_id
from ledger.overrides import LONGEST_TIMEOUT, Overrides, check_overrides, check_variable

if TYPE_CHECKING:
    from ledger.job import Job
    from ledger.ledger import Opening

_Function = TypeVar("_Function", bound=Callable[..., Any])

TIMEOUT = click.option(
    "--timeout",
    type=click.IntRange(1, LONGEST_TIMEOUT),
    metavar="SECONDS",
    help="Seconds that a command may take.",
)
ENV = click.option(
    "--env",
    "env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Pass a variable on, or set it; repeatable.",
)
ACTOR = click.option("--actor", metavar="WHO", help="Who acts, if not the user.")
JSON = click.option("--json", "json", is_flag=True, help="Print one JSON object.")

_FLAGS = (
    click.option("--task", metavar="T", help="The task that the run is for (adhoc)."),
    click.option("--run", "run_id", metavar="R", help="The run's id; one is made without it."),
    click.option("--profile", metavar="P", help="The policy profile (default)."),
    click.option("--sandbox", metavar="KIND", help="Use another kind of sandbox."),
    click.option("--no-worktree", is_flag=True, help="Work in a copy of the directory."),
    click.option("--base", metavar="COMMIT", help="Branch off here, not at the checkout's commit."),
    click.option("--branch", metavar="NAME", help="Make a branch for the worktree."),
    click.option(
        "--cwd",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Where to branch off; the command starts in the same subdirectory.",
    ),
    ENV,
    click.option(
        "--artifact", "artifacts", multiple=True, metavar="GLOB", help="Keep a file; repeatable."
    ),
    click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Repeatable."),
    ACTOR,
    TIMEOUT,
    JSON,
)


def opening_flags(function: _Function) -> _Function:
    """Give a command the flags that open a run."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def opening_of(flags: dict[str, Any], job: Job | None = None) -> Opening:
    """
    Return the opening that *flags* ask for; where they say nothing, *job* does.

    Raises `InputInvalid`.
    """
    task = flags["task"] if flags["task"] is not None or job is None else job.task
    run = flags["run_id"] if flags["run_id"] is not None or job is None else job.run
    for what, id in (("task", task), ("run", run)):
        if id is not None:
            check_id(what, id)
    for flag in ("base", "actor"):
        check_line(f"--{flag}", flags[flag])
    return {
        "task": task,
        "run": run,
        "profile": flags["profile"] or (job.profile if job else None),
        "overrides": _overrides(flags, job),
        "base": flags["base"],
        "labels": {**(job.labels if job else {}), **_labels(flags["labels"])},
        "directory": Path.cwd() / flags["cwd"] if flags["cwd"] else None,
        "actor": flags["actor"] or (job.actor if job else None),
    }


def _overrides(flags: dict[str, Any], job: Job | None) -> Overrides:
    env = variables(flags["env"], job.env if job else {})
    overrides = Overrides(
        sandbox=flags["sandbox"],
        no_worktree=flags["no_worktree"],
        branch=flags["branch"],
        timeout=flags["timeout"],
        env=tuple(name for name, value in env.items() if value is None),
        artifacts=(*(job.artifacts if job else ()), *flags["artifacts"]),
    )
    check_overrides(overrides)
    return overrides


def check_line(flag: str, text: str | None) -> None:
    """Raise `InputInvalid` unless *text* is `None` or a line that can be put on record."""
    if text is not None and not (0 < len(text) <= 1000 and text.isprintable()):
        raise InputInvalid(
            f"cannot accept {flag} {text!r}: it must be one line of 1 to 1000 printable characters"
        )


def variables(flags: tuple[str, ...], under: dict[str, str | None]) -> dict[str, str | None]:
    """Return the variables of `--env` over those *under* them; `None` passes the caller's on."""
    given = dict(under)
    for flag in flags:
        name, equals, value = flag.partition("=")
        try:
            check_variable(name)
        except ValueError as error:
            raise InputInvalid(f"cannot accept --env {name!r}: it {error}") from error
        given[name] = value if equals else None
    return given


def _labels(flags: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for flag in flags:
        key, equals, value = flag.partition("=")
        if not equals or not key or not flag.isprintable() or len(flag) > 400:
            raise InputInvalid(
                f"cannot accept --label {flag!r}: it must be KEY=VALUE, one line of at most 400 "
                "printable characters"
            )
        labels[key] = value
    return labels
