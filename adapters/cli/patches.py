"""`gesta diff` and `gesta apply`: what a run changed, and putting it on a checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.cli.printing import tell, tell_bytes
from adapters.cli.times import plural
from ledger.errors import BlobMissing, RunNotFound, WorkspaceError

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from projections.run_view import RunView


@click.command("diff")
@click.option(
    "--from-base",
    is_flag=True,
    help="Put the uncommitted work that came along before it, as a patch against the base commit.",
)
@click.option("--raw", is_flag=True, help="At a terminal too, exactly the stored bytes.")
@click.argument("run", required=False)
def diff_command(run: str | None, from_base: bool, raw: bool) -> None:
    """Print what RUN, by default the newest, changed: a patch for `git apply`."""
    from adapters.wiring import open_ledger

    with open_ledger() as ledger:
        tell_bytes(_chunks(ledger, _view(ledger, run), from_base=from_base), raw=raw)


@click.command("apply")
@click.option("--check", is_flag=True, help="Change nothing; say whether it would apply.")
@click.argument("run", required=False)
def apply_command(run: str | None, check: bool) -> None:
    """
    Put what RUN, by default the newest, changed on the checkout we stand in.

    All of it or nothing: a patch that does not apply changes no file. Nothing is committed.
    """
    from adapters.git.patch_apply import apply_patch
    from adapters.wiring import open_ledger
    from ledger.outcomes import Unavailable

    with open_ledger() as ledger:
        view = _view(ledger, run)
        _check_whole(view)
        patch = b"".join(_chunks(ledger, view, from_base=False))
        found = ledger.hands.git.survey(Path.cwd())
        checkout = Path.cwd() if isinstance(found, Unavailable) else Path(found.root)
        files = plural(apply_patch(checkout, patch, check=check).files, "file")
        tell(f"{files} would change in {checkout}" if check else f"{files} changed in {checkout}")


def _check_whole(view: RunView) -> None:
    assert view.patch is not None
    if view.patch.redactions:
        raise WorkspaceError(
            f"cannot apply the patch of run {view.run.task}/{view.run.run}: a secret was taken out "
            "of it; `gesta diff` shows what is left"
        )


def _view(ledger: Ledger, run: str | None) -> RunView:
    from projections.run_view import view_of

    view = view_of(ledger.journal.history(ledger.find(run)))
    assert view is not None
    if view.patch is None:
        state = "it has not been closed" if view.run.ended_at is None else "none was captured"
        raise RunNotFound(f"cannot find a patch of run {view.run.task}/{view.run.run}: {state}")
    return view


def _chunks(ledger: Ledger, view: RunView, *, from_base: bool) -> Iterator[bytes]:
    assert view.patch is not None
    if from_base and view.worktree is not None:
        if view.worktree.manifest is None:
            raise BlobMissing("cannot print the patch from the base: its blob's name is missing")
        if view.worktree.patch is not None:
            # git applies several patches to one file in the order they come in.
            yield from ledger.hands.blobs.chunks(view.worktree.patch.sha256)
    if view.patch.sha256 is None:
        raise BlobMissing("cannot print the patch: the name of its blob is missing")
    if view.patch.size:
        yield from ledger.hands.blobs.chunks(view.patch.sha256)
