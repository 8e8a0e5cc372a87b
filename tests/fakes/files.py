"""Files of a workspace in memory; a write asserts that its request is on record."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path

from ledger import events as e
from ledger.files import FileDenial
from ledger.ostext import to_os
from tests.fakes.machine import Machine, Witness


class FakeFiles:
    """
    `Files` of the trees on *machine*.

    *denials* are paths that cannot be used, and why; *write_denials* come to light in writing.
    """

    def __init__(self, machine: Machine, witness: Witness) -> None:
        self._machine = machine
        self._witness = witness
        self.denials: dict[str, FileDenial] = {}
        self.write_denials: dict[str, FileDenial] = {}
        self.made: list[tuple[Path, str]] = []
        self.emptied: list[Path] = []

    def write(self, root: Path, path: str, data: bytes) -> FileDenial | None:
        """Write the file whole, if its request is the last thing on record."""
        self._machine.fuse.pass_by("files.write")
        requested = self._witness(root.name)[-1]
        assert isinstance(requested, e.FileWriteRequested), "written without an intent on record"
        assert isinstance(requested.private, e.FileText)
        assert (path, len(data)) == (to_os(requested.private.path), requested.size)
        if path in self.write_denials:
            return self.write_denials[path]
        self._machine.trees[root][path] = data
        self._machine.fuse.pass_by("files.written")
        return None

    def read(self, root: Path, path: str) -> bytes | FileDenial:
        """Return the file's content."""
        self._machine.fuse.pass_by("files.read")
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        if path in self.denials:
            return self.denials[path]
        missing = FileDenial("missing", "it is not there")
        return self._machine.trees[root].get(path, missing)

    def find(self, root: Path, patterns: Sequence[str]) -> Iterator[str]:
        """Yield the files that match, in order."""
        for path in sorted(self._machine.trees[root]):
            if any(fnmatch.fnmatch(path, pattern) for pattern in patterns):
                yield path

    def chunks(self, root: Path, path: str) -> Iterator[bytes]:
        """Yield a file's content in two pieces."""
        data = self._machine.trees[root][path]
        yield data[:1]
        yield data[1:]

    def fingerprint(self, root: Path, path: str) -> str | None:
        """Digest what is at *path* and below."""
        self._machine.fuse.pass_by("files.fingerprint")
        below = {
            name: data
            for name, data in self._machine.trees[root].items()
            if name == path or name.startswith(f"{path}/")
        }
        return repr(sorted(below.items())) if below else None

    def stands(self, path: Path) -> bool:
        """Say whether there is a tree."""
        return path in self._machine.trees

    def make_directory(self, root: Path, path: str) -> None:
        """Note that the directory is there."""
        assert root in self._machine.trees
        self.made.append((root, path))

    def remove_empty(self, directory: Path, *, below: Path) -> None:
        """Note that it was asked for, of a directory that is not itself the limit."""
        assert directory != below
        self.emptied.append(directory)
