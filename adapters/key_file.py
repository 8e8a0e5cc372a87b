"""The file that holds a ledger's signing keys, one a line, the newest first.

Rule 1: it is made whole or not at all, at first use, by exactly one of many processes.
Rule 2: it is closed to everybody else. One that others may read is not used: they may have.
Rule 3: all keys in it sign. While a key is being replaced that is the new one and the old.
Rule 4: what it holds is looked up again for every signature (a stat of the file), so that no
process goes on signing with keys that another has replaced.
"""

from __future__ import annotations

import contextlib
import os
import stat
import uuid
from collections.abc import Sequence
from pathlib import Path

from adapters.durable import sync_directory
from adapters.ed25519_signer import Ed25519Signer, check_ed25519, make_signer, parse_signer
from ledger.checkpoint import is_head_signed, sign_head
from ledger.errors import KeyRefused
from ledger.merkle import TreeHead
from ledger.note import format_vkey
from ledger.signing import ED25519


class KeyFile:
    """The signing keys at *path*, all of the name *name* and one *algorithm*."""

    def __init__(self, path: Path, name: str, algorithm: int = ED25519) -> None:
        self.path = path
        self.name = name
        self._algorithm = algorithm
        self._seen: tuple[int, ...] = ()
        self._signers: tuple[Ed25519Signer, ...] = ()

    def signers(self) -> Sequence[Ed25519Signer]:
        """
        Return who signs, the newest key first.

        Raises `KeyRefused` if there is no file, if others may read it, or if it is damaged.
        """
        try:
            found = os.lstat(self.path)
        except OSError as error:
            raise KeyRefused(
                f"cannot sign the log: key file {self.path}: {error.strerror}; put it back, or "
                "`gesta key rotate --lost` begins with another key"
            ) from error
        seen = (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode, found.st_uid)
        if seen != self._seen:
            self._check(found)
            self._signers, self._seen = self._read(), seen
        return self._signers

    def sign(self, head: TreeHead) -> bytes:
        """Return the checkpoint of *head*, signed by all keys; raises `KeyRefused`."""
        return sign_head(head, self.name, self.signers())

    def is_signed(self, head: TreeHead, note: bytes) -> bool:
        """Say whether *note* is the checkpoint of *head*, and one of the keys signed it."""
        # A key signs a text in one way only (RFC 8032), and signing costs a third of checking.
        # While keys are being replaced, a head has other signatures than these.
        return note == self.sign(head) or is_head_signed(
            head, note, [one.key for one in self.signers()], check_ed25519
        )

    def make(self) -> str:
        """Make the file if it is not there, and return the newest key as a vkey."""
        self.ensure()
        return format_vkey(self.signers()[0].key)

    def exists(self) -> bool:
        """Say whether the file is there."""
        return os.path.lexists(self.path)

    def ensure(self) -> None:
        """Make the file with a new key, if it is not there; raises `KeyRefused`."""
        if not self.exists():
            self._write([make_signer(self.name, self._algorithm)], over=False)

    def replace(self, signers: Sequence[Ed25519Signer]) -> None:
        """Put *signers* in place of those that are there; raises `KeyRefused`."""
        self._write(signers, over=True)

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise KeyRefused(f"cannot use key file {self.path}: it is not a regular file")
        if found.st_uid != os.geteuid():
            raise KeyRefused(f"cannot use key file {self.path}: it belongs to another user")
        if found.st_mode & 0o077:
            raise KeyRefused(
                f"cannot use key file {self.path}: others may read it (mode "
                f"{found.st_mode & 0o777:04o}); chmod 600 it, and `gesta key rotate` if they did"
            )

    def _read(self) -> tuple[Ed25519Signer, ...]:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise KeyRefused(f"cannot read key file {self.path}: {error}") from error
        signers = tuple(parse_signer(line) for line in lines)
        wanted = (self.name, self._algorithm)
        if not signers or any((one.key.name, one.key.algorithm) != wanted for one in signers):
            raise KeyRefused(f"cannot use key file {self.path}: it holds no key of {self.name}")
        return signers

    def _write(self, signers: Sequence[Ed25519Signer], *, over: bool) -> None:
        draft = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        text = "".join(f"{one.text()}\n" for one in signers)
        try:
            with contextlib.suppress(FileExistsError):
                self.path.parent.mkdir(mode=0o700)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                if over:
                    os.rename(draft, self.path)
                else:
                    # A link is made whole or not at all, and never over another one (link(2)).
                    with contextlib.suppress(FileExistsError):
                        os.link(draft, self.path)
                sync_directory(self.path.parent)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise KeyRefused(f"cannot make key file {self.path}: {error.strerror}") from error


def name_in(path: Path) -> str | None:
    """Return the name of the first key in the file at *path*, `None` if there is no file."""
    if not os.path.lexists(path):
        return None
    try:
        return parse_signer(path.read_text(encoding="utf-8").partition("\n")[0]).key.name
    except (OSError, UnicodeDecodeError) as error:
        raise KeyRefused(f"cannot read key file {path}: {error}") from error


def new_witness_name() -> str:
    """Return a name for a witness that was given none: one that no other has."""
    return f"gesta/witness/{uuid.uuid4()}"
