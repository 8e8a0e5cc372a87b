"""A sandbox whose machines outlive the process, and are found by their marks."""

from __future__ import annotations

from ledger.liveness import Marked
from ledger.outcomes import RemovalFailed, Removed, SandboxMade, Unavailable
from ledger.ports import SandboxWish
from tests.fakes.sandbox import FakeSandbox


class FakeMarkingSandbox(FakeSandbox):
    """A `MarkingSandbox`; the machines are *marked* on the machine that it is for."""

    def create(self, wish: SandboxWish) -> SandboxMade | Unavailable:
        """Create it, and let it last as long as the run."""
        made = super().create(wish)
        if isinstance(made, Unavailable):
            return made
        mark = Marked(made.id, wish.stream, str(wish.ordinal), wish.home_id)
        self._machine.marked[made.id] = mark
        return SandboxMade(
            kind=made.kind,
            id=made.id,
            isolation=made.isolation,
            lifetime="run",
            persists=("files",),
        )

    def marked(self, home_id: str | None) -> list[Marked] | Unavailable:
        """Return those of one home, or of all."""
        found = self._machine.marked.values()
        return [one for one in found if home_id in (None, one.home)]

    def remove(self, id: str) -> Removed | RemovalFailed:
        """End one, unless a test has it refuse."""
        if isinstance(self.removal, RemovalFailed):
            return self.removal
        self._machine.marked.pop(id, None)
        return super().remove(id)

    def close(self) -> Removed | RemovalFailed:
        """End it."""
        self._machine.marked.pop(self._id, None)
        return super().close()
