"""Puts sandboxes together: ours by name, others by the entry-point group `gesta.sandboxes`.

Rule: a kind's module is imported when one of that kind is wanted, and no earlier.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.outcomes import Unavailable
from ledger.ports import Sandbox

ENTRY_POINTS = "gesta.sandboxes"


def make_sandbox(kind: str, environment: Mapping[str, str]) -> Sandbox | Unavailable:
    """
    Return a sandbox of this *kind*, not yet created, or why there is none here.

    Kinds that are not ours are looked up in the entry-point group `gesta.sandboxes`.
    """
    if kind == "local":
        from adapters.local_sandbox import LocalSandbox

        return LocalSandbox()
    if kind == "bubblewrap":
        from adapters.bubblewrap_sandbox import BubblewrapSandbox
        from adapters.home import locate_home

        return BubblewrapSandbox(locate_home(environment), environment)
    if kind == "docker":
        from adapters.docker_sandbox import DockerSandbox
        from adapters.home import locate_home

        return DockerSandbox(locate_home(environment), environment)
    if kind == "e2b":
        if not environment.get("E2B_API_KEY"):
            return Unavailable(reason="no_key", message="E2B_API_KEY is not set")
        from adapters.e2b_sandbox import E2BSandbox

        return E2BSandbox(environment)
    return _plugged_in(kind)


def marking_kinds() -> tuple[str, ...]:
    """Return the kinds whose sandboxes may outlive us: two of ours, and whatever is plugged in."""
    from importlib.metadata import entry_points

    return ("docker", "e2b", *(entry.name for entry in entry_points(group=ENTRY_POINTS)))


def _plugged_in(kind: str) -> Sandbox | Unavailable:
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS, name=kind):
        try:
            sandbox: Sandbox = entry.load()()
        except Exception as error:
            return Unavailable(reason="failed", message=f"its plug-in {entry.value}: {error}")
        return sandbox
    return Unavailable(reason="unknown_kind", message="no adapter for it is installed")
