"""What every test may ask for: a home of its own, a repository of its own, and nothing skipped.

Rule 1: no test sees the environment of whoever runs it: neither their ledger, nor their keys, nor
their git configuration.
Rule 2: with `CI=true` a skipped test has failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

# A job in the background may have been started with SIGINT ignored, which every process that a
# test starts would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Read once: a test may set it for a process that it starts.
IN_CI = os.environ.get("CI") == "true"

# A slow machine is not a defect, so that nothing here has a deadline.
settings.register_profile(
    "dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=150, derandomize=True, database=None
)
settings.load_profile("ci" if IN_CI else "dev")

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report a test that skipped itself as failed, in CI."""
    return _without_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Report a file that skipped itself as failed, in CI."""
    return _without_skip((yield))


def _without_skip(report: _Report) -> _Report:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true does not allow: {reason}"
    return report


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the place of a ledger's home that does not exist yet, as `GESTA_HOME`."""
    for name in list(os.environ):
        if name.startswith(("GESTA_", "E2B_")):
            monkeypatch.delenv(name)
    place = tmp_path / "home"
    monkeypatch.setenv("GESTA_HOME", str(place))
    return place


@pytest.fixture
def git_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git see no configuration but the repository's, and give it a name to commit under."""
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada Example")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
        monkeypatch.setenv(f"GIT_{role}_DATE", "2026-01-02T03:04:05+00:00")


@pytest.fixture
def repository(tmp_path: Path, git_identity: None) -> Path:
    """
    Give a small git repository with a clean checkout of `main`.

    Its two commits hold `README.md`, `src/program.py` and a `.gitignore` of `*.log` and `build/`.
    """
    root = tmp_path / "repository"
    (root / "src").mkdir(parents=True)
    (root / "README.md").write_text("# An example\n")
    (root / ".gitignore").write_text("*.log\nbuild/\n")
    _git(root, "init", "--quiet", "--initial-branch=main")
    _commit(root, "begin")
    (root / "src" / "program.py").write_text('print("hello")\n')
    _commit(root, "add a program")
    return root


def _commit(root: Path, message: str) -> None:
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message", message)


def _git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True)
