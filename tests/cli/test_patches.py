"""`gesta diff` and `gesta apply`: what a run changed, and only that."""

from __future__ import annotations

import subprocess
from pathlib import Path

from adapters import open_ledger
from tests.cli.gesta import gesta


def git(repository: Path, *arguments: str, data: bytes | None = None) -> bytes:
    """Return what git says; *data* is its input."""
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments], check=True, capture_output=True, input=data
    )
    return done.stdout


def test_a_patch_holds_what_the_run_did_and_applies(home: Path, repository: Path, tmp_path: Path):
    """Uncommitted work comes along and is not in the patch; from the base it is."""
    (repository / "README.md").write_text("# Changed by hand\n")
    (repository / "new by hand").write_text("new\n")
    (repository / "src" / "program.py").unlink()
    (repository / "ignored.log").write_text("ignored\n")
    with open_ledger(home) as ledger, ledger.run(directory=repository) as run:
        script = "git status --short; echo by the run > new.txt; echo more >> README.md"
        assert b" M README.md\n D src/program.py\n?? " in run.execute(["sh", "-c", script]).stdout

    patch = gesta("diff", cwd=repository).out
    assert b"new.txt" in patch
    assert b"new by hand" not in patch
    git(repository, "apply", "--check", data=patch)

    base = tmp_path / "base"
    git(repository, "worktree", "add", "--quiet", "--detach", str(base), "HEAD")
    git(base, "apply", data=gesta("diff", "--from-base", cwd=repository).out)
    assert "# Changed by hand\nmore\n" == (base / "README.md").read_text()
    assert not (base / "src" / "program.py").exists()
    git(repository, "worktree", "remove", "--force", str(base))

    applied = gesta("apply", cwd=repository / "src")
    assert f"2 files changed in {repository}\n" == applied.out.decode()
    assert "by the run\n" == (repository / "new.txt").read_text()
    again = gesta("apply", cwd=repository)
    assert 1 == again.code
    assert again.err.startswith("gesta: cannot apply the patch to ")


def test_a_run_that_is_open_has_no_patch_yet(home: Path, repository: Path):
    """The patch is captured when the run is closed, and the refusal says so."""
    with open_ledger(home) as ledger:
        ledger.open(directory=repository)
    ended = gesta("diff", cwd=repository)
    assert 1 == ended.code
    assert ended.err.endswith("it has not been closed\n")
