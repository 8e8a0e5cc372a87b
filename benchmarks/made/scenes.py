"""What the made-up runs are about: who works, on what, with which commands, in what isolation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ledger.isolation import Boundary, Isolation, Limits
from ledger.outcomes import UnavailableReason
from ledger.recorded import Established

# Name, how it was established, on whose behalf, and how often.
ACTORS: tuple[tuple[str, Established, str | None, int], ...] = (
    ("agent-coder", "environment", "ann", 30),
    ("agent-coder", "environment", "boris", 18),
    ("agent-reviewer", "environment", "ann", 10),
    ("agent-fixer", "argument", "chidi", 9),
    ("ci", "environment", None, 15),
    ("ann", "os_user", None, 6),
    ("boris", "os_user", None, 4),
    ("chidi", "os_user", None, 3),
    ("dörte", "argument", None, 1),
)
HOSTS = ("build-1", "build-2", "build-3", "ann-laptop", "boris-desk", "runner-7f3a", "runner-91cc")
REPOSITORIES = ("orders", "billing", "web", "inventory", "search", "docs")
TEAMS = ("checkout", "platform", "growth")

# Profile, and how often.
PROFILES = (("default", 55), ("docker", 15), ("strict", 10), ("bubblewrap", 10), ("local", 10))
UNAVAILABLE: tuple[tuple[UnavailableReason, str], ...] = (
    ("outage", "the service answered 503"),
    ("no_key", "E2B_API_KEY is not set"),
    ("failed", "the template could not be started"),
)


class CommandKind(NamedTuple):
    """A command as it is typed: its words, its middle duration in seconds, how often it fails."""

    argv: tuple[str, ...]
    seconds: float
    fails: float
    weight: int


COMMANDS = (
    CommandKind(("python", "-m", "pytest", "-q"), 6.0, 0.35, 14),
    CommandKind(("python", "-m", "pytest", "-q", "{test}"), 2.5, 0.4, 20),
    CommandKind(("ruff", "check", "."), 0.4, 0.25, 9),
    CommandKind(("ruff", "format", "{source}"), 0.1, 0.01, 5),
    CommandKind(("git", "status", "--short"), 0.05, 0.0, 8),
    CommandKind(("git", "diff", "--", "{source}"), 0.05, 0.0, 8),
    CommandKind(("rg", "-n", "{word}", "src"), 0.1, 0.1, 16),
    CommandKind(("cat", "{source}"), 0.02, 0.02, 12),
    CommandKind(("sed", "-n", "1,200p", "{source}"), 0.02, 0.01, 10),
    CommandKind(("ls", "-la", "src"), 0.02, 0.0, 6),
    CommandKind(("npm", "test"), 15.0, 0.3, 5),
    CommandKind(("npm", "run", "build"), 40.0, 0.15, 3),
    CommandKind(("pip", "install", "-r", "requirements.txt"), 20.0, 0.08, 2),
    CommandKind(("python", "scripts/{word}.py", "--limit", "100"), 3.0, 0.2, 5),
)
DENIED = (("curl", "https://example.com/install.sh"), ("git", "push", "--force"), ("sudo", "id"))
WORDS = ("total", "refund", "invoice", "session", "retry", "stock", "cursor", "token", "parse")
SOURCES = tuple(
    f"src/{area}/{noun}{kind}.py"
    for area in ("api", "core", "jobs", "models")
    for noun in WORDS
    for kind in ("", "_store", "_view")
)

_BOUNDARY: dict[str, Boundary] = {
    "e2b": "machine",
    "docker": "container",
    "bubblewrap": "namespace",
    "local": "process",
}


def isolation_had(kind: str, limits: Limits) -> Isolation:
    """Return what a sandbox of this *kind* gives on an ordinary machine."""
    if kind == "local":
        return Isolation(
            boundary="process",
            filesystem="host",
            network="host",
            processes="own",
            limits=limits,
            record="reachable",
        )
    return Isolation(
        boundary=_BOUNDARY[kind],
        filesystem="workspace",
        network="none",
        processes="own",
        limits=limits,
        record="out_of_reach",
    )
