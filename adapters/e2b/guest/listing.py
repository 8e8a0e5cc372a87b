"""What a directory tree holds, told apart by what the file system says of each entry.

Rule 1: symbolic links are entries, never followed; the top's `.git` is no part of the tree.
Rule 2: a file counts as changed if its mode, size, times or inode did. The change time is set by
the kernel alone (stat(2)), so that a file cannot be made to look as it did.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEFT_OUT = ".git"

# Kind (`d`, `f`, `l`), mode, then what tells one state of it from another.
Signature = tuple[str, int, int | str, int, int, int]
Listing = dict[str, Signature]


def list_tree(root: str) -> Listing:
    """Return the directories, files and links below *root* by their relative paths."""
    return dict(_walk(root, ""))


def changes(before: Listing, now: Listing) -> tuple[list[str], list[str]]:
    """Return the paths that are new or different, and those that are gone, each in order."""
    changed = sorted(path for path, entry in now.items() if before.get(path) != entry)
    return changed, sorted(before.keys() - now.keys())


def alike(one: Signature, other: Signature) -> bool:
    """Say whether two entries of different machines have the same content, by size and time."""
    return tuple(one[:4]) == tuple(other[:4])


def note(listing: Listing, root: str, paths: Iterable[str]) -> None:
    """Bring *listing* up to date for *paths*."""
    for path in paths:
        signature = sign(os.path.join(root, path))
        if signature is None:
            listing.pop(path, None)
        else:
            listing[path] = signature


def _walk(directory: str, prefix: str) -> Iterator[tuple[str, Signature]]:
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = prefix + entry.name
        if path == LEFT_OUT:
            continue
        signature = sign(entry.path)
        if signature is None:
            continue
        yield path, signature
        if signature[0] == "d":
            yield from _walk(entry.path, path + "/")


def sign(path: str) -> Signature | None:
    """Return what tells one state of an entry from another; `None` if it is not there."""
    try:
        return _signature(path, os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _signature(path: str, state: os.stat_result) -> Signature | None:
    mode = stat.S_IMODE(state.st_mode) & 0o777
    if stat.S_ISDIR(state.st_mode):
        return ("d", mode, 0, 0, 0, 0)
    if stat.S_ISLNK(state.st_mode):
        return ("l", 0, os.readlink(path), 0, 0, 0)
    if stat.S_ISREG(state.st_mode):
        return ("f", mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    # Sockets, pipes and devices have no content to bring along.
    return None
