"""A workspace as its commands see it: what is there goes in, what they change comes out."""

from __future__ import annotations

import os
from pathlib import Path

from tests.contracts.sandbox_runs import Run, code_of

LARGE = 3_000_000


class SandboxFilesContract:
    """What every sandbox does with the files of a run."""

    def test_files_go_in_as_they_are(self, run: Run, workspace: Path) -> None:
        """Binary, nested, large and oddly named ones, with their modes."""
        (workspace / "deep" / "er").mkdir(parents=True)
        noise = os.urandom(LARGE)
        (workspace / "deep" / "er" / "noise.bin").write_bytes(noise)
        (workspace / "a b\nc").write_bytes(b"\x00\xff")
        script = workspace / "script.sh"
        script.write_text("#!/bin/sh\necho ran\n")
        script.chmod(0o755)

        assert code_of(run.shell("cat deep/er/noise.bin 'a b\nc' && ./script.sh")) == 0
        assert noise + b"\x00\xff" + b"ran\n" == run.out

    def test_what_a_command_changes_comes_out(self, run: Run, workspace: Path) -> None:
        """New, changed, deleted and executable files are so in the workspace afterwards."""
        noise = os.urandom(LARGE)
        (workspace / "noise.bin").write_bytes(noise)
        (workspace / "gone.txt").write_text("gone")
        (workspace / "kept.txt").write_text("old")

        outcome = run.shell(
            "mkdir -p out/deep && cp noise.bin out/deep/copy.bin && rm gone.txt"
            " && echo new > kept.txt && printf x > 'out/a b' && chmod 755 'out/a b'"
        )

        assert code_of(outcome) == 0, run.err
        assert noise == (workspace / "out" / "deep" / "copy.bin").read_bytes()
        assert not (workspace / "gone.txt").exists()
        assert "new\n" == (workspace / "kept.txt").read_text()
        assert 0o755 == (workspace / "out" / "a b").stat().st_mode & 0o777

    def test_files_stay_from_one_command_to_the_next(self, run: Run, workspace: Path) -> None:
        """What one left the next one finds, also what was written between the two."""
        assert code_of(run.shell("echo one > first.txt")) == 0
        (workspace / "between.txt").write_text("two\n")

        assert code_of(run.shell("cat first.txt between.txt")) == 0
        assert b"one\ntwo\n" == run.out
