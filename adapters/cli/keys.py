"""`gesta key`: the key that signs the log, for others to keep, and how it is changed."""

from __future__ import annotations

import click

from adapters.cli.printing import tell, tell_json, warn


@click.group("key")
def key_command() -> None:
    """Show and change the key that signs the log."""


@key_command.command("show")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
def show_command(json: bool) -> None:
    """
    Print the log's public key, as a vkey, for `gesta verify --key`.

    While a key is being replaced there are two lines, the new key first.
    """
    from adapters.wiring import open_ledger
    from ledger.note import format_vkey

    with open_ledger() as ledger:
        keys = [format_vkey(signer.key) for signer in ledger.hands.keys.signers()]
        origin = ledger.hands.keys.name
    if json:
        tell_json({"origin": origin, "keys": keys})
        return
    for key in keys:
        tell(key)


@key_command.command("rotate")
@click.option("--finish", is_flag=True, help="End the overlap: the old key stops signing.")
@click.option("--lost", is_flag=True, help="The old key is gone and cannot say which one follows.")
def rotate_command(finish: bool, lost: bool) -> int:
    """
    Make a new key for the log and print it.

    The old key says on record that the new one follows, and both sign until --finish: tell those
    who keep the old key, and your witnesses, in the meantime.
    """
    from adapters.key_rotation import begin_rotation, end_rotation
    from adapters.wiring import key_file_of, open_ledger
    from ledger.note import format_vkey

    if finish and lost:
        raise click.UsageError("--finish and --lost exclude one another")
    with open_ledger() as ledger:
        keys = key_file_of(ledger)
        if finish:
            key = end_rotation(ledger.journal, keys)
        else:
            key = begin_rotation(ledger.journal, keys, ledger.provenance(None), lost=lost)
    tell(format_vkey(key))
    if not finish and not lost:
        warn("both keys sign now; `gesta key rotate --finish` when the new one is known")
    return 0
