"""One thing that exists and should not, or should and does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from ledger.hands import Hands
    from ledger.recorded import Provenance
    from ledger.run import Run

What = Literal["worktree", "sandbox", "ref", "blob", "draft", "room", "outcome"]
Done = Literal["removed", "recorded", "left"]


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was found, and what was done about it.

    *name* is its path, id or ref; *run* is `TASK/RUN` where one is on record. *done* of `None` is
    nothing yet; *left* is that it is not to be touched, or, with *trouble*, could not be.
    """

    what: What
    name: str
    stream: str | None = None
    run: str | None = None
    why: str
    done: Done | None = None
    trouble: str | None = None


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """
    One look at everything, and who looks.

    *act* of `False` changes nothing; *kept* is whether worktrees go that their policy keeps.
    """

    hands: Hands
    who: Provenance
    act: bool
    kept: bool


def ended(drift: Drift, trouble: str | None, done: Done) -> Drift:
    """Return *drift* with what was *done*, unless *trouble* stood in the way."""
    return msgspec.structs.replace(drift, done=done if trouble is None else "left", trouble=trouble)


def run_name(run: Run) -> str | None:
    """Return `TASK/RUN`, or `None` of a run that is not on record."""
    return f"{run.task}/{run.run}" if run.run else None
