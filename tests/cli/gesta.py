"""Starts the command line as a process of its own, as a person or a script does."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
MODULE = [sys.executable, "-m", "adapters.cli"]


class Ended(msgspec.Struct, frozen=True):
    """How a process ended and what it printed."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value that it printed."""
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of the test, in which our packages are found."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more}


def gesta(
    *arguments: str | bytes, cwd: Path, stdin: bytes | None = None, **variables: str
) -> Ended:
    """Run `gesta` with *arguments* in *cwd* to its end; without *stdin* there is none."""
    done = subprocess.run(
        [*MODULE, *arguments],
        cwd=cwd,
        env=environment(**variables),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, os.fsdecode(done.stderr))


def gesta_within(limit: str, *arguments: str, cwd: Path) -> Ended:
    """Run `gesta` with *arguments* in *cwd* to its end, with *limit* as `ulimit` takes it."""
    done = subprocess.run(
        ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *MODULE, *arguments],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
        check=False,
    )
    return Ended(done.returncode, done.stdout, os.fsdecode(done.stderr))


def start(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    """Start `gesta` and do not wait for it; its streams are pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*MODULE, *arguments], cwd=cwd, env=environment(), stdin=pipe, stdout=pipe, stderr=pipe
    )


def on_terminal(*arguments: str, cwd: Path) -> bytes:
    """Return what `gesta` prints where both its outputs are a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*MODULE, *arguments],
        cwd=cwd,
        env=environment(TERM="xterm", COLUMNS="100"),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            # Linux: the other end is closed, and everything was read (EIO).
            break
        if not data:
            break
        seen += data
    os.close(ours)
    process.wait(30)
    return seen


def profile(home: Path, name: str, text: str) -> None:
    """Write a policy profile into *home*."""
    directory = home / "profiles"
    directory.mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    (directory / f"{name}.yaml").write_text(text)


LOCAL = "sandbox: {type: local, network: true, filesystem: host, may_lose: [processes, limits]}\n"
