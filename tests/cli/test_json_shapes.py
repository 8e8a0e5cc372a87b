"""Every shape that docs/json.md promises is the one that is printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from adapters import open_ledger
from tests.cli.gesta import ROOT, gesta, start

JOB = """
task: T-1
labels: {ticket: "7"}
artifacts: [report.txt]
steps:
  - {name: write, shell: "echo hello > report.txt; echo printed"}
"""


def documented() -> dict[str, Any]:
    """Return the examples of the document under their headings; empty ones stand for others."""
    text = (ROOT / "docs" / "json.md").read_text()
    found = re.findall(r"^## (.+?)$.*?^```json\n(.+?)^```$", text, re.MULTILINE | re.DOTALL)
    return {heading: json.loads(example) for heading, example in found}


def differences(said: Any, printed: Any, at: str = "") -> list[str]:
    """Return where *printed* is not of the shape *said*; what is empty or null fits anything."""
    if said in (None, {}, []) or printed is None:
        return []
    if isinstance(said, dict) and isinstance(printed, dict):
        found = [f"{at}: {key}" for key in said.keys() ^ printed.keys()]
        # The keys of labels are anybody's.
        return ([] if at.endswith(".labels") else found) + [
            difference
            for key in said.keys() & printed.keys()
            for difference in differences(said[key], printed[key], f"{at}.{key}")
        ]
    if isinstance(said, list) and isinstance(printed, list):
        return [
            difference
            for number, item in enumerate(printed)
            for difference in differences(said[0], item, f"{at}[{number}]")
        ]
    return [] if type(said) is type(printed) else [f"{at}: {said!r}, {printed!r}"]


def test_what_is_printed_has_the_documented_shape(home: Path, repository: Path, tmp_path: Path):
    """Keys and types of every answer are those of docs/json.md, neither more nor fewer."""
    shapes = documented()
    (repository / "uncommitted").write_text("work\n")
    job = tmp_path / "job.yaml"
    job.write_text(JOB)
    run = gesta("run", "--json", "--file", str(job), cwd=repository).json
    show = gesta("show", "--json", cwd=repository).json
    assert [] == differences(shapes["gesta run --json"], run, "run")
    assert [] == differences(shapes["gesta show --json"], show, "show")
    for empty in ("sandboxes", "fallbacks", "commands", "artifacts", "cleanups"):
        assert show[empty], empty
    assert show == {key: run[key] for key in show}
    runs = gesta("runs", "--json", cwd=repository).json
    assert [] == differences(shapes["gesta runs --json"], runs, "runs")
    assert show["run"] == runs[0]
    audit = gesta("audit", "--json", cwd=repository).json
    assert [] == differences(shapes["gesta audit --json"], audit, "audit")
    for words in (("rebuild",), ("rebuild", "--check"), ("replay",)):
        printed = gesta(*words, "--json", cwd=repository).json
        assert [] == differences(shapes[f"gesta {' '.join(words)} --json"], printed, words[0])
    lines = gesta("audit", "--jsonl", cwd=repository).out.splitlines()
    assert audit == [json.loads(line) for line in lines]


def test_the_answers_of_stepwise_commands_have_the_documented_shape(home: Path, repository: Path):
    """`open`, `exec` and `close` too, and those that are about no run."""
    shapes = documented()
    opened = gesta("open", "--json", cwd=repository).json
    assert [] == differences(shapes["gesta show --json"], opened, "open")
    stream = opened["run"]["stream"]
    done = gesta("exec", "--json", stream, "--", "true", cwd=repository).json
    assert [] == differences(shapes["gesta exec --json"], done, "exec")
    command = shapes["gesta show --json"]["commands"][0]
    assert [] == differences(command, done["command"], "exec.command")
    closed = gesta("close", "--json", stream, cwd=repository).json
    assert [] == differences(shapes["gesta show --json"], closed, "close")
    for words in (("policy", "show"), ("doctor",)):
        printed = gesta(*words, "--json", cwd=repository).json
        assert [] == differences(shapes[f"gesta {' '.join(words)} --json"], printed, words[0])


def test_the_answers_about_keeping_a_ledger_have_the_documented_shape(
    home: Path, repository: Path, tmp_path: Path
) -> None:
    """`backup`, `restore` and `store`, of a ledger with a run and a profile of its own."""
    shapes = documented()
    made = gesta("store", "init", "--json", cwd=repository).json
    assert [] == differences(shapes["gesta store init --json"], made, "store init")
    assert 0 == gesta("run", "--", "true", cwd=repository).code
    file, other = str(tmp_path / "ledger.tar"), str(tmp_path / "restored")
    saved = gesta("backup", file, "--json", cwd=repository).json
    assert [] == differences(shapes["gesta backup --json"], saved, "backup")
    restored = gesta("restore", file, "--home", other, "--json", cwd=repository).json
    assert [] == differences(shapes["gesta restore --json"], restored, "restore")
    assert (saved["events"], saved["root"]) == (restored["events"], restored["root"])
    migrated = gesta("store", "migrate", "--json", cwd=repository).json
    assert [] == differences(shapes["gesta store migrate --json"], migrated, "store migrate")
    assert (made["version"], None) == (migrated["after"], migrated["kept"])


def test_the_answer_of_an_execution_again_has_the_documented_shape(
    home: Path, repository: Path
) -> None:
    """One command that prints the same, and one that does not and comes with a diff."""
    shape = documented()["gesta replay --execute --json"]
    assert 0 == gesta("run", "--", "sh", "-c", "date +%N; echo x >&2", cwd=repository).code
    done = gesta("replay", "--execute", "--json", cwd=repository)
    assert (1, "different") == (done.code, done.json["verdict"])
    assert [] == differences(shape, done.json, "replay")
    (command,) = done.json["commands"]
    assert ("different", "same") == (command["stdout"]["likeness"], command["stderr"]["likeness"])
    assert command["stdout"]["diff"]


def test_the_answers_about_what_went_wrong_have_the_documented_shape(
    home: Path, repository: Path
) -> None:
    """`recover` and `gc`, of a run whose process was killed and of a worktree that came back."""
    shapes = documented()
    process = start(
        "run", "--profile", "local", "--", "sh", "-c", "echo ready; sleep 300", cwd=repository
    )
    assert process.stdout is not None
    assert b"ready\n" == process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    named = gesta("recover", "--dry-run", "--json", cwd=repository).json
    assert [] == differences(shapes["gesta recover --json"], named, "recover --dry-run")
    recovered = gesta("recover", "--json", cwd=repository).json
    assert [] == differences(shapes["gesta recover --json"], recovered, "recover")
    with open_ledger(home) as ledger:
        ledger.workspace().mkdir(parents=True)
    for arguments in (("--dry-run",), ()):
        told = gesta("gc", "--json", *arguments, cwd=repository).json
        assert [] == differences(shapes["gesta gc --json"], told, "gc")
        assert told["drift"]
