"""The file of the signing keys: made once, closed to everybody else, looked up again."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.ed25519_signer import Ed25519Signer, check_ed25519, make_signer, parse_signer
from adapters.key_file import KeyFile
from ledger.errors import KeyRefused

NAME = "gesta/log"
ROOT = Path(__file__).parents[2]

MAKER = """
import sys
from pathlib import Path
from adapters.key_file import KeyFile
file = KeyFile(Path(sys.argv[1]), "gesta/log")
sys.stdin.readline()
file.ensure()
print(file.signers()[0].key.id.hex())
"""


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """A key file that was just made."""
    file = KeyFile(tmp_path / "keys" / "log.key", NAME)
    file.ensure()
    return file


def test_a_key_is_made_closed_and_found_again(keys: KeyFile) -> None:
    """Only we may read it, and what one object made another uses."""
    assert 0o600 == stat.S_IMODE(os.stat(keys.path).st_mode)
    assert 0o700 == stat.S_IMODE(os.stat(keys.path.parent).st_mode)
    (signer,) = KeyFile(keys.path, NAME).signers()
    assert check_ed25519(signer.key.public, b"message", signer.sign(b"message"))
    assert [keys.path.name] == os.listdir(keys.path.parent)


def test_a_key_that_is_there_is_left_alone(keys: KeyFile) -> None:
    """Making sure twice is making sure once."""
    before = keys.path.read_bytes()
    keys.ensure()
    assert before == keys.path.read_bytes()


def test_of_many_processes_one_makes_the_key(tmp_path: Path) -> None:
    """All of them sign with the same one."""
    path = tmp_path / "keys" / "log.key"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(6)
    ]
    found = [process.communicate("go\n")[0] for process in processes]
    (signer,) = KeyFile(path, NAME).signers()
    assert [f"{signer.key.id.hex()}\n"] * 6 == found


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_key_that_others_may_read_is_refused(keys: KeyFile, mode: int) -> None:
    """Also one that was closed when it was first used."""
    keys.signers()
    keys.path.chmod(mode)
    with pytest.raises(KeyRefused, match="others may read it"):
        keys.signers()


def test_a_key_behind_a_symbolic_link_is_refused(keys: KeyFile) -> None:
    """What it points to could be anything."""
    moved = keys.path.with_name("moved")
    keys.path.rename(moved)
    keys.path.symlink_to(moved)
    with pytest.raises(KeyRefused, match="regular file"):
        keys.signers()


def test_a_key_that_is_gone_is_refused(keys: KeyFile) -> None:
    """No other one is made in its place behind anybody's back."""
    keys.signers()
    keys.path.unlink()
    with pytest.raises(KeyRefused, match="No such file"):
        keys.signers()
    assert not keys.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "\n",
        lambda text: text[:-4],
        lambda text: text.replace("gesta/log", "gesta/other"),
        lambda text: text.replace("PRIVATE", "PUBLIC"),
        lambda text: text.replace("+", " "),
        lambda text: text[:24] + ("0" if text[24] != "0" else "1") + text[25:],
    ],
    ids=["empty", "blank", "cut", "name", "kind", "form", "id"],
)
def test_a_damaged_key_is_refused_and_not_quoted(keys: KeyFile, change) -> None:
    """What is wrong is said without a byte of the secret."""
    text = keys.path.read_text()
    keys.path.write_text(change(text))
    with pytest.raises(KeyRefused) as refused:
        keys.signers()
    assert text.strip().split("+", 4)[4] not in str(refused.value)


def test_a_key_of_another_name_is_refused(keys: KeyFile) -> None:
    """It belongs to another log."""
    keys.replace([Ed25519Signer("gesta/other", b"o" * 32)])
    with pytest.raises(KeyRefused, match="holds no key of gesta/log"):
        keys.signers()


def test_keys_that_another_process_replaced_are_seen(keys: KeyFile) -> None:
    """The next signature is made with what the file holds then, the newest first."""
    (old,) = keys.signers()
    new = make_signer(NAME)
    KeyFile(keys.path, NAME).replace([new, old])
    assert [new.key, old.key] == [one.key for one in keys.signers()]
    assert 0o600 == stat.S_IMODE(os.stat(keys.path).st_mode)


def test_a_secret_key_comes_back_as_it_was() -> None:
    """What a file holds is what was made."""
    signer = make_signer(NAME)
    assert signer.key == parse_signer(signer.text()).key
