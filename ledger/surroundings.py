"""What a command is given: its file, its directory, its whole environment, its time.

Rule 1: a command runs in the run's workspace and nowhere else.
Rule 2: it gets the variables that the policy names, those that came with it, and what the ledger
tells it; nothing else of the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import msgspec

from ledger.commands import Execute
from ledger.errors import InputInvalid
from ledger.isolation import Isolation
from ledger.overrides import check_inside
from ledger.ports import Sandbox
from ledger.rules import RuleTexts
from ledger.session import Session


class Surroundings(msgspec.Struct, frozen=True):
    """*executable* is `None` where there is no such file; *time_limit* is in seconds."""

    executable: str | None
    cwd: Path
    env: dict[str, str]
    time_limit: float | None


def surround(
    session: Session,
    texts: RuleTexts,
    wanted: Execute,
    directory: Path,
    sandbox: Sandbox,
    had: Isolation,
) -> Surroundings:
    """Return the surroundings of *wanted* in *directory* of the sandbox."""
    env = environment(session, texts, wanted.env, had, wanted.caller)
    limit = session.intent.rules.timeout if wanted.time_limit is None else wanted.time_limit
    executable = sandbox.resolve(wanted.argv[0], directory, env)
    return Surroundings(executable, directory, env, limit or None)


def directory_of(session: Session, wanted: Execute) -> Path:
    """Return where the command runs: in the workspace, and nowhere else."""
    if wanted.cwd is None:
        return session.root / session.prefix
    try:
        inside = PurePosixPath(wanted.cwd)
        if inside.is_absolute():
            inside = inside.relative_to(session.root)
        return session.root / check_inside(str(inside))
    except ValueError:
        raise InputInvalid(
            f"cannot execute in {wanted.cwd!r}: it is not in the run's workspace"
        ) from None


def environment(
    session: Session,
    texts: RuleTexts,
    extra: dict[str, str],
    had: Isolation,
    caller: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """
    Return the whole environment of a command: what the policy names, and what it is told.

    *caller* takes the place of the caller's own environment.
    """
    if caller is None:
        caller = session.hands.environment
    env = {name: caller[name] for name in texts.env if name in caller}
    if "HOME" in env and session.sandbox_home is not None:
        # A home directory of this machine is nobody's in another one.
        env["HOME"] = session.sandbox_home
    env.update(extra)
    env["GESTA_RUN"] = session.stream
    env["TRACEPARENT"] = f"00-{session.who.trace}-{session.opened.id[:16]}-01"
    env["GIT_CEILING_DIRECTORIES"] = str(session.root.parent)
    if had.record == "reachable":
        env.update(session.hands.told)
    return env
