"""The README does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_python_example_runs_as_it_stands(home: Path, repository: Path) -> None:
    """Copied into a file and run in a repository, it records a run that succeeds."""
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None

    done = subprocess.run(
        [sys.executable, "-c", example[1]],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
    first, *events = done.stdout.splitlines()
    assert "succeeded 0" == first
    assert "run.opened.1" == events[0].split()[1]
    assert "run.sealed.2" == events[-1].split()[1]


def test_every_link_leads_to_a_file() -> None:
    """Links of the README and of the documents are to files that there are."""
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
