"""How a made-up run ends: closed, or abandoned and ended by recovery."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.made.life import HOUR, Life, Step
from benchmarks.made.work import request_command
from ledger import events as e
from ledger.events import BlobName


def _capture(life: Life) -> Iterator[Step]:
    rng = life.rng
    size = int(rng.lognormvariate(8, 1))
    yield life.say(
        e.PatchCaptured(
            ending=True,
            size=size,
            files=rng.randrange(1, 12),
            insertions=size // 40,
            deletions=size // 120,
            untracked=rng.randrange(0, 3),
            commits=0,
            private=e.PatchText(patch=BlobName(life.digest(), size), tree=life.digest()[:40]),
        ),
        0.2,
    )
    for number in range(rng.choice((0, 0, 0, 1, 1, 2))):
        _, name, blobs = life.outputs.next()
        text = e.ArtifactText(path=f"report-{number}.xml", blob=name)
        yield life.say(e.ArtifactStored(ending=True, size=name.size, private=text), 0.01, *blobs)


def _clean_up(life: Life) -> Generator[Step, None, list[tuple[e.Resource, int]]]:
    """Clean up; the generator returns what has leaked."""
    leaked: list[tuple[e.Resource, int]] = []
    used: list[tuple[e.Resource, int]] = [("worktree", 1)]
    if life.sandboxes:
        used.insert(0, ("sandbox", life.sandboxes))
    for resource, ordinal in used:
        if life.rng.random() < 0.015:
            leaked.append((resource, ordinal))
            yield life.say(
                e.CleanupFailed(
                    ending=True,
                    resource=resource,
                    ordinal=ordinal,
                    reason="in_use" if resource == "worktree" else "failed",
                    private=e.CleanupText(name=life.path, message="it is busy"),
                )
            )
        else:
            yield life.say(e.CleanedUp(ending=True, resource=resource, ordinal=ordinal), 0.1)
    return leaked


def close(life: Life, *, cancelled: bool) -> Iterator[Step]:
    """End the run in order, and seal it."""
    if life.commands or life.files:
        yield from _capture(life)
    leaked = yield from _clean_up(life)
    outcome: e.RunOutcome = "failed" if life.failures else "succeeded"
    reason: Any = "commands"
    text: Any = e.UNSET
    if cancelled:
        outcome, reason = "cancelled", "signal"
    elif life.failures and life.rng.random() < 0.5:
        outcome, reason = "succeeded", "asked"
        text = e.ReasonText(message="the failures were expected")
    yield life.say(e.RunCompleted(outcome=outcome, reason=reason, private=text))
    yield life.say(None)
    yield from _clean_later(life, leaked)


def _clean_later(life: Life, leaked: list[tuple[e.Resource, int]]) -> Iterator[Step]:
    if not leaked or life.rng.random() < 0.4:
        return
    life.at += 24 * HOUR
    for resource, ordinal in leaked:
        yield life.say(e.CleanedUp(ending=False, resource=resource, ordinal=ordinal))
    yield life.say(None)


def be_abandoned(life: Life) -> Iterator[Step]:
    """Die in the middle of a command, and be ended by recovery hours later."""
    lost_commands: tuple[str, ...] = ()
    if life.had is not None and life.rng.random() < 0.7:
        requested = request_command(life, ("npm", "test"))
        yield life.say(requested, 2.0)
        life.at += life.rng.randrange(1, 30) * HOUR
        yield life.say(e.CommandLost(command=requested.command, reason="process"))
        lost_commands = (requested.command,)
    if life.commands or life.files:
        yield from _capture(life)
    leaked = yield from _clean_up(life)
    yield life.say(e.RunAbandoned(lost=lost_commands))
    yield life.say(None)
    yield from _clean_later(life, leaked)
