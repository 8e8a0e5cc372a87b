"""The workspace inside the sandbox: takes in what changed outside, gives out what changed here.

Rule 1: what was given out counts as known only when we were told that it arrived; until then it is
given out again.
Rule 2: a command that changes nothing pays for no archive, nor for the modules that make one.
"""

from __future__ import annotations

import json
import os

from adapters.e2b.guest.listing import Listing, changes, list_tree, note


class Workspace:
    """
    The tree at *root*; *directory* is where its archives and states are.

    *base* names the state that the outside has, `None` if that is the tree as it is now.
    """

    def __init__(self, root: str, directory: str, base: int | None) -> None:
        self._root = root
        self._directory = directory
        self._base = base
        os.makedirs(root, exist_ok=True)
        self._known = list_tree(root) if base is None else self._load(base)

    def take_in(self, archive: str) -> None:
        """Apply an archive of changes made outside, and remove it."""
        from adapters.e2b.guest.unpacking import unpack

        path = os.path.join(self._directory, archive)
        with open(path, "rb") as file:
            note(self._known, self._root, unpack(file, self._root))
        os.unlink(path)

    def give_out(self, number: int) -> str | None:
        """
        Write what changed here to an archive and return its name; `None` if nothing did.

        *number* names the state that this is, if it arrives.
        """
        now = list_tree(self._root)
        changed, deleted = changes(self._known, now)
        self._known = now
        self.save(number)
        if not changed and not deleted:
            return None
        from adapters.e2b.guest.packing import pack

        name = f"out-{number}.tar.gz"
        with open(os.path.join(self._directory, name), "wb") as archive:
            pack(self._root, now, changed, deleted, archive)
        return name

    def save(self, number: int) -> None:
        """Keep the state that is known now under *number*, beside the base and nothing else."""
        self._tidy(number)
        with open(self._state(number), "w", encoding="ascii") as file:
            json.dump(self._known, file)

    def _state(self, number: int) -> str:
        return os.path.join(self._directory, f"state-{number}.json")

    def _load(self, number: int) -> Listing:
        with open(self._state(number), encoding="ascii") as file:
            return {path: tuple(entry) for path, entry in json.load(file).items()}

    def _tidy(self, number: int) -> None:
        kept = {self._state(number)}
        if self._base is not None:
            kept.add(self._state(self._base))
        for name in os.listdir(self._directory):
            path = os.path.join(self._directory, name)
            if name.startswith(("state-", "out-", "request-")) and path not in kept:
                os.unlink(path)
