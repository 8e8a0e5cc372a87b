"""`gesta policy` and `gesta doctor`: the rules, and what this machine can do."""

from __future__ import annotations

from pathlib import Path

from tests.cli.gesta import gesta, profile


def test_every_wrong_key_is_a_line_that_names_file_and_key(home: Path, tmp_path: Path):
    """All that is wrong is said at once, and the code is 1."""
    profile(home, "odd", "sandbox: {netwrok: true, timeout: never}\n")
    ended = gesta("policy", "check", "odd", "strict", cwd=tmp_path)
    assert (1, b"strict: ok\n") == (ended.code, ended.out)
    path = home / "profiles" / "odd.yaml"
    lines = ended.err.splitlines()
    assert 2 == len(lines)
    assert all(line.startswith(f"gesta: {path}: sandbox.") for line in lines)
    by_path = gesta("policy", "check", str(path), cwd=tmp_path)
    assert ended.err == by_path.err


def test_a_shipped_profile_can_be_begun_once(home: Path, tmp_path: Path):
    """It is copied to the home, where it counts, and never over another file."""
    begun = gesta("policy", "init", "strict", cwd=tmp_path)
    copy = home / "profiles" / "strict.yaml"
    assert (0, f"{copy}\n") == (begun.code, begun.out.decode())
    copy.write_text(copy.read_text() + "run: {idle_limit: 60}\n")
    again = gesta("policy", "init", "strict", cwd=tmp_path)
    assert (1, f"gesta: cannot begin profile strict: {copy} is there already\n") == (
        again.code,
        again.err,
    )
    shown = gesta("policy", "show", "strict", cwd=tmp_path).out.decode()
    assert f"# strict, from {copy}" == shown.splitlines()[0]
    assert "idle_limit: 60" in shown


def test_the_doctor_says_what_works_and_what_keeps_gesta_from_working(home: Path, repository: Path):
    """A sandbox that is not here is no defect; a default profile that nothing satisfies is one."""
    well = gesta("doctor", "--json", cwd=repository)
    states = {finding["name"]: finding["state"] for finding in well.json}
    assert 0 == well.code
    assert ("ok", "ok", "ok", "not here") == tuple(
        states[name] for name in ("git", "home", "sandbox local", "sandbox e2b")
    )
    ill = gesta("doctor", cwd=repository, GESTA_PROFILE="strict")
    assert 1 == ill.code
    assert b"no sandbox that it permits can be had here" in ill.out


def test_a_home_that_others_may_use_is_wrong(home: Path, repository: Path):
    """The doctor says why nothing works, with the remedy."""
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    ended = gesta("doctor", cwd=repository)
    assert 1 == ended.code
    assert b"chmod 700" in ended.out


def test_a_pattern_that_the_redactor_does_not_take_is_found_by_the_check(
    home: Path, tmp_path: Path
):
    """Before any run meets it, `policy check` names the file and says what is wrong."""
    profile = tmp_path / "mine.yaml"
    profile.write_text("redact: {patterns: ['x{1001}']}\n")
    ended = gesta("policy", "check", str(profile), cwd=tmp_path)
    assert 1 == ended.code
    assert "x{1001}" in ended.out.decode() + ended.err
