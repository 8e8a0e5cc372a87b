"""A sandbox that asserts the contract of its port, and that every intent is on record first."""

from __future__ import annotations

from pathlib import Path

from ledger import events as e
from ledger.isolation import Isolation
from ledger.ostext import to_os
from ledger.outcomes import Outcome, RemovalFailed, Removed, SandboxMade, Unavailable
from ledger.ports import Cancellation, Command, SandboxWish
from ledger.secret_names import WITHHELD
from tests.fakes.machine import Machine, Witness


class FakeSandbox:
    """
    A `Sandbox` of *kind* on *machine*, which dies with its process.

    *gives* is the isolation that it really has in the end, by default what it offered.
    """

    def __init__(
        self, kind: str, machine: Machine, witness: Witness, gives: Isolation | None = None
    ) -> None:
        self.kind = kind
        self._machine = machine
        self._witness = witness
        self._gives = gives
        self._wish: SandboxWish | None = None
        self._id = ""
        self.removal: Removed | RemovalFailed = Removed()
        self.closed = 0

    def prepare(self) -> None:
        """Begin what takes time, before anything else is asked."""
        self._machine.fuse.pass_by("sandbox.prepare")
        assert self._wish is None, "prepared after it was made"
        self._machine.prepared.add(id(self))

    def offer(self, wish: SandboxWish) -> Isolation | Unavailable:
        """Say what the machine gives, for a run that is on record."""
        self._machine.fuse.pass_by("sandbox.offer")
        assert isinstance(self._witness(wish.stream)[0], e.RunOpened)
        return self._machine.kinds[self.kind]

    def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
        """Create it, once an object, under a name of home, stream and ordinal alone."""
        self._machine.fuse.pass_by("sandbox.create")
        assert self._wish is None, "created twice"
        given = self._gives or self._machine.kinds[self.kind]
        assert isinstance(given, Isolation), "created though there was none to be had"
        history = self._witness(wish.stream)
        assert isinstance(history[0], e.RunOpened)
        assert not any(isinstance(event, e.RunCompleted) for event in history)
        self._wish = wish
        self._id = f"gesta-{wish.home_id}-{wish.stream}-{wish.ordinal}"
        self._machine.sandboxes.add(self._id)
        self._machine.fuse.pass_by("sandbox.created")
        return SandboxMade(
            kind=self.kind,
            id=self._id,
            isolation=given,
            lifetime="command",
            persists=("files",),
        )

    def attach(self, wish: SandboxWish, id: str) -> SandboxMade | Unavailable:
        """Take hold of what an earlier process made, unless the kind is gone from the machine."""
        self._machine.fuse.pass_by("sandbox.attach")
        assert self._wish is None, "attached though it has one"
        assert id == f"gesta-{wish.home_id}-{wish.stream}-{wish.ordinal}"
        given = self._gives or self._machine.kinds[self.kind]
        if isinstance(given, Unavailable):
            return given
        self._wish, self._id = wish, id
        self._machine.sandboxes.add(id)
        return SandboxMade(
            kind=self.kind, id=id, isolation=given, lifetime="command", persists=("files",)
        )

    def remove(self, id: str) -> Removed | RemovalFailed:
        """End what an earlier process made, by its id alone."""
        self._machine.fuse.pass_by("sandbox.remove")
        assert self._wish is None, "removed though it is in hand"
        self._machine.sandboxes.discard(id)
        return Removed()

    def resolve(self, name: str, cwd: Path, env: dict[str, str]) -> str | None:
        """Return the file that *name* runs."""
        assert self._id in self._machine.sandboxes, "asked before it was there"
        assert cwd.is_absolute()
        assert "GESTA_RUN" in env
        base = name.rsplit("/", 1)[-1]
        return f"/usr/bin/{base}" if base in self._machine.programs else None

    def execute(self, command: Command, cancellation: Cancellation | None) -> Outcome:
        """Run a program of the machine; its request is the last thing on record."""
        self._machine.fuse.pass_by("sandbox.execute")
        assert self._wish is not None
        assert self._id in self._machine.sandboxes, "executed after its end"
        self._check_intent(command, self._witness(self._wish.stream))
        self._machine.executed.append(command)
        process = len(self._machine.executed)
        self._machine.running.add(process)
        command.started((process,))
        outcome = self._machine.programs[command.argv[0]](command)
        self._machine.fuse.pass_by("sandbox.executed")
        self._machine.running.discard(process)
        return outcome

    def close(self) -> Removed | RemovalFailed:
        """End it; closing twice is closing once."""
        self._machine.fuse.pass_by("sandbox.close")
        self.closed += 1
        self._machine.sandboxes.discard(self._id)
        self._machine.prepared.discard(id(self))
        self._machine.fuse.pass_by("sandbox.closed")
        return self.removal

    @staticmethod
    def _check_intent(command: Command, history: list[e.Event]) -> None:
        requested = history[-1]
        assert isinstance(requested, e.CommandRequested), "executed without an intent on record"
        created = [event for event in history if isinstance(event, e.SandboxCreated)]
        assert requested.sandbox == created[-1].ordinal
        assert requested.had == created[-1].had
        text = requested.private
        assert isinstance(text, e.CommandText)
        if text.argv_blob is None:
            for given, recorded in zip(command.argv, map(to_os, text.argv), strict=True):
                assert given == recorded or "[redacted:" in recorded
        assert text.executable is not None
        assert command.executable == to_os(text.executable)
        assert str(command.cwd) == to_os(text.cwd)
        assert requested.time_limit == command.time_limit_s
        said = {name: to_os(value) for name, value in text.env.items()}
        assert said.keys() == command.env.keys()
        assert all(value in (command.env[name], WITHHELD) for name, value in said.items())
