"""What redaction costs: a CI log and a patch, beside a plain walk over their lines, and the start.

    python benchmarks/redaction.py [--megabytes N] [--rounds N]

Rule 1: both sides of a ratio are measured in turn in one round; figures are medians of rounds.
Rule 2: the log is made here: colours, hashes, UUIDs, JSON, URLs, and a secret every 500 lines.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adapters.redaction import RuleRedactor
from ledger.redaction import Redactor

ROOT = Path(__file__).resolve().parents[1]
OWED_MB_S = 5.0
PIECE = 64 * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    size = options.megabytes << 20
    log, patch = ci_log(size), git_log(size)
    plain = RuleRedactor(["default"])
    knowing = plain.knowing({f"SECRET_{n}": random_text(f"v{n}", 24) for n in range(50)})
    own = RuleRedactor(["default", r"internal-[0-9]{6}", r"(?i)customer [a-z]+ [0-9]+"])
    for name, data, redactor in (
        ("CI log", log, plain),
        ("CI log, 50 known values", log, knowing),
        ("CI log, two patterns of a policy", log, own),
        ("git log -p", patch, plain),
        ("one line", log.replace(b"\n", b" "), plain),
    ):
        measure(name, data, redactor, options.rounds)
    start_up(options.rounds)


def measure(name: str, data: bytes, redactor: Redactor, rounds: int) -> None:
    """Print the speed over *data*, and its ratio to copying and counting its lines."""
    ours, bare = [], []
    for _ in range(rounds):
        bare.append(timed(lambda: walk_lines(data)))
        ours.append(timed(lambda: redact(data, redactor)))
    took = statistics.median(ours)
    ratio = statistics.median(b / o for b, o in zip(bare, ours, strict=True))
    speed = len(data) / 1e6 / took
    print(
        f"{name}: {speed:.1f} MB/s ({ratio:.2f} of a copy line by line),"
        f" {sum(counts(data, redactor).values())} redactions"
        + ("" if speed >= OWED_MB_S else f"; owed are {OWED_MB_S} MB/s")
    )


def redact(data: bytes, redactor: Redactor) -> int:
    """Redact *data* piece by piece, as it comes from a pipe."""
    stream = redactor.stream()
    total = sum(len(stream.feed(piece)) for piece in pieces(data))
    return total + len(stream.finish())


def counts(data: bytes, redactor: Redactor) -> dict[str, int]:
    """Return how often each rule found something."""
    return redactor.data(data).counts


def walk_lines(data: bytes) -> int:
    """Copy *data* piece by piece and look at every line, which is the least a filter does."""
    total, rest = 0, b""
    for piece in pieces(data):
        *lines, rest = (rest + piece).split(b"\n")
        total += sum(len(line) for line in lines)
    return total


def pieces(data: bytes) -> Iterator[bytes]:
    """Yield *data* as a pipe gives it."""
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


def ci_log(size: int) -> bytes:
    """Return a log as builds write it, always the same."""
    rng = random.Random(7)
    lines: list[str] = []
    length = 0
    while length < size:
        lines.append(_line(rng, len(lines)))
        length += len(lines[-1]) + 1
    return "\n".join(lines).encode()


def _line(rng: random.Random, number: int) -> str:
    at = f"2026-01-02T03:{number // 60 % 60:02}:{number % 60:02}.{rng.randrange(10**6):06}Z "
    if number % 500 == 499:
        return at + "export DEPLOY_TOKEN=" + random_text(str(number), 32)
    digest, short = f"{rng.getrandbits(256):064x}", f"{rng.getrandbits(32):08x}"
    kinds = (
        f"\x1b[36mINFO\x1b[0m  compiling src/core/{short}.py ... done in {rng.random():.2f}s",
        f"Downloading https://packages.example/wheels/{short}/library-1.{number % 90}.whl (1.2 MB)",
        f"sha256:{digest} layer already exists",
        f'{{"level":"info","ts":{rng.random()},"id":"{digest[:8]}-{digest[8:12]}-4{digest[12:15]}"}}',
        f"tests/unit/test_{short}.py::test_task_{number} \x1b[32mPASSED\x1b[0m [{number % 100}%]",
        f"warning: field `key_{short}` is never read, at src/store/session.rs:{number % 900}:5",
        f"added {number % 1000} packages, and audited {number} packages in {number % 60}s",
        "    at Object.<anonymous> (/home/runner/app/node_modules/jest-runner/build/index.js:12:3)",
    )
    return at + rng.choice(kinds)


def random_text(seed: str, length: int) -> str:
    """Return letters and digits drawn by *seed*."""
    return "".join(random.Random(seed).choices("abcdefghijkmnpqrstuvwxyz23456789", k=length))


def git_log(size: int) -> bytes:
    """Return the patches of this repository's history, repeated until there are enough."""
    log = subprocess.run(
        ["git", "-C", str(ROOT), "log", "-p", "-n", "50"], capture_output=True, check=False
    ).stdout or ci_log(size)
    return (log * (size // len(log) + 1))[:size]


def start_up(rounds: int) -> None:
    """Print what a fresh process pays for its first command."""
    for name, code in (
        ("nothing printed", ""),
        ("one line printed", "s.feed(b'ok\\n'); s.finish()"),
        ("one secret printed", "s.feed(b'A_TOKEN=abcdefghi\\n'); s.finish()"),
    ):
        with tempfile.TemporaryDirectory() as compiled:
            _start(code, compiled)
            took = [_start(code, compiled) for _ in range(rounds)]
        print(f"first use, {name}: {statistics.median(took):.1f} ms")


def _start(code: str, compiled: str) -> float:
    # As installed: with the modules compiled.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
    program = (
        "import msgspec, hashlib, json, base64, re, time; import ledger.ports\n"
        "began = time.perf_counter()\n"
        "from adapters.redaction import RuleRedactor\n"
        "r = RuleRedactor(['default']).knowing({'PATH': '/bin', 'HOME': '/home/x'})\n"
        "r.argv(['true']); r.environment({'PATH': '/bin', 'HOME': '/home/x'}); r.digest\n"
        f"s = r.stream()\n{code}\n"
        "print(1000 * (time.perf_counter() - began))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def timed(call: Callable[[], object]) -> float:
    """Return the seconds of processor time that *call* takes."""
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    main()
