"""What there is on a machine, as a home and its repositories would show it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ledger.errors import StoreUnavailable
from ledger.inventory import DirectoryFound
from tests.fakes.machine import Machine


class FakeInventory:
    """An `Inventory` of *machine*; *busy* is whether somebody writes blobs all the time."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.busy = False
        self.refusing = False
        self.registrations: list[str] = []
        self.found_refs: list[str] = []
        self.found_damaged: list[tuple[str, str]] = []
        self.drafts: dict[str, int] = {}

    def directories(self) -> list[DirectoryFound]:
        """Return the trees."""
        return [
            DirectoryFound(path.name, path, path.with_name(f"{path.name}.scratch"))
            for path in self._machine.trees
        ]

    def registered(self, common_dir: Path) -> list[str]:
        """Return what a test has registered."""
        return self.registrations

    def refs(self, common_dir: Path) -> list[str]:
        """Return what a test has put there."""
        return self.found_refs

    def marking_kinds(self) -> list[str]:
        """Return the one kind that can be found by its marks."""
        return ["marking"]

    def blob_files(self) -> dict[str, int]:
        """Return the large blobs."""
        return {digest: len(data) for digest, data in self._machine.files.items()}

    def dead_drafts(self) -> dict[str, int]:
        """Return what a test has left unfinished."""
        return dict(self.drafts)

    @contextlib.contextmanager
    def collecting(self) -> Iterator[bool]:
        """Have the blobs alone, unless somebody writes."""
        self._machine.fuse.pass_by("inventory.collecting")
        yield not self.busy

    def remove_blob(self, digest: str) -> None:
        """Remove a blob."""
        if self.refusing:
            raise StoreUnavailable(f"cannot remove {digest}: read-only")
        del self._machine.files[digest]

    def remove_draft(self, name: str) -> None:
        """Remove a draft."""
        if self.refusing:
            raise StoreUnavailable(f"cannot remove {name}: read-only")
        del self.drafts[name]

    def rooms(self) -> list[str]:
        """Return who has room set aside in the spool."""
        return sorted(self._machine.rooms)

    def damaged(self) -> list[tuple[str, str]]:
        """Return what a test has damaged."""
        return self.found_damaged
