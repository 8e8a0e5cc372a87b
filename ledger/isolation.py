"""What a sandbox guarantees, and what is lost when another one is used.

Rule 1: isolation is stated twice, as asked and as had, on the same six axes.
Rule 2: what cannot be shown to hold is not claimed; the weaker word is recorded.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Boundary = Literal["machine", "vm", "container", "namespace", "process"]
Filesystem = Literal["workspace", "host"]
Network = Literal["none", "host"]
Processes = Literal["own", "host"]
Record = Literal["out_of_reach", "reachable"]
Axis = Literal["boundary", "filesystem", "network", "processes", "limits", "record"]

AXES: tuple[Axis, ...] = ("boundary", "filesystem", "network", "processes", "limits", "record")

_STRENGTH: dict[str, int] = {"process": 0, "namespace": 1, "container": 2, "vm": 3, "machine": 4}

# What a kind promises by its nature; network, file system and limits are the policy's to ask.
_BOUNDARY_OF_KIND: dict[str, Boundary] = {
    "e2b": "machine",
    "docker": "container",
    "bubblewrap": "namespace",
    "local": "process",
}


class Limits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Resource limits, in mebibytes and counts; `None` is no limit."""

    memory_mb: int | None = None
    processes: int | None = None
    output_mb: int | None = None


class Isolation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What stands between a command and the machine that runs it."""

    boundary: Boundary
    filesystem: Filesystem
    network: Network
    processes: Processes
    limits: Limits
    record: Record


def asked_of(kind: str, *, filesystem: Filesystem, network: Network, limits: Limits) -> Isolation:
    """Return the isolation that a policy asks for when it names a sandbox of this *kind*."""
    boundary = _BOUNDARY_OF_KIND.get(kind, "process")
    return Isolation(
        boundary=boundary,
        filesystem=filesystem,
        network=network,
        processes="own",
        limits=limits,
        record="reachable" if boundary == "process" else "out_of_reach",
    )


def lost(asked: Isolation, had: Isolation) -> tuple[Axis, ...]:
    """
    Return the axes on which *had* is weaker than *asked*, in the order of `AXES`.

    A limit is lost if it was asked for and is not set, or is set higher.
    """
    weaker: dict[Axis, bool] = {
        "boundary": _STRENGTH[had.boundary] < _STRENGTH[asked.boundary],
        "filesystem": asked.filesystem == "workspace" and had.filesystem == "host",
        "network": asked.network == "none" and had.network == "host",
        "processes": asked.processes == "own" and had.processes == "host",
        "limits": any(
            _looser(getattr(asked.limits, name), getattr(had.limits, name))
            for name in Limits.__struct_fields__
        ),
        "record": asked.record == "out_of_reach" and had.record == "reachable",
    }
    return tuple(axis for axis in AXES if weaker[axis])


def _looser(asked: int | None, had: int | None) -> bool:
    return asked is not None and (had is None or had > asked)
