"""Whatever is typed, printed or lies in a repository is recorded safely, or refused in one line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from adapters import open_ledger
from ledger import events as e
from tests.cli.gesta import LOCAL, gesta, gesta_within, on_terminal, profile

# Sets the title of a terminal, clears it, writes backwards, and hides.
ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202egnp\u200b\x9b31m"
MARKS = ("\x1b]0;", "\x1b[2J", "\u202e", "\u200b", "\x9b")


@pytest.fixture
def here(home: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a checkout whose runs are in the local sandbox."""
    profile(home, "here", LOCAL)
    monkeypatch.setenv("GESTA_PROFILE", "here")
    return repository


def git(directory: Path, *arguments: str) -> None:
    """Run git as its user does."""
    subprocess.run(["git", "-C", str(directory), *arguments], check=True, capture_output=True)


def acting(text: str) -> list[str]:
    """Return which of the marks are in *text* as themselves."""
    return [mark for mark in MARKS if mark in text]


def test_escapes_on_record_never_reach_a_terminal(here: Path):
    """Of arguments, variables, file names, contents, messages and outputs nothing acts on one."""
    (here / f"new {ESCAPES.replace('/', '')}.txt").write_text(f"{ESCAPES}\n")
    script = f"printf '%s\\n' '{ESCAPES}' >out; cat out; cat out >&2; rm README.md; exit 3"
    done = gesta(
        "run", "--task", "T-1", "--run", "R-1", "--env", f"VALUE={ESCAPES}", "--artifact", "out",
        "--", "sh", "-c", script, ESCAPES, cwd=here,
    )  # fmt: skip
    assert 3 == done.code
    for command in (
        ["runs"], ["show"], ["audit"], ["audit", "--all"], ["output"], ["output", "--stderr"],
        ["diff"], ["diff", "--from-base"], ["replay"], ["replay", "--execute"],
    ):  # fmt: skip
        seen = on_terminal(*command, cwd=here).decode("utf-8", "surrogateescape")
        assert "" != seen
        assert (command, []) == (command, acting(seen))
    for command in (["runs"], ["show"], ["audit", "--all"], ["audit", "--csv"], ["replay"]):
        assert (command, []) == (command, acting(gesta(*command, cwd=here).out.decode()))
    for command in (["runs"], ["show"], ["audit"], ["replay", "--execute"]):
        assert (command, []) == (command, acting(gesta(*command, "--json", cwd=here).out.decode()))


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--task", ESCAPES, "--", "true"],
        ["run", "--run", ESCAPES, "--", "true"],
        ["run", "--profile", ESCAPES, "--", "true"],
        ["run", "--sandbox", ESCAPES, "--", "true"],
        ["run", "--branch", ESCAPES, "--", "true"],
        ["run", "--base", ESCAPES, "--", "true"],
        ["run", "--actor", ESCAPES, "--", "true"],
        ["run", "--label", f"a={ESCAPES}", "--", "true"],
        ["run", "--artifact", ESCAPES, "--", "true"],
        ["run", "--env", f"{ESCAPES}=1", "--", "true"],
        ["run", "--cwd", ESCAPES, "--", "true"],
        ["run", "--file", ESCAPES],
        ["run", "--", f"./{ESCAPES}"],
        ["show", ESCAPES],
        ["exec", ESCAPES, "--", "true"],
        ["output", ESCAPES],
        ["audit", "--type", ESCAPES],
        ["audit", "--since", ESCAPES],
        ["policy", "check", ESCAPES],
        ["restore", ESCAPES],
        ["backup", f"{ESCAPES}/file"],
        [ESCAPES],
    ],
    ids=lambda words: " ".join(words[:2]).encode("ascii", "replace").decode(),
)
def test_escapes_that_are_typed_are_refused_without_acting(here: Path, words: list[str]):
    """The refusal is one line, of which nothing acts on a terminal."""
    done = gesta(*words, cwd=here)
    assert done.code in (1, 2, 125, 127)
    # A program that is not found is on record and 127, as a shell has it.
    assert ([], int(done.code != 127)) == (acting(done.err), done.err.count("\n"))
    assert b"" == done.out


