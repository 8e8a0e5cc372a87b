"""The E2B sandbox: commands on a machine of the run's own, in E2B's cloud.

Rule 1: the machine carries home id, stream and ordinal as metadata, nothing else; what is not
marked as ours is never touched.
Rule 2: without the network in the wish, the machine is made without one; the host never stands in.
Rule 3: the workspace is in both places. Before a command what changed here goes there, after it
what changed there comes back. Inside it is `~/workspace`: a command's directory below the
workspace is the same one below that; any other is taken as it is.
Rule 4: the SDK is imported and its clients are made when they are needed: a process that has used
them cannot fork (the child would wait for threads that it does not have).
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

import msgspec

from adapters.cancellation import is_requested
from adapters.e2b.account import E2BAccount, Wanted
from adapters.e2b.adapter import E2BSandboxAdapter
from adapters.e2b.cells import Interpreter
from adapters.e2b.errors import E2BError, Trouble
from adapters.e2b.machine import E2BMachine
from adapters.e2b.request import why_impossible
from adapters.e2b.residence import Residence
from ledger.cells import Cell
from ledger.isolation import Isolation, Limits
from ledger.liveness import Marked
from ledger.outcomes import (
    Cancelled,
    Executed,
    Lost,
    NotStarted,
    Outcome,
    RemovalFailed,
    Removed,
    SandboxMade,
    Unavailable,
    Usage,
)
from ledger.ports import Cancellation, Command, SandboxWish

__all__ = ["E2BSandbox", "E2BSandboxAdapter"]

_HOME, _STREAM, _ORDINAL = "gesta-home", "gesta-stream", "gesta-ordinal"


class E2BSandbox:
    """
    A `Sandbox` in E2B's cloud, by the key and addresses in *environment*.

    The provider's answer is waited for *patience_s* seconds.
    """

    kind = "e2b"

    def __init__(self, environment: Mapping[str, str], *, patience_s: float = 60.0) -> None:
        self._account = E2BAccount(environment, patience_s)
        self._machine: E2BMachine | None = None
        self._residence: Residence | None = None
        self._interpreter: Interpreter | None = None
        self._unclear: SandboxWish | None = None
        self._one_at_a_time = threading.Lock()

    @property
    def granted_s(self) -> int | None:
        """The seconds of life that the provider granted, renewed while commands run."""
        return None if self._machine is None else self._machine.lifetime_s

    def prepare(self) -> None:
        """Begin to import the SDK, which takes half a second; nothing waits for it here."""
        if importlib.util.find_spec("e2b") is not None:
            threading.Thread(target=_import_sdk, name="import e2b", daemon=True).start()

    def offer(self, wish: SandboxWish) -> Isolation | Unavailable:
        """Say what a machine would give; asks nobody."""
        if importlib.util.find_spec("e2b") is None:
            return Unavailable(
                reason="not_installed",
                message="the package e2b is not installed; install gesta[e2b]",
            )
        return _isolation(wish, wish.limits)

    def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
        """
        Make a machine and bring the workspace there.

        A create that was not answered may have succeeded (`unknown_effect`): `close` then looks
        for it by its metadata.
        """
        made = self._create(wish, _wanted(wish))
        if isinstance(made, Trouble) and made.fate == "gone":
            # The key of an earlier attempt brought back what that attempt had removed.
            wanted = _wanted(wish)
            fresh = msgspec.structs.replace(wanted, key=f"{wanted.key}-{token_hex(4)}")
            made = self._create(wish, fresh)
        return made.unavailable("create a sandbox at E2B") if isinstance(made, Trouble) else made

    def _create(self, wish: SandboxWish, wanted: Wanted) -> SandboxMade | Trouble:
        try:
            self._machine = E2BMachine(*self._account.create(wanted))
        except E2BError as error:
            self._unclear = wish if error.trouble.unknown_effect else None
            return error.trouble
        try:
            return self._move_in(wish, self._machine, there=False)
        except E2BError as error:
            left = isinstance(self.close(), RemovalFailed)
            return msgspec.structs.replace(error.trouble, unknown_effect=left)

    def attach(self, wish: SandboxWish, id: str) -> SandboxMade | Unavailable:
        """
        Take hold of the machine *id*, if it is this run's.

        Where its workspace differs from the one here, the one here counts.
        """
        try:
            metadata = self._account.look_at(id).metadata
            if any(metadata.get(name) != _metadata(wish)[name] for name in (_HOME, _STREAM)):
                message = f"cannot use sandbox {id}: it is not marked as this run's"
                return Unavailable(reason="failed", message=message)
            self._machine = E2BMachine(*self._account.connect(id, wish.lifetime_s))
            # One process at a time works in a run: whoever began what runs there is dead.
            self._machine.end_left()
            return self._move_in(wish, self._machine, there=True)
        except E2BError as error:
            return error.trouble.unavailable(f"take hold of sandbox {id}")

    def _move_in(self, wish: SandboxWish, machine: E2BMachine, *, there: bool) -> SandboxMade:
        facts = self._account.look_at(machine.id)
        self._residence = Residence(wish, machine, facts, there=there)
        return SandboxMade(
            kind=self.kind,
            id=machine.id,
            isolation=_isolation(wish, self._residence.limits),
            lifetime="run",
            persists=("files",),
            image=wish.image or facts.template,
            granted_s=self.granted_s,
            home=self._residence.home,
        )

    def resolve(self, name: str, cwd: Path, env: dict[str, str]) -> str | None:
        """Return the file that *name* would run inside, with no symbolic link left, or `None`."""
        if self._residence is None or not name or "\0" in name:
            return None
        return self._residence.resolve(name, cwd, env)

    def inside(self, path: Path) -> Path:
        """Return where a path of ours is inside: one of the workspace is below `~/workspace`."""
        return path if self._residence is None else Path(self._residence.inside(path))

    def execute(self, command: Command, cancellation: Cancellation | None) -> Outcome:
        """Run one command to its end, and bring back what it changed."""
        residence = self._residence
        if residence is None:
            return Lost(message="cannot run a command in the E2B sandbox: it does not exist")
        if cancellation is not None and is_requested(cancellation):
            return Cancelled(usage=Usage(duration_us=0), signal=cancellation.signal)
        if why := why_impossible(command):
            return NotStarted(reason="failed", message=f"cannot start command: {why}")
        with self._one_at_a_time:
            return residence.execute(command, cancellation)

    def execute_cell(self, cell: Cell, cancellation: Cancellation | None) -> Outcome:
        """Execute source in the template's interpreter, which stays for the next cell."""
        machine, residence = self._machine, self._residence
        if machine is None or residence is None:
            return Lost(message="cannot execute a cell in the E2B sandbox: it does not exist")
        if cancellation is not None and is_requested(cancellation):
            return Cancelled(usage=Usage(duration_us=0), signal=cancellation.signal)
        with self._one_at_a_time:
            before = residence.bring_together()
            if not isinstance(before, Executed):
                return before
            try:
                if self._interpreter is None:
                    sandbox = self._account.interpreter(machine.id, machine.lifetime_s)
                    self._interpreter = Interpreter(sandbox, residence.root)
                inside = None if cell.cwd is None else self.inside(cell.cwd)
                there = msgspec.structs.replace(cell, cwd=inside)
                outcome = self._interpreter.execute(there, cancellation)
            except E2BError as error:
                return residence.lose(error)
            after = residence.bring_together()
            return outcome if isinstance(after, Executed) else after

    def close(self) -> Removed | RemovalFailed:
        """End the machine and check that it is gone; closing twice is closing once."""
        self._residence = self._interpreter = None
        names = [] if self._machine is None else [self._machine.id]
        try:
            if self._unclear is not None:
                names += [one.id for one in self._account.list(_metadata(self._unclear))]
        except E2BError as error:
            message = f"cannot look for a sandbox that may exist: {error.trouble.message}"
            return RemovalFailed(reason="failed", message=message)
        for name in names:
            removed = self.remove(name)
            if isinstance(removed, RemovalFailed):
                return removed
        self._machine = self._unclear = None
        return Removed()

    def remove(self, id: str) -> Removed | RemovalFailed:
        """End the machine *id*, of whichever of our runs, and check that it is gone."""
        try:
            self._account.remove(id)
        except E2BError as error:
            message = f"cannot end sandbox {id}: {error.trouble.message}"
            return RemovalFailed(reason="failed", message=message)
        return Removed()

    def marked(self, home_id: str | None) -> list[Marked] | Unavailable:
        """Return the machines that carry the mark of a home, or of any for `None`."""
        try:
            found = self._account.list({} if home_id is None else {_HOME: home_id})
        except E2BError as error:
            return error.trouble.unavailable("list the sandboxes at E2B")
        return [
            Marked(
                one.id,
                one.metadata.get(_STREAM, ""),
                one.metadata.get(_ORDINAL, ""),
                one.metadata[_HOME],
            )
            for one in found
            if _HOME in one.metadata
        ]


def _wanted(wish: SandboxWish) -> Wanted:
    return Wanted(
        template=wish.image,
        lifetime_s=wish.lifetime_s,
        metadata=_metadata(wish),
        internet=wish.network == "host",
        key=f"gesta-{wish.stream}-{wish.ordinal}",
    )


def _metadata(wish: SandboxWish) -> dict[str, str]:
    return {_HOME: wish.home_id, _STREAM: wish.stream, _ORDINAL: str(wish.ordinal)}


def _isolation(wish: SandboxWish, limits: Limits) -> Isolation:
    return Isolation(
        boundary="machine",
        filesystem="workspace",
        network=wish.network,
        processes="own",
        limits=limits,
        record="out_of_reach",
    )


def _import_sdk() -> None:
    try:
        importlib.import_module("e2b")
    except Exception:
        # Whoever needs it meets the same error, and says so.
        return
