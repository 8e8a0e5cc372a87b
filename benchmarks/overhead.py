"""What recording costs: a command in each sandbox against `subprocess`, and `gesta` from cold.

    python benchmarks/overhead.py [--commands N] [--starts N] [--directory DIR] [--sandbox KIND]…

Both sides of a figure are measured in turn in one run, so that a machine whose speed drifts
changes both. Medians; the machine, file system and durability are printed with them. Docker is
podman's service, started here; E2B is the tests' own server on loopback.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

KINDS = ("local", "bubblewrap", "docker", "e2b")
OWED_COMMAND_MS = 5.0
OWED_START_MS = 300.0


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=40)
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--sandbox", action="append", choices=KINDS)
    options = parser.parse_args()
    # Whoever installs gesta has its files compiled; a checkout has them compiled here.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        scratch = Path(name)
        repository = make_repository(scratch / "repository")
        describe(scratch)
        for kind in options.sandbox or KINDS:
            with surroundings(kind, scratch) as environment:
                command_overhead(kind, repository, environment, options.commands)
        environment = {**os.environ, "GESTA_HOME": str(scratch / "local"), "GESTA_PROFILE": "local"}
        cold_start(repository, environment, options.starts)


@contextlib.contextmanager
def surroundings(kind: str, scratch: Path) -> Iterator[dict[str, str]]:
    """Give the environment in which a sandbox of this *kind* can be had, with what it needs."""
    home = scratch / kind
    profiles = home / "profiles"
    profiles.mkdir(parents=True)
    home.chmod(0o700)
    image = "image: localhost/gesta-busybox:1, " if kind == "docker" else ""
    (profiles / "bench.yaml").write_text(
        f"sandbox: {{type: {kind}, {image}network: {str(kind == 'local').lower()}, "
        f"filesystem: {'host' if kind == 'local' else 'workspace'}, "
        "may_lose: [boundary, filesystem, network, processes, limits, record]}\n"
    )
    environment = {**os.environ, "GESTA_HOME": str(home), "GESTA_PROFILE": "bench"}
    with contextlib.ExitStack() as stack:
        if kind == "docker":
            from tests.adapters.podman_service import IMAGE, import_image, running_podman

            place = scratch / "podman"
            place.mkdir()
            environment["DOCKER_HOST"] = stack.enter_context(running_podman(place))
            import_image(environment["DOCKER_HOST"])
            profile = profiles / "bench.yaml"
            profile.write_text(profile.read_text().replace("localhost/gesta-busybox:1", IMAGE))
        elif kind == "e2b":
            from tests.e2b_server import E2BServer

            server = stack.enter_context(E2BServer())
            environment.update(server.environment)
            os.environ["NO_PROXY"] = server.environment["NO_PROXY"]
        yield environment


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


def command_overhead(kind: str, repository: Path, environment: dict[str, str], count: int) -> None:
    """Print what one recorded `true` costs over a plain one, in a sandbox that is there."""
    from adapters import open_ledger

    plain: list[float] = []
    recorded: list[float] = []
    with (
        open_ledger(environment=environment) as ledger,
        ledger.run(task="overhead", directory=repository) as run,
    ):
        began = time.perf_counter()
        run.execute(["true"])
        first = time.perf_counter() - began
        for _ in range(count if kind in ("local", "bubblewrap") else max(count // 4, 5)):
            plain.append(timed(lambda: subprocess.run(["true"], capture_output=True, check=True)))
            recorded.append(timed(lambda: run.execute(["true"])))
        had = run.state.holdings[-1].kind
    bare, ours = statistics.median(plain), statistics.median(recorded)
    over = (ours - bare) * 1000
    owed = f", owed at most {OWED_COMMAND_MS} ms" if kind == "local" else ""
    print(
        f"{had:10} subprocess {bare * 1000:6.2f} ms, recorded {ours * 1000:7.2f} ms "
        f"({ours / bare:5.1f} x), over it {over:7.2f} ms{owed}; the first {first * 1000:.0f} ms"
    )


def cold_start(repository: Path, environment: dict[str, str], count: int) -> None:
    """Print what `gesta run -- true` takes as a whole process, beside a bare Python."""
    gesta = [sys.executable, "-m", "adapters.cli", "run", "--", "true"]
    bare: list[float] = []
    whole: list[float] = []
    environment = {**environment, "PYTHONPATH": str(ROOT)}

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
