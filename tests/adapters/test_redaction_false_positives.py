"""What is no secret is stored as it was printed: builds, code, hashes, pictures, lock files."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.redaction import RuleRedactor

ROOT = Path(__file__).parents[2]
# False finds that are borne in a megabyte of ordinary text.
BORNE = 1.0


def hashes(rng: random.Random) -> bytes:
    kinds = ["the key is", "sha256:", "secrets/", "etag", "invalid token"]
    lines = [f"{rng.choice(kinds)} {rng.getrandbits(256):064x}" for _ in range(4000)]
    return "\n".join(lines).encode()


def uuids(rng: random.Random) -> bytes:
    return "\n".join(str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(8000)).encode()


def pictures(rng: random.Random) -> bytes:
    pixels = base64.b64encode(rng.randbytes(300_000))
    return b'<img src="data:image/png;base64,' + pixels + b'"/>\n' + base64.encodebytes(pixels)


def lock_file(rng: random.Random) -> bytes:
    packages = {
        f"node_modules/token-{n}": {
            "version": f"{n % 9}.1.{n}",
            "resolved": f"https://registry.example/token-{n}/-/token-{n}-1.0.{n}.tgz",
            "integrity": "sha512-" + base64.b64encode(rng.randbytes(64)).decode(),
        }
        for n in range(2000)
    }
    return json.dumps({"packages": packages}, indent=2).encode()


def build_log(rng: random.Random) -> bytes:
    lines = [
        "Step 4/9 : RUN --mount=type=secret,id=npm_token npm ci",
        "warning: unused variable: `access_token`, at src/auth/session.rs:41:9",
        "\x1b[32mPASSED\x1b[0m tests/test_tokens.py::test_token_expires[api_key-2026]",
        "::add-mask::***",
        "Logging in with the token of the environment: GITHUB_TOKEN=***",
        "remote: https://git.example:8443/ann/repository.git@main",
        "error[E0425]: cannot find value `password` in this scope",
        "Generated private key: /etc/ssl/private/host-4096.pem",
        "curl: (7) Failed to connect to host-9 port 8080 after 2 ms",
    ]
    return "\n".join(f"{line} #{rng.getrandbits(40):x}" for line in lines * 400).encode()


@pytest.mark.parametrize("corpus", [hashes, uuids, pictures, lock_file, build_log])
def test_nothing_is_found_where_no_secret_is(corpus: Callable[[random.Random], bytes]) -> None:
    """Hashes, UUIDs, base64, lock files and talk about secrets come out as they went in."""
    data = corpus(random.Random(20260102))
    assert {} == RuleRedactor().data(data).counts
    assert data == RuleRedactor().data(data).value


def test_little_is_found_in_code() -> None:
    """In this repository and in Python's own library hardly anything is taken for a secret."""
    library = Path(json.__file__).parents[1]
    paths = [
        path
        for room in ("adapters", "ledger", "projections")
        for path in (ROOT / room).rglob("*.py")
    ]
    paths += [
        path
        for room in ("asyncio", "email", "json", "http", "urllib")
        for path in (library / room).glob("*.py")
    ]
    size = found = 0
    ours = RuleRedactor()
    for path in paths:
        data = path.read_bytes()
        size += len(data)
        if path.parts[-2:] != ("http", "cookies.py"):
            found += sum(ours.data(data).counts.values())
    assert size > 1_000_000
    assert found <= BORNE * size / 1_000_000


def test_this_repository_holds_nothing_that_looks_like_a_token() -> None:
    """Rules for tokens find nothing in the files of this checkout, tests of them included."""
    ours = RuleRedactor()
    providers = set(ours.rules[: ours.rules.index("url-password")]) | {"jwt", "private-key"}
    rooms = (
        "adapters",
        "benchmarks",
        "configs",
        "docs",
        "ledger",
        "projections",
        "scripts",
        "tests",
    )
    files = [path for room in rooms for path in (ROOT / room).rglob("*") if path.is_file()]
    found = {
        str(path): rules
        for path in files
        if path.suffix != ".pyc" and (rules := providers & set(ours.data(path.read_bytes()).counts))
    }
    assert {} == found


def test_what_a_real_command_prints_passes_unchanged() -> None:
    """The help of Python, line for line."""
    done = subprocess.run([sys.executable, "--help-all"], capture_output=True, check=True)
    assert done.stdout == RuleRedactor().data(done.stdout).value
