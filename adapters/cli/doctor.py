"""`gesta doctor`: what works on this machine, and the one reason for what does not.

Rule: it changes nothing but what any command does (a home is made if there is none), and starts
nothing but git and the sandboxes' own probes.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from adapters.cli.printing import tell_json
from ledger.errors import GestaError

if TYPE_CHECKING:
    from ledger.isolation import Isolation
    from ledger.ledger import Ledger
    from ledger.rules import Rules

_LEAST_DISK = 100_000_000
_KINDS = ("e2b", "docker", "bubblewrap", "local")


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; *wrong* is what keeps gesta from working as it should."""

    name: str
    state: Literal["ok", "not here", "wrong"]
    said: str


@click.command("doctor")
@click.option("--json", "json", is_flag=True, help="Print a JSON array.")
def doctor_command(json: bool) -> int:
    """Say what works on this machine; the exit code is 1 if something is wrong."""
    from adapters.cli.tables import print_table

    findings = list(_findings())
    if json:
        tell_json(findings)
    else:
        rows = [(finding.name, finding.state, finding.said) for finding in findings]
        print_table(("", "", "~"), rows)
    return int(any(finding.state == "wrong" for finding in findings))


def _findings() -> Iterator[Finding]:
    from adapters.wiring import open_ledger

    yield _git()
    try:
        ledger = open_ledger()
    except GestaError as error:
        yield Finding("home", "wrong", str(error))
        return
    with ledger:
        home = Path(ledger.hands.told["GESTA_HOME"])
        yield Finding("home", "ok", f"{home}, mode {stat.S_IMODE(home.stat().st_mode):04o}")
        yield _disk(home)
        yield _tried("store", lambda: _store(ledger, home))
        yield from _views(ledger)
        yield from _sandboxes()


def _tried(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except (GestaError, OSError) as error:
        return Finding(name, "wrong", str(error))


def _git() -> Finding:
    import subprocess

    program = shutil.which("git")
    if program is None:
        return Finding("git", "not here", "git is not on PATH; runs work in copies of directories")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return Finding("git", "ok", f"{done.stdout.strip()}, {program}")


def _disk(home: Path) -> Finding:
    from adapters.cli.times import size

    free = shutil.disk_usage(home).free
    state: Literal["ok", "wrong"] = "ok" if free >= _LEAST_DISK else "wrong"
    return Finding("disk", state, f"{size(free)} free")


def _store(ledger: Ledger, home: Path) -> Finding:
    from adapters.cli.times import plural, size
    from adapters.sqlite.schema import STORE_VERSION

    store = ledger.journal.store
    files = [path for path in home.glob("ledger.db*") if path.is_file()]
    taken = size(sum(path.stat().st_size for path in files))
    events = plural(store.tree_head().size, "event")
    return Finding("store", "ok", f"version {STORE_VERSION}, {events}, {taken}")


def _views(ledger: Ledger) -> Iterator[Finding]:
    from adapters.cli.reading import stopped_words
    from adapters.cli.times import plural
    from adapters.wiring import open_reader

    size = ledger.journal.store.tree_head().size
    try:
        with open_reader(ledger) as reader:
            standings = reader.views.standings()
    except GestaError as error:
        yield Finding("views", "wrong", str(error))
        return
    if not standings:
        yield Finding("views", "ok", "none yet; they are made when they are first asked for")
    for standing in standings:
        behind = size - 1 - standing.position
        said = f"version {standing.version}, {plural(behind, 'event')} behind"
        if standing.failure is None:
            yield Finding(f"view {standing.name}", "ok", said)
        else:
            yield Finding(f"view {standing.name}", "wrong", stopped_words(standing))


def _sandboxes() -> Iterator[Finding]:
    from adapters.profiles import PolicyProvider
    from ledger.overrides import wanted_kinds

    try:
        rules = PolicyProvider().load()
    except GestaError as error:
        yield Finding("profile", "wrong", str(error))
        return
    wanted = wanted_kinds(rules.facts)
    offers = {kind: _offer(rules, kind) for kind in dict.fromkeys((*wanted, *_KINDS))}
    yield _profile(rules, wanted, offers)
    for kind, (offer, why) in offers.items():
        if offer is None:
            yield Finding(f"sandbox {kind}", "not here", why)
        else:
            from adapters.cli.show import isolation_words

            yield Finding(f"sandbox {kind}", "ok", isolation_words(offer))
    yield _namespaces(offers["local"][0])
    yield _control_groups()


def _profile(
    rules: Rules, wanted: tuple[str, ...], offers: dict[str, tuple[Isolation | None, str]]
) -> Finding:
    from ledger.isolation import lost
    from ledger.overrides import asked_isolation

    asked = asked_isolation(rules.facts)
    said = f"{rules.texts.profile}: wants {wanted[0]}"
    for kind in wanted:
        offer = offers[kind][0]
        if offer is None:
            continue
        weaker = lost(asked, offer)
        if set(weaker) <= set(rules.facts.may_lose):
            without = f" without {', '.join(weaker)}" if weaker else ""
            return Finding("profile", "ok", f"{said}; a run here gets {kind}{without}")
    return Finding("profile", "wrong", f"{said}; no sandbox that it permits can be had here")


def _offer(rules: Rules, kind: str) -> tuple[Isolation | None, str]:
    from adapters.wiring.sandboxes import make_sandbox
    from ledger.outcomes import Unavailable
    from ledger.overrides import asked_isolation
    from ledger.ports import SandboxWish

    sandbox = make_sandbox(kind, os.environ)
    if isinstance(sandbox, Unavailable):
        return None, sandbox.message
    asked = asked_isolation(rules.facts)
    with tempfile.TemporaryDirectory(prefix="gesta-doctor-") as directory:
        offer = sandbox.offer(
            SandboxWish(
                home_id="doctor",
                stream="doctor",
                ordinal=1,
                workspace=Path(directory),
                filesystem=asked.filesystem,
                network=asked.network,
                limits=asked.limits,
                image=rules.texts.image,
                read_only=rules.texts.read_only,
            )
        )
        sandbox.close()
    return (None, offer.message) if isinstance(offer, Unavailable) else (offer, "")


def _namespaces(offer: Isolation | None) -> Finding:
    if offer is not None and offer.processes == "own":
        return Finding("namespaces", "ok", "commands get a process namespace of their own")
    said = "no process namespace can be made; a command's processes are found by descent"
    return Finding("namespaces", "not here", said)


def _control_groups() -> Finding:
    from adapters.supervisor.limits import find_group

    found = [name for name in ("memory", "pids") if find_group(name) is not None]
    if found:
        return Finding("cgroups", "ok", f"limits of a command's whole tree: {', '.join(found)}")
    said = "no control group is ours to divide; a memory limit is that of each process"
    return Finding("cgroups", "not here", said)
