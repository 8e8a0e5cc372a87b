"""`gesta store`: the event store itself, made and brought to the version of this gesta."""

from __future__ import annotations

import os

import click
import msgspec

from adapters.cli.opening_flags import JSON
from adapters.cli.printing import tell, tell_json


class Made(msgspec.Struct, frozen=True):
    """Where a store is, and of which ledger and version."""

    home: str
    ledger: str
    version: int


@click.group("store")
def store_command() -> None:
    """Make the event store, or bring it to this version."""


@store_command.command("init")
@JSON
def init_command(json: bool) -> None:
    """
    Make the home and its ledger, if there is none, and say where they are.

    Every other command does so too when it needs them.
    """
    from adapters.home import locate_home
    from adapters.sqlite.schema import STORE_VERSION
    from adapters.wiring import open_ledger

    with open_ledger() as ledger:
        made = Made(str(locate_home(os.environ)), ledger.journal.store.ledger_id, STORE_VERSION)
    if json:
        tell_json(made)
    else:
        tell(f"ledger {made.ledger} in {made.home}")


@store_command.command("migrate")
@JSON
def migrate_command(json: bool) -> None:
    """
    Bring a store that an older gesta wrote to this version; nothing recorded is changed.

    A copy of the old store stays beside it. Refused while another process has the store open.
    """
    from adapters.upkeep import migrate_store

    done = migrate_store(os.environ)
    if json:
        tell_json(
            {"before": done.before, "after": done.after, "kept": done.kept and str(done.kept)}
        )
    elif done.kept is None:
        tell(f"the store is of version {done.after} already")
    else:
        tell(f"store migrated from version {done.before} to {done.after}; kept: {done.kept}")
