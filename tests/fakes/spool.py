"""A spool in memory, which outlives the process as a directory would."""

from __future__ import annotations

import msgspec

from ledger.errors import StoreUnavailable
from ledger.spool import Spooled
from tests.fakes.fuse import Fuse


class FakeSpool:
    """A `Spool`; *files* hold the encoded outcomes by place, *rooms* who has room set aside."""

    def __init__(self, files: dict[str, bytes], rooms: set[str], fuse: Fuse) -> None:
        self._files = files
        self._rooms = rooms
        self._fuse = fuse
        self.full = False

    def reserve(self, stream: str) -> None:
        """Set room aside, unless the disk is full."""
        if self.full:
            raise StoreUnavailable("cannot begin a command: there is no room")
        self._rooms.add(stream)

    def release(self, stream: str) -> None:
        """Give it back."""
        self._rooms.discard(stream)

    def keep(self, spooled: Spooled) -> str:
        """Keep it, in the room that was set aside before the command began."""
        self._fuse.pass_by("spool.keep")
        assert spooled.stream in self._rooms, "no room was set aside"
        place = f"{spooled.stream}-{spooled.command}"
        self._files[place] = msgspec.json.encode(spooled)
        self._fuse.pass_by("spool.kept")
        return place

    def streams(self) -> list[str]:
        """Return the streams of which something is kept."""
        return sorted({place.rpartition("-")[0] for place in self._files})

    def kept(self, stream: str) -> list[tuple[str, Spooled]]:
        """Return what is kept of a run."""
        return [
            (place, msgspec.json.decode(data, type=Spooled))
            for place, data in self._files.items()
            if place.rpartition("-")[0] == stream
        ]

    def remove(self, place: str) -> None:
        """Forget it."""
        self._fuse.pass_by("spool.remove")
        self._files.pop(place, None)
