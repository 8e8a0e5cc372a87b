"""Every sandbox for real, as a person sees it: `gesta` as a process, and what is on record then."""

from __future__ import annotations

import base64
import os
import re
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import open_ledger
from adapters.blob_files import read_file
from ledger import events as e
from tests.cli.gesta import environment, gesta
from tests.e2b_server import E2BServer
from tests.e2e.newest_run import order, recorded

KINDS = ("e2b", "bubblewrap", "docker", "local")
CONNECT = """
import socket, sys
kind, where = sys.argv[1:]
if kind == "tcp":
    socket.create_connection(("127.0.0.1", int(where)), 3).close()
else:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(where)
print("connected")
"""
# What waits for a provider that is gone waits for half a minute; here it is in a hurry.
HURRIED = (
    "import adapters.e2b.execution as execution; execution._OUT_OF_REACH_S = 0.5; "
    "from adapters.cli import main; main()"
)
FAILING = "def test_two():\n    assert 3 == 1 + 1\n\n\ndef test_one():\n    assert 1 == 1\n"
# Put together when it runs: no file of ours holds what a scanner would find.
PRINTING = """
import base64, os
aws = "AK" + "IA" + "QX7RT2LM9PKD4HSV"
github = "gh" + "p_" + "q7W2eR5teR5teR5teR5teR5teR5teR5teR5t"[:36]
key = os.environ["MY_API_KEY"]
coded = base64.b64encode(key.encode()).decode()
text = f"aws {aws}\\ntoken {github}\\nkey {key}\\ncoded {coded}\\n"
filler = "".join(f"line {n} of the witness\\n" for n in range(20000))
print(filler + text, end="")
open("found.txt", "w").write(filler + text)
open("small.txt", "w").write(text)
"""
AWS = "AK" + "IA" + "QX7RT2LM9PKD4HSV"
GITHUB = "gh" + "p_" + "q7W2eR5teR5teR5teR5teR5teR5teR5teR5t"
WITNESS = b"line 19999 of the witness\n"


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    """A server on the host's loopback; the kernel takes its connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def unix() -> Iterator[Path]:
    """A server at a path of the host that everybody may reach."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        Path(directory).chmod(0o755)
        path = Path(directory) / "host.socket"
        listening.bind(str(path))
        path.chmod(0o666)
        listening.listen()
        yield path


def git(repository: Path, *arguments: str, data: bytes | None = None) -> bytes:
    """Return what git says; *data* is its input."""
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True, input=data).stdout


def test_the_doctor_says_of_every_sandbox_whether_it_works(home: Path, repository: Path) -> None:
    """Each kind has its line: the guarantees that it gives here, or the one reason against it."""
    ended = gesta("doctor", "--json", cwd=repository)
    found = {finding["name"]: finding for finding in ended.json}
    rows = [found[f"sandbox {kind}"] for kind in KINDS]

    assert ("not here", "E2B_API_KEY is not set") == (rows[0]["state"], rows[0]["said"])
    assert "ok" == rows[3]["state"]
    assert rows[3]["said"].startswith("boundary process, filesystem host, network host, ")
    for row in rows:
        assert row["state"] in {"ok", "not here"}
        assert 1 == len(row["said"].splitlines())
        guarantees = re.match("boundary .*, filesystem .*, network .*, processes ", row["said"])
        assert (row["state"] == "ok") == bool(guarantees)


def test_the_doctor_asks_the_provider_that_there_is_a_key_for(
    server: E2BServer, repository: Path
) -> None:
    """With a key E2B's guarantees are said, and no machine is made to find out."""
    found = {x["name"]: x for x in gesta("doctor", "--json", cwd=repository).json}

    assert "ok" == found["sandbox e2b"]["state"]
    assert found["sandbox e2b"]["said"].startswith(
        "boundary machine, filesystem workspace, network none, "
    )
    assert [] == server.asked("^POST ")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_in_bubblewrap_no_server_of_the_host_can_be_reached(
    home: Path, repository: Path, tcp: socket.socket, unix: Path, kind: str
) -> None:
    """Neither loopback nor a socket of the host's is there; in a local process both are."""
    where = str(tcp.getsockname()[1]) if kind == "tcp" else str(unix)
    command = ["--", "python3", "-c", CONNECT, kind, where]
    local = gesta("run", "--sandbox", "local", *command, cwd=repository)
    inside = gesta("run", "--sandbox", "bubblewrap", *command, cwd=repository)
    shown = gesta("show", "--json", cwd=repository).json["run"]

    assert (0, b"connected\n") == (local.code, local.out), local.err
    assert ("bubblewrap", "none", "none") == (
        shown["sandbox"],
        shown["asked"]["network"],
        shown["had"]["network"],
    ), inside.err
    assert (1, b"") == (inside.code, inside.out)
    refusal = "ConnectionRefusedError" if kind == "tcp" else "FileNotFoundError"
    assert refusal in inside.err


def test_a_test_run_at_e2b_is_as_one_here(server: E2BServer, repository: Path) -> None:
    """Code and output are those of a local run; the patch comes back and applies."""
    (repository / "test_sums.py").write_text(FAILING)
    git(repository, "add", "test_sums.py")
    script = (
        "echo made by the run >made.txt; "
        'PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 exec "$0" -B -m pytest -q -p no:cacheprovider'
    )
    ended = {}
    patches = {}
    for kind in ("e2b", "local"):
        command = ["run", "--sandbox", kind, "--", "sh", "-c", script, sys.executable]
        ended[kind] = gesta(*command, cwd=repository)
        patches[kind] = gesta("diff", cwd=repository).out

    timeless = {kind: re.sub(rb"in \d+\.\d+s", b"", done.out) for kind, done in ended.items()}
    assert (1, 1) == (ended["e2b"].code, ended["local"].code), ended["e2b"].err
    assert b"1 failed, 1 passed" in timeless["e2b"]
    assert timeless["local"] == timeless["e2b"]
    assert b"+made by the run\n" in patches["e2b"]
    assert patches["local"] == patches["e2b"]
    git(repository, "apply", "--check", data=patches["e2b"])