def test_bytes_that_are_not_utf8_are_recorded_as_they_are(here: Path):
    """Arguments, variables, file names and output keep their bytes, and can be shown."""
    os.close(os.open(os.fsencode(here) + b"/new-\xff\xfe", os.O_CREAT | os.O_WRONLY))
    script = b'printf \'a\\377b\'; cat "$1"; : >made-$2; printf %s "$VALUE"'
    done = gesta(
        "run", "--env", b"VALUE=\xfd", "--", "sh", "-c", script, "sh", b"new-\xff\xfe", b"\xfc",
        cwd=here,
    )  # fmt: skip
    assert (0, b"a\xffb\xfd") == (done.code, done.out)
    with open_ledger() as ledger:
        events = [record.event for record in ledger.events()]
        (text,) = (event.private for event in events if isinstance(event, e.CommandRequested))
        assert isinstance(text, e.CommandText)
        assert "\\xff" not in str(text.argv)
        assert "b64" in str(text.argv[-1])
    for command in (["show"], ["audit"], ["show", "--json"], ["diff"], ["replay", "--execute"]):
        shown = gesta(*command, cwd=here)
        assert (command, 0) == (command, shown.code), shown.err


def test_a_repository_made_to_run_things_runs_nothing_of_ours(here: Path, tmp_path: Path):
    """Hooks, filters, monitors, aliases and diff programs in it stay off from open to close."""
    canary, program = tmp_path / "canary", tmp_path / "payload"
    program.write_text(f"#!/bin/sh\necho $0 >>{canary}\ncat\n")
    program.chmod(0o755)
    (here / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    git(here, "add", ".gitattributes")
    git(here, "commit", "-qm", "attributes")
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-commit"):
        (here / ".git" / "hooks" / name).write_bytes(program.read_bytes())
        (here / ".git" / "hooks" / name).chmod(0o755)
    with (here / ".git" / "config").open("a") as config:
        config.write(
            f"[core]\n\tfsmonitor = {program}\n\tpager = {program}\n\teditor = {program}\n"
            f'[filter "evil"]\n\tclean = {program}\n\tsmudge = {program}\n\trequired = true\n'
            f'[diff "evil"]\n\tcommand = {program}\n\ttextconv = {program}\n'
            f"[diff]\n\texternal = {program}\n[alias]\n\tstatus = !{program}\n"
            f"[credential]\n\thelper = {program}\n[gpg]\n\tprogram = {program}\n"
        )
    (here / "README.md").write_text("changed\n")
    for command in (
        ["run", "--", "sh", "-c", "echo x >made"],
        ["diff"],
        ["replay", "--execute"],
        ["apply", "--check"],
    ):
        done = gesta(*command, cwd=here)
        assert (command, 0) == (command, done.code), done.err
    assert not canary.exists()


def test_a_work_tree_that_is_somewhere_else_brings_nothing_along(here: Path, tmp_path: Path):
    """`core.worktree` can name whoever's directory; its files are none of the repository's."""
    (tmp_path / "diary.txt").write_text("private\n")
    for elsewhere in ("../..", str(tmp_path), "/"):
        git(here, "config", "core.worktree", elsewhere)
        done = gesta("run", "--", "true", cwd=here)
        assert 125 == done.code
        assert "core.worktree" in done.err
        assert 1 == done.err.count("\n")


def test_links_and_submodules_lead_nowhere(here: Path, tmp_path: Path):
    """Tracked links out of the checkout stay links, a submodule stays a commit without files."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("private\n")
    (here / "out").symlink_to(tmp_path / "outside")
    (here / "loop").symlink_to("loop")
    git(here, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    (here / ".gitmodules").write_text('[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c id\n')
    git(here, "add", ".gitmodules", "out", "loop")
    git(here, "commit", "-qm", "links")
    (here / "also out").symlink_to("/etc")
    done = gesta("run", "--", "sh", "-c", "readlink out; readlink loop; ls sub", cwd=here)
    assert f"{tmp_path / 'outside'}\nloop\n".encode() == done.out
    assert b"private" not in gesta("diff", "--from-base", cwd=here).out
    assert "private\n" == (tmp_path / "outside" / "secret.txt").read_text()


def test_names_that_collide_where_case_does_not_count_are_kept_apart(here: Path):
    """Here they are two files; both come along, and both are in the patch."""
    for name in ("Case", "case", "CASE/x", "-rf", "--upload-pack=x", "a\nb", 'q"\\t', ":(top)z"):
        path = here / name if name != "CASE/x" else here / "CASE" / "x"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{name}\n")
    git(here, "add", "--", "Case", "case")
    git(here, "commit", "-qm", "cases")
    done = gesta(
        "run",
        "--",
        "sh",
        "-c",
        'cat Case case; for f in *; do [ -d "./$f" ] || echo >>"./$f"; done',
        cwd=here,
    )
    assert (0, b"Case\ncase\n") == (done.code, done.out)
    with open_ledger() as ledger:
        events = [record.event for record in ledger.events()]
        (patch,) = (event for event in events if isinstance(event, e.PatchCaptured))
        (made,) = (event for event in events if isinstance(event, e.WorktreeCreated))
    assert 6 == made.synced
    assert patch.files >= 7
    assert 0 == gesta("replay", "--execute", cwd=here).code


def test_an_enormous_tree_is_worked_in_and_left_clean(here: Path):
    """Five thousand tracked files and as many new ones take seconds, and leave nothing."""
    for half in ("old", "new"):
        (here / half).mkdir()
        for number in range(5000):
            (here / half / f"{number:05}").write_text(f"{number}\n")
        if half == "old":
            git(here, "add", "old")
            git(here, "commit", "-qm", "many")
    done = gesta("run", "--", "sh", "-c", "ls old new | wc -l; rm -r old", cwd=here)
    assert (0, "10003") == (done.code, done.out.decode().strip() if done.out else "")
    show = gesta("show", "--json", cwd=here).json
    assert (5000, 5000) == (show["worktree"]["synced"], show["patch"]["files"])
    assert "clean" == show["run"]["cleanliness"]


@pytest.mark.parametrize("file", ["index", "info/exclude"])
def test_a_device_in_gits_place_is_not_read_to_its_end(here: Path, file: str):
    """A link to a device has no end; it is named, and the disk does not fill."""
    (here / ".git" / file).unlink()
    (here / ".git" / file).symlink_to("/dev/zero")
    done = gesta("run", "--", "true", cwd=here)
    assert 125 == done.code
    assert 1 == done.err.count("\n")


BOMBS = {
    "aliases": "a: &a [x]\nb: [*a, *a]\n",
    "deep": "task: " + "[" * 100_000,
    "deep blocks": "".join(f"{' ' * depth}a:\n" for depth in range(1000)),
    "many": "steps: [" + "a, " * 300_000 + "]",
    "huge": "task: " + "x" * 2_000_000,
    "tags": "task: !!python/object/apply:os.system ['touch canary']\n",
    "nul": 'task: "a\\0b"\nsteps: [{name: a, run: [a]}]\n',
    "bytes": "task: \udcff\n",
    "documents": "---\n" * 100_000,
    "numbers": "task: T\nsteps: [{name: a, run: [a], timeout: " + "9" * 100_000 + "}]\n",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("kind", ["job", "profile"])
def test_documents_made_to_exhaust_us_are_refused_in_bounded_memory(
    here: Path, home: Path, tmp_path: Path, name: str, kind: str
):
    """With 400 MB of address space each is refused in one line, and nothing is run."""
    data = BOMBS[name].encode("utf-8", "surrogateescape")
    if kind == "job":
        (tmp_path / "job.yaml").write_bytes(data)
        words = ["run", "--file", str(tmp_path / "job.yaml")]
    else:
        (home / "profiles" / "bomb.yaml").write_bytes(data)
        words = ["run", "--profile", "bomb", "--", "true"]
    done = gesta_within("-v 400000", *words, cwd=here)
    assert done.code in (2, 125), done.err
    assert 1 == done.err.count("\n")
    assert len(done.err) < 1000
    assert "cannot go on" not in done.err
    assert not (here / "canary").exists()


@pytest.mark.parametrize("place", ["/dev/zero", "fifo", "."])
def test_a_document_that_is_no_file_is_not_waited_for(here: Path, place: str):
    """A device, a pipe and a directory are named as what they are not."""
    os.mkfifo(here / "fifo")
    done = gesta("run", "--file", place, cwd=here)
    assert (2, 1) == (done.code, done.err.count("\n"))
    assert "it is not a regular file" in done.err
