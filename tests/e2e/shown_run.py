"""A real run, recorded by a ledger of its own, and what was handed out of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from adapters import open_ledger
from ledger.evidence import log_keys
from ledger.note import format_vkey
from ledger.signing import VerifierKey
from tests.cli.gesta import gesta


class Shown(msgspec.Struct, frozen=True):
    """The evidence of a run, the trusted root beside it, the log's key and its home."""

    home: Path
    evidence: Path
    root: Path
    key: VerifierKey

    @property
    def vkey(self) -> str:
        """The key as a person is told it."""
        return format_vkey(self.key)

    @property
    def document(self) -> dict[str, Any]:
        """A copy of the evidence, to be edited."""
        found: dict[str, Any] = json.loads(self.evidence.read_bytes())
        return found

    @property
    def bundle(self) -> dict[str, Any]:
        """A copy of the Sigstore bundle in it."""
        found: dict[str, Any] = self.document["bundle"]
        return found


def show_run(directory: Path) -> Shown:
    """Record a run of three commands with the local sandbox, between two others; show it."""
    home, work = directory / "home", directory / "work"
    work.mkdir(parents=True)
    (work / "input.txt").write_text("from the caller\n")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "GESTA_HOME": str(home)}
    with open_ledger(environment=environment) as ledger:
        for name in ("before", "shown", "after"):
            with ledger.run(task="T-1", run=name, profile="local", directory=work) as run:
                run.execute(["sh", "-c", "echo out of the run; echo more >> input.txt"])
                run.execute(["sh", "-c", "echo trouble >&2; exit 3"])
                run.write_file("notes.txt", b"a note\n")
        key = log_keys(ledger.journal)[-1]
    evidence, root = directory / "evidence.json", directory / "trusted-root.json"
    done = gesta(
        *("evidence", "T-1/shown", "-o", str(evidence), "--blobs", "--trusted-root", str(root)),
        cwd=work,
        GESTA_HOME=str(home),
    )
    assert 0 == done.code, done.err
    return Shown(home, evidence, root, key)


def edited(value: Any) -> Iterator[Any]:
    """
    Yield *value* (JSON) with one edit each, at every place in it.

    Text has one character changed, numbers are one more, lists are one shorter and one longer,
    objects lack one key.
    """
    for way, found in _places(value, ()):
        for other in _others(found):
            changed = copy.deepcopy(value)
            holder = changed
            for name in way[:-1]:
                holder = holder[name]
            holder[way[-1]] = other
            yield changed


def _places(value: Any, way: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if way:
        yield way, value
    if isinstance(value, dict | list):
        for name in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[name], (*way, name))


def _others(value: Any) -> Iterator[Any]:
    match value:
        case bool() | None:
            yield 7
        case int():
            yield value + 1
        case str():
            for at in {0, len(value) // 2, len(value) - 3} if len(value) > 3 else ():
                other = "A" if value[at] != "A" else "B"
                yield value[:at] + other + value[at + 1 :]
            yield f"{value} "
        case list():
            yield [*value, *value[:1]]
            yield value[1:]
        case dict():
            for name in value:
                yield {key: one for key, one in value.items() if key != name}
