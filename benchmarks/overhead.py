"""What recording costs: a command against `subprocess`, and `gesta run -- true` from cold.

    python benchmarks/overhead.py [--commands N] [--starts N] [--directory DIR]

Both sides of a figure are measured in turn in one run, so that a machine whose speed drifts
changes both. Medians; the machine, file system and durability are printed with them.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

OWED_COMMAND_MS = 5.0
OWED_START_MS = 300.0


def main() -> None:
    """Measure both figures and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=60)
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        scratch = Path(name)
        repository = make_repository(scratch / "repository")
        environment = {**os.environ, "GESTA_HOME": str(scratch / "home"), "GESTA_PROFILE": "local"}
        describe(scratch)
        command_overhead(repository, environment, options.commands)
        cold_start(repository, environment, options.starts)


def describe(directory: Path) -> None:
    """Print what the figures were measured on."""
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", str(directory)], capture_output=True, text=True, check=True
    ).stdout.strip()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version} "
        f"(WAL, synchronous=FULL), {kind}"
    )


def make_repository(path: Path) -> Path:
    """Return a small repository with one commit."""
    path.mkdir()
    git = ["git", "-C", str(path), "-c", "user.name=b", "-c", "user.email=b@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    for number in range(20):
        (path / f"file{number}.txt").write_text(f"{number}\n" * 50)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    return path


def command_overhead(repository: Path, environment: dict[str, str], count: int) -> None:
    """Print what one recorded `true` costs over a plain one."""
    from adapters import open_ledger

    plain: list[float] = []
    recorded: list[float] = []
    with (
        open_ledger(environment=environment) as ledger,
        ledger.run(task="overhead", directory=repository) as run,
    ):
        run.execute(["true"])
        for _ in range(count):
            plain.append(timed(lambda: subprocess.run(["true"], capture_output=True, check=True)))
            recorded.append(timed(lambda: run.execute(["true"])))
    bare, ours = statistics.median(plain), statistics.median(recorded)
    over = (ours - bare) * 1000
    print(
        f"a command: subprocess {bare * 1000:.2f} ms, recorded {ours * 1000:.2f} ms "
        f"({ours / bare:.1f} x); over it {over:.2f} ms, owed at most {OWED_COMMAND_MS} ms"
    )


def cold_start(repository: Path, environment: dict[str, str], count: int) -> None:
    """Print what `gesta run -- true` takes as a whole process, beside a bare Python."""
    gesta = [sys.executable, "-m", "adapters.cli", "run", "--", "true"]
    bare: list[float] = []
    whole: list[float] = []
    environment = {**environment, "PYTHONPATH": str(Path(__file__).parents[1])}

    def start(argv: list[str]) -> None:
        subprocess.run(argv, cwd=repository, env=environment, capture_output=True, check=True)

    start(gesta)
    for _ in range(count):
        bare.append(timed(lambda: start([sys.executable, "-c", "pass"])))
        whole.append(timed(lambda: start(gesta)))
    python, ours = statistics.median(bare), statistics.median(whole)
    print(
        f"gesta run -- true: {ours * 1000:.0f} ms ({ours / python:.1f} x a bare Python of "
        f"{python * 1000:.0f} ms), owed at most {OWED_START_MS:.0f} ms"
    )


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that *act* takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