def test_the_provider_is_asked_for_one_machine_without_internet(
    server: E2BServer, repository: Path
) -> None:
    """One create, one delete; home, stream and ordinal are all that the machine is marked with."""
    assert 0 == gesta("run", "--sandbox", "e2b", "--", "cat", "README.md", cwd=repository).code
    (opened,) = recorded(e.RunOpened)
    with open_ledger() as ledger:
        stream = ledger.find()

    (create,) = server.asked("^POST /v2/sandboxes$")
    assert 1 == len(server.asked("^DELETE /"))
    assert [] == server.machines.living()
    body = create.json()
    assert body["allow_internet_access"] is False
    assert {
        "gesta-home": opened.home,
        "gesta-stream": stream,
        "gesta-ordinal": "1",
    } == body["metadata"]
    assert not body.get("envVars")


def test_a_provider_that_dies_in_mid_command_ends_the_run_on_record(
    server: E2BServer, repository: Path, tmp_path: Path
) -> None:
    """Command and sandbox are lost, the next step is refused, and what may be left is named."""
    job = tmp_path / "job.yaml"
    steps = (
        '[{name: first, run: [sh, -c, "echo begun; sleep 300"], on_failure: continue}, '
        "{name: second, run: [echo, never]}]"
    )
    job.write_text(f"task: T-1\nsteps: {steps}\n")
    started = subprocess.Popen(
        [sys.executable, "-c", HURRIED, "run", "--sandbox", "e2b", "--file", str(job)],
        cwd=repository,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with started:
        assert started.stdout is not None
        assert b"begun\n" == started.stdout.readline()
        (machine,) = server.machines.living()
        server.stop()
        out, errors = started.communicate(timeout=60)

    assert (125, b"") == (started.returncode, out), errors
    assert b"its sandbox was lost and the policy's sandbox.on_lost is stop" in errors
    kinds = order()
    assert 1 == kinds.count("CommandRequested")
    assert ["CommandLost", "SandboxLost"] == [
        kind for kind in kinds if kind in {"CommandLost", "SandboxLost", "CommandExecuted"}
    ]
    failed = recorded(e.CleanupFailed)
    assert ["sandbox"] == [x.resource for x in failed]
    assert isinstance(failed[0].private, e.CleanupText)
    assert machine.id == failed[0].private.name
    assert kinds.index("SandboxLost") < kinds.index("CleanupFailed") < kinds.index("RunCompleted")


def test_no_secret_that_a_command_had_is_anywhere_in_the_home(
    home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ran it saw them; no file, no row and no compressed blob of the ledger holds one."""
    key = f"whale-{secrets.token_hex(12)}"
    monkeypatch.setenv("MY_API_KEY", key)
    (repository / "printing.py").write_text(PRINTING)
    command = ["run", "--sandbox", "local", "--env", "MY_API_KEY", "--artifact", "small.txt"]
    ended = gesta(*command, "--", sys.executable, "printing.py", cwd=repository)
    assert 0 == ended.code, ended.err
    kept = list(_kept(home))
    looked_for = [AWS.encode(), GITHUB.encode(), key.encode(), base64.b64encode(key.encode())]

    assert all(secret in ended.out for secret in looked_for)
    # Output and patch in blobs, the artifact in a row: what was recorded was looked through.
    assert 2 <= sum(WITNESS in data for name, data in kept if name.endswith(", expanded"))
    assert any(b"aws [redacted:" in data for name, data in kept if name.endswith("db: blobs"))
    assert [] == [name for name, data in kept for secret in looked_for if secret in data]
    for argument in ("output", "diff", "show", "audit"):
        said = gesta(argument, cwd=repository)
        assert 0 == said.code
        assert not any(secret in said.out for secret in looked_for)
    assert b"[redacted:" in gesta("output", cwd=repository).out


def test_a_patch_that_held_a_secret_is_not_applied(
    home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is not what was written, so one line refuses, and no file changes."""
    monkeypatch.setenv("MY_API_KEY", f"whale-{secrets.token_hex(12)}")
    script = 'echo "key $MY_API_KEY" >found.txt'
    command = ["run", "--sandbox", "local", "--env", "MY_API_KEY", "--", "sh", "-c", script]
    assert 0 == gesta(*command, cwd=repository).code
    refused = gesta("apply", cwd=repository)

    assert (1, b"", 1) == (refused.code, refused.out, len(refused.err.splitlines()))
    assert "a secret was taken out of it" in refused.err
    assert b"" == git(repository, "status", "--porcelain")


def _kept(home: Path) -> Iterator[tuple[str, bytes]]:
    """Yield everything below *home*: files as they are, blobs expanded, and rows of databases."""
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        data = path.read_bytes()
        yield str(path), data + os.fsencode(path)
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            yield f"{path}, expanded", b"".join(read_file(path))
        elif data.startswith(b"SQLite format 3\0"):
            yield from _rows(path)


def _rows(path: Path) -> Iterator[tuple[str, bytes]]:
    connection = sqlite3.connect(path)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    data = value if isinstance(value, bytes) else str(value).encode()
                    # No row is compressed: a secret in it would be there to be read.
                    assert not data.startswith(b"\x28\xb5\x2f\xfd")
                    yield f"{path}: {table}", data
    finally:
        connection.close()
