"""The machine below the fakes: what is on it survives a process, but for what the process ran.

Rule: fakes share one machine and one witness; the witness reads the store, which no adapter does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ledger.events import Event
from ledger.isolation import Isolation, Limits
from ledger.liveness import Marked
from ledger.outcomes import Executed, Outcome, Unavailable, Usage
from ledger.ports import Command, Repository
from tests.fakes.fuse import Fuse

LOCAL = Isolation(
    boundary="process",
    filesystem="host",
    network="host",
    processes="host",
    limits=Limits(output_mb=64),
    record="reachable",
)
ABSENT = {
    "e2b": Unavailable(reason="no_key", message="E2B_API_KEY is not set"),
    "bubblewrap": Unavailable(reason="not_installed", message="bwrap is not installed"),
}
REPOSITORY = Repository(
    root="/home/ann/code", common_dir="/home/ann/code/.git", prefix="src", head="c0" * 20
)

Witness = Callable[[str], list[Event]]
Program = Callable[[Command], Outcome]


def echo(command: Command) -> Outcome:
    """Print the arguments, as `echo` does."""
    command.stdout(" ".join(command.argv[1:]).encode("utf-8", "surrogateescape") + b"\n")
    return Executed(exit_code=0, usage=Usage(duration_us=5, cpu_us=3, peak_memory_kb=100))


def false(command: Command) -> Outcome:
    """Complain and exit with 1."""
    command.stderr(b"no\n")
    return Executed(exit_code=1, usage=Usage(duration_us=5))


class Machine:
    """
    What exists outside the ledger.

    *trees* are the workspaces with their files, *sandboxes* the ids of those that live, *marked*
    those of them that outlive a process, *prepared* the objects that began something for one.
    *kinds* says of each kind of sandbox what it gives here or why not; *programs* do what a command
    does. *notes* are the files of the locks, *spooled* those of the spool, *running* the processes
    of commands that were not ended, of which the *stubborn* cannot be.
    """

    def __init__(self) -> None:
        self.fuse = Fuse()
        self.trees: dict[Path, dict[str, bytes]] = {}
        self.makers: dict[Path, str] = {}
        self.sandboxes: set[str] = set()
        self.marked: dict[str, Marked] = {}
        self.prepared: set[int] = set()
        self.files: dict[str, bytes] = {}
        self.locked: set[str] = set()
        self.notes: dict[str, tuple[int, ...]] = {}
        self.spooled: dict[str, bytes] = {}
        self.rooms: set[str] = set()
        self.running: set[int] = set()
        self.stubborn: set[int] = set()
        self.kinds: dict[str, Isolation | Unavailable] = {**ABSENT, "local": LOCAL}
        self.programs: dict[str, Program] = {"echo": echo, "false": false}
        self.survey: Repository | Unavailable = REPOSITORY
        self.executed: list[Command] = []

    def end_process(self) -> None:
        """Let the process die: its locks are free, and its sandboxes die with it."""
        self.locked.clear()
        self.sandboxes.clear()
        self.prepared.clear()
        self.fuse.mend()
