"""`gesta witness`: others vouch for our head, and we for the heads of others.

Rule: a witness on the machine of the ledger proves nothing about whoever has that machine; the
help says so where one is begun.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapters.cli.printing import tell, tell_json, warn

if TYPE_CHECKING:
    from adapters.witness_client import Asked
    from ledger.signing import VerifierKey
    from ledger.witness_policy import Policy


@click.group("witness")
def witness_command() -> None:
    """Have others vouch for the head; vouch for the heads of others."""


@witness_command.command("add")
@click.argument("url")
@click.argument("vkey")
@click.option("--name", help="What to call it here; by default its key's name.")
@click.option("--quorum", type=click.IntRange(1), help="How many of all are enough; default all.")
def add_command(url: str, vkey: str, name: str | None, quorum: int | None) -> None:
    """
    Have the witness at URL, whose key is VKEY, cosign the heads of this log.

    It must know this log: give its operator the line of `gesta key show`. From the next run's end
    on it is asked in the background; `gesta witness sync` asks it now.
    """
    from urllib.parse import urlsplit

    from adapters.wiring import home_of, open_ledger
    from adapters.wiring.verification import read_witnesses
    from adapters.witness_file import write_policy
    from ledger.errors import InputInvalid, ProofInvalid
    from ledger.witness_policy import KnownWitness, Policy, with_witness

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputInvalid(f"cannot use {url!r}: it is not a URL of http or https")
    with open_ledger() as ledger:
        policy = read_witnesses(ledger) or Policy()
        key = _key(vkey)
        witness = KnownWitness(name or key.name, key, url)
        try:
            grown = with_witness(policy, witness, quorum or len(policy.witnesses) + 1)
        except ProofInvalid as error:
            raise InputInvalid(str(error)) from error
        write_policy(home_of(ledger).witnesses, grown)
    tell(_quorum(grown))


@witness_command.command("sync")
@click.option("--timeout", type=float, default=10.0, show_default=True, help="Seconds for each.")
@click.option("--background", is_flag=True, hidden=True)
@click.option("--json", "json", is_flag=True, help="Print a JSON array.")
def sync_command(timeout: float, background: bool, json: bool) -> int:
    """
    Ask every witness to cosign the head now.

    Exit code 0: all that are asked have. 1: one has not. 3: one has seen another history.
    """
    from adapters.wiring import open_ledger
    from adapters.wiring.verification import ask_witnesses

    with open_ledger() as ledger:
        asked = ask_witnesses(ledger, wait=not background, seconds=timeout)
        for _ in range(8 if background else 0):
            # Whoever found us at it has left its head to us.
            if not asked or ledger.journal.store.tree_head().size == asked[0].size:
                break
            asked = ask_witnesses(ledger, wait=False, seconds=timeout)
    if json:
        tell_json(asked)
    else:
        _tell(asked)
    states = {one.state for one in asked}
    if "diverged" in states:
        return 3
    return int(bool(states & {"unreachable", "refused", "no_url"}))


@witness_command.command("list")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
def list_command(json: bool) -> None:
    """List the witnesses that are asked, and how many of them are enough."""
    from adapters.wiring import open_ledger
    from adapters.wiring.verification import read_witnesses
    from ledger.note import format_vkey
    from ledger.witness_policy import Policy

    with open_ledger() as ledger:
        policy = read_witnesses(ledger) or Policy()
    rows = [
        {"name": one.name, "key": format_vkey(one.key), "url": one.url} for one in policy.witnesses
    ]
    if json:
        tell_json({"quorum": policy.quorum, "witnesses": rows})
        return
    for row in rows:
        tell(f"{row['name']}  {row['url'] or '(no URL)'}  {row['key']}")
    if not rows:
        warn("no witness is asked; `gesta witness add URL VKEY`")


@witness_command.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8788, show_default=True)
@click.option("--log", "logs", multiple=True, metavar="VKEY", help="A log to vouch for.")
@click.option("--name", help="The witness's own name, when its key is made.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where its key and memory are; by default `witness` in the home.",
)
def serve_command(
    host: str, port: int, logs: tuple[str, ...], name: str | None, directory: Path | None
) -> None:
    """
    Be a witness for the logs of others, until interrupted.

    On the machine of the ledger it proves nothing about who has that machine: host it elsewhere.
    """
    from adapters.wiring.verification import make_witness
    from ledger.note import format_vkey

    server, key = make_witness(directory, name, [_key(log) for log in logs], host, port)
    with server:
        tell(f"{server.url} {format_vkey(key)}")
        sys.stdout.flush()
        server.serve_forever()


def _key(text: str) -> VerifierKey:
    from ledger.errors import InputInvalid, ProofInvalid
    from ledger.note import parse_vkey

    try:
        return parse_vkey(text)
    except ProofInvalid as error:
        raise InputInvalid(str(error)) from error


def _quorum(policy: Policy) -> str:
    least, count = policy.groups[-1].threshold, len(policy.witnesses)
    return f"{least} of {count} witnesses are enough"


def _tell(asked: list[Asked]) -> None:
    for one in asked:
        said = f": {one.said}" if one.said else ""
        tell(f"{one.witness}  {one.state}, head of {one.size} events{said}")
    if not asked:
        warn("no witness was asked; `gesta witness add URL VKEY`")
