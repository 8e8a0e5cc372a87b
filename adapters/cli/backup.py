"""`gesta backup` and `gesta restore`: a ledger in one file, and the ledger that goes on from it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from adapters.cli.opening_flags import JSON
from adapters.cli.printing import tell, tell_json, warn
from adapters.cli.times import plural


@click.command("backup")
@click.option("--with-keys", is_flag=True, help="Signing keys too; keep the file as safe as them.")
@JSON
@click.argument("file", type=click.Path(path_type=Path))
def backup_command(file: Path, with_keys: bool, json: bool) -> int:
    """
    Write the whole ledger to FILE, while it is in use: events, blobs and profiles.

    FILE must not exist, and appears whole or not at all. The exit code is 1 if a blob that is on
    record was missing from the store, and so is from the backup.
    """
    from adapters.upkeep import write_backup

    done = write_backup(file.absolute(), os.environ, with_keys=with_keys)
    for digest in done.missing:
        warn(f"blob {digest} is missing or damaged in the store; it is not in the backup")
    if json:
        tell_json(done)
    else:
        keys = f", {plural(done.keys, 'key')}" if with_keys else ""
        tell(
            f"{done.file}: {plural(done.events, 'event')}, {plural(done.blobs, 'blob')}, "
            f"{plural(done.profiles, 'profile')}{keys}; root {done.root}"
        )
    return 1 if done.missing else 0


@click.command("restore")
@click.option(
    "--home", metavar="DIR", type=click.Path(path_type=Path), help="In place of $GESTA_HOME."
)
@JSON
@click.argument("file", type=click.Path(path_type=Path))
def restore_command(file: Path, home: Path | None, json: bool) -> None:
    """
    Put the backup FILE into a home that is empty or not there, and go on with its ledger.

    Everything is checked first: every event against the tree, every blob against its name. The
    ledger goes on under a new home id and a new key, so that it and the original are never taken
    for one another; its first new event names the checkpoint that it goes on from.
    """
    from adapters.upkeep import restore_backup

    done = restore_backup(file, home, os.environ)
    for digest in done.missing:
        warn(f"blob {digest} was missing when the backup was made")
    if json:
        tell_json(done)
    else:
        tell(f"{done.home}: {plural(done.events, 'event')} of ledger {done.ledger}, checked")
        tell(f"home {done.home_id}, restored from home {done.from_home}; root {done.root}")
