"""A job file is read within bounds, as plain YAML, and checked whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.job_files import read_job
from ledger.errors import JobInvalid
from ledger.job import Job, Step

EXAMPLE = """\
task: T-123
profile: default
steps:
  - name: test
    run: [python, -m, pytest, -q]        # argv, never through a shell
    timeout: 300
  - name: lint
    shell: ruff check . | tee lint.txt   # sh -c, and recorded as such
    on_failure: continue                 # stop | continue
"""


def refusal(path: Path) -> str:
    with pytest.raises(JobInvalid) as caught:
        read_job(path)
    assert 1 == len(str(caught.value).splitlines())
    return str(caught.value).removeprefix(f"cannot read job {path}: ")


def test_the_documented_job_is_read_as_it_says(tmp_path: Path) -> None:
    """Two steps, the one in words, the other for the shell."""
    file = tmp_path / "job.yaml"
    file.write_text(EXAMPLE)
    test = Step(name="test", run=("python", "-m", "pytest", "-q"), timeout=300)
    lint = Step(name="lint", shell="ruff check . | tee lint.txt", on_failure="continue")
    assert Job(task="T-123", profile="default", steps=(test, lint)) == read_job(file)


FORM = "must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
TEXT = "must be text (in quotes, if it looks like something else)"
ALIAS = "an anchor or alias is not accepted"
SECOND = "expected a single document in the stream, but found another document"
CHANGES = [
    ("-q]", '"a\\0b"]', r"steps[0].run[3] is 'a\x00b'; it must not hold a NUL character"),
    ("-q]", "\0]", "character U+0000 is not accepted"),
    ("-q]", "8080]", f"steps[0].run[3] is 8080; it {TEXT}"),
    ("T-123", "123", f"task is 123; it {TEXT}"),
    ("T-123", "-x", f"task is '-x'; it {FORM}"),
    ("timeout: 300", "name: test", "line 6, column 5: the key 'name' is given twice"),
    ("name: lint", "name: test", "steps must not give the name 'test' to two steps"),
    ("steps:", "stages:", "steps is missing (and 1 more)"),
    ("profile: default", "<<: {run: R-1}", "<< is not a key of a job"),
    ("profile: default", "profile: *p", f"line 2, column 10: {ALIAS}"),
    ("stop | continue", "\n---\n{}", f"line 10, column 1: {SECOND}"),
]


@pytest.mark.parametrize(("old", "new", "problem"), CHANGES)
def test_a_line_says_what_is_wrong_and_where(
    old: str, new: str, problem: str, tmp_path: Path
) -> None:
    """The example with one thing changed is refused for that."""
    file = tmp_path / "job.yaml"
    file.write_text(EXAMPLE.replace(old, new, 1))
    assert problem == refusal(file)


@pytest.mark.parametrize("word", ["yes", "off", "12:30", "2026-01-02", "010", "1_000", "'8080'"])
def test_a_word_that_old_yaml_converts_stays_a_word(word: str, tmp_path: Path) -> None:
    """It arrives at the program as it was written."""
    file = tmp_path / "job.yaml"
    file.write_text(EXAMPLE.replace("-q]", f"{word}]"))
    assert word.strip("'") == read_job(file).steps[0].argv[-1]


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    """A missing file, a directory, a pipe and one that is too large."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_text("#" * 1024 * 1024 + "\n")
    assert "it cannot be opened: No such file or directory" == refusal(tmp_path / "absent")
    assert "it is not a regular file" == refusal(tmp_path)
    assert "it is not a regular file" == refusal(tmp_path / "pipe")
    assert "it is larger than 1024 KiB" == refusal(tmp_path / "large")


def test_a_name_with_a_line_break_stays_on_one_line(tmp_path: Path) -> None:
    """What a file is called cannot forge a second line of output."""
    with pytest.raises(JobInvalid) as caught:
        read_job(tmp_path / "a\nb")
    assert 1 == len(str(caught.value).splitlines())


def test_a_path_that_no_file_can_have_is_refused() -> None:
    """A NUL in it is an error of ours, not of the operating system."""
    with pytest.raises(JobInvalid, match="it cannot be opened: embedded null byte"):
        read_job("a\0")
