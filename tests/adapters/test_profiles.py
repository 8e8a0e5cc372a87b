"""A profile is found by its name, read strictly, and compiled once for each content of its file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.profiles import (
    PolicyProvider,
    document_of,
    get_policy_provider,
    shipped_profiles,
)
from ledger.errors import PolicyInvalid, PolicyKeysInvalid
from ledger.isolation import AXES
from ledger.overrides import asked_isolation
from ledger.policy import parse_policy, rules

SECOND = "expected a single document in the stream, but found another document"
SHIPPED = ("bubblewrap", "default", "docker", "e2b", "local", "strict")


@pytest.fixture
def profiles(home: Path) -> Path:
    directory = home / "profiles"
    directory.mkdir(parents=True)
    return directory


def copies(profiles: Path) -> list[Path]:
    return sorted((profiles.parent / "cache" / "policies").glob("*"))


def refusal(profiles: Path, name: str = "mine") -> str:
    with pytest.raises(PolicyInvalid) as caught:
        PolicyProvider(profiles, {}).load(name)
    assert 1 == len(str(caught.value).splitlines())
    return str(caught.value)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_is_a_policy(name: str, profiles: Path) -> None:
    """It passes the model, and what it says in full gives the same rules again."""
    held = PolicyProvider(profiles, {}).load(name)
    source = str(shipped_profiles() / f"{name}.yaml")
    policy = parse_policy(document_of(held), profile=name, source=source)
    assert held == rules(policy, profile=name, source=source)
    assert name in {"default", "strict"} or held.facts.sandbox_type == name


def test_the_shipped_profiles_are_the_documented_ones(profiles: Path) -> None:
    """Six of them, and the user's own beside them."""
    (profiles / "mine.yaml").write_text("{}")
    (profiles / "not a name.yaml").write_text("{}")
    assert tuple(sorted((*SHIPPED, "mine"))) == PolicyProvider(profiles, {}).names()


def test_default_falls_back_and_strict_does_not(profiles: Path) -> None:
    """default may lose everything, which is put on record; strict nothing, not even a worktree."""
    provider = PolicyProvider(profiles, {})
    default, strict = provider.load("default").facts, provider.load("strict").facts
    assert ("e2b", ("bubblewrap", "local")) == (default.sandbox_type, default.fallback)
    assert (AXES, ()) == (default.may_lose, strict.may_lose)
    assert ((), False, False) == (strict.fallback, strict.worktree_fallback, strict.network)


def test_local_asks_for_nothing_that_a_process_lacks_everywhere(profiles: Path) -> None:
    """Network and file system are the host's; only what some machines cannot do may be lost."""
    facts = PolicyProvider(profiles, {}).load("local").facts
    asked = asked_isolation(facts)
    assert ("process", "host", "host") == (asked.boundary, asked.filesystem, asked.network)
    assert {"processes", "limits"} == set(facts.may_lose)


def test_a_profile_of_the_home_comes_before_a_shipped_one(profiles: Path) -> None:
    """The user's own `default` is the default."""
    (profiles / "default.yaml").write_text("sandbox: {type: local}")
    held = PolicyProvider(profiles, {}).load()
    assert ("local", str(profiles / "default.yaml")) == (held.facts.sandbox_type, held.texts.source)


def test_a_repository_has_no_say_in_its_policy(
    profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies under the current directory is never looked at."""
    for place in ("profiles", "configs/profiles", "shipped_profiles"):
        (tmp_path / "repository" / place).mkdir(parents=True)
        for name in ("evil", "default"):
            (tmp_path / "repository" / place / f"{name}.yaml").write_text("sandbox: {type: local}")
    monkeypatch.chdir(tmp_path / "repository")
    assert "e2b" == PolicyProvider(profiles, {}).load().facts.sandbox_type
    assert "there is none in" in refusal(profiles, "evil")


@pytest.mark.parametrize(
    ("name", "variable", "loaded"),
    [
        ("local", "strict", "local"),
        ("default", "strict", "default"),
        (None, "strict", "strict"),
        (None, "", "default"),
        (None, None, "default"),
    ],
)
def test_an_argument_comes_before_the_environment_and_that_before_default(
    name: str | None, variable: str | None, loaded: str, profiles: Path
) -> None:
    """An explicit `default` is explicit too; an empty variable is no name."""
    environment = {} if variable is None else {"GESTA_PROFILE": variable}
    provider = PolicyProvider(profiles, environment)
    assert loaded == provider.load(name).texts.profile
    provider.load_profile(name)
    assert provider.load(loaded).facts.sandbox_type == provider.get_sandbox_type()


@pytest.mark.parametrize(
    "name", ["../evil", "", ".", "a/b", "/etc/passwd", "a.yaml", "-x", "a\0", "a\n", "a" * 65]
)
def test_a_name_that_is_a_path_opens_nothing(name: str, profiles: Path) -> None:
    """Also where the file is there: as an argument and from the environment."""
    (profiles.parent / "evil.yaml").write_text("{}")
    assert refusal(profiles, name).startswith(f"cannot load profile {name!r}: it must be a name")
    if name:
        with pytest.raises(PolicyInvalid, match="it must be a name"):
            PolicyProvider(profiles, {"GESTA_PROFILE": name}).load()
    assert [] == copies(profiles)


def test_a_missing_profile_is_an_error_that_lists_those_there_are(profiles: Path) -> None:
    """Nothing built in takes its place."""
    assert (
        f"cannot load profile defualt: there is none in {profiles}; there are {', '.join(SHIPPED)}"
    ) == refusal(profiles, "defualt")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "it is not a mapping of keys to values"),
        (b"- a", "it is not a mapping of keys to values"),
        (b"a: 1\na: 2", "line 2, column 1: the key 'a' is given twice"),
        (b"run: {}\n---\nrun: {}", f"line 2, column 1: {SECOND}"),
        (b"a: &x [1]\nb: *x", "line 1, column 4: an anchor or alias is not accepted"),
        (b"a: !!python/name:os.system x", "line 1, column 4: a tag is not accepted"),
        (b"a: !!str 1", "line 1, column 4: a tag is not accepted"),
        (b"a: " + b"[" * 100_000, "line 1, column 23: it is nested more than 20 deep"),
        (b"? [a]\n: 1", "line 1, column 3: a key must be text"),
        (b"a: 'b", "line 1, column 6: found unexpected end of stream"),
        (b'a: "\\ud800"', "line 1, column 4: half of a surrogate pair is not text"),
        (b"a: \x00", "character U+0000 is not accepted"),
        (b"a: \xff", "it is not UTF-8 at byte 3"),
        (b"a: " + b"x" * 262_144, "it is larger than 256 KiB"),
        (
            b"sandbox: {typ: e2b}",
            "sandbox.typ is not a key of a policy; did you mean sandbox.type?",
        ),
        (b"sandbox: {network: yes}", "sandbox.network is 'yes'; it must be true or false"),
        (b"sandbox: {timeout: 010}", "sandbox.timeout is '010'; it must be a whole number"),
        (b"sandbox: {timeout: 1:30}", "sandbox.timeout is '1:30'; it must be a whole number"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_line_that_names_it(
    text: bytes, problem: str, profiles: Path
) -> None:
    """YAML's surprises are refused, and nothing wrong is ever compiled."""
    (profiles / "mine.yaml").write_bytes(text)
    assert f"cannot load profile mine ({profiles / 'mine.yaml'}): {problem}" == refusal(profiles)
    assert [] == copies(profiles)


def test_every_wrong_key_is_listed(profiles: Path) -> None:
    """For `gesta policy check`, beside the message."""
    (profiles / "mine.yaml").write_text("a: 1\nb: 2\n")
    with pytest.raises(PolicyKeysInvalid) as caught:
        PolicyProvider(profiles, {}).load("mine")
    assert ("a is not a key of a policy", "b is not a key of a policy") == caught.value.problems


def test_off_is_a_word(profiles: Path) -> None:
    """`sync: off` is the value that is documented, not false."""
    (profiles / "mine.yaml").write_text("worktree: {sync: off}")
    assert "off" == PolicyProvider(profiles, {}).load("mine").facts.sync


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (Path.mkdir, "it is not a regular file"),
        (os.mkfifo, "it is not a regular file"),
        (lambda path: path.symlink_to("nowhere"), "it cannot be opened: No such file or directory"),
        (lambda path: path.symlink_to("/dev/zero"), "it is not a regular file"),
    ],
)
def test_only_a_regular_file_is_read(make, problem: str, profiles: Path) -> None:
    """A pipe is not waited for, and a link to nowhere does not make way for a shipped profile."""
    make(profiles / "default.yaml")
    assert refusal(profiles, "default").endswith(problem)


def test_a_changed_file_counts_at_once(profiles: Path) -> None:
    """Each answer is that of the file as it is now."""
    provider = PolicyProvider(profiles, {})
    for kind in ("docker", "local"):
        (profiles / "mine.yaml").write_text(f"sandbox: {{type: {kind}}}")
        provider.load_profile("mine")
        assert kind == provider.get_sandbox_type()
    (profiles / "mine.yaml").write_text("sandbox: {enabled: false, network: true}")
    assert (False, True) == (provider.is_sandbox_enabled(), provider.is_network_allowed())


def test_the_replaced_systems_names_answer_from_the_home(home: Path) -> None:
    """`PolicyProvider()` finds the home by itself, and every old question has its answer."""
    (home / "profiles").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    (home / "profiles" / "default.yaml").write_text(
        "exec: {allowlist: [git, {command: python, denied: [-c]}]}\npaths: {protected: [src/]}"
    )
    provider = PolicyProvider()
    assert ["git", "python"] == provider.get_exec_allowlist()
    assert ["src"] == provider.get_protected_paths()
    assert ("e2b", True) == (provider.get_sandbox_type(), provider.is_sandbox_enabled())
    assert not provider.is_network_allowed()
    python = {"command": "python", "denied": ["-c"]}
    assert ["git", python] == provider.get_policy()["exec"]["allowlist"]
    assert get_policy_provider() is get_policy_provider()


WARM = """
import sys
from pathlib import Path
from adapters.profiles import PolicyProvider
held = PolicyProvider(Path(sys.argv[1]), {}).load("default")
print(held.texts.digest, *sorted({"yaml", "pydantic"} & set(sys.modules)))
"""


def test_a_compiled_profile_imports_neither_yaml_nor_the_model(profiles: Path) -> None:
    """The first start pays for both, the next one for neither, and both hold the same rules."""
    command = [sys.executable, "-c", WARM, str(profiles)]
    digest = PolicyProvider(profiles / "none", {}).load("default").texts.digest
    assert [digest, "pydantic", "yaml"] == subprocess.check_output(command, text=True).split()
    assert [digest] == subprocess.check_output(command, text=True).split()


def test_a_compiled_copy_is_ours_alone_and_never_stands_for_another_content(profiles: Path) -> None:
    """It is closed to others, and an edited file has another one."""
    for kind in ("docker", "local", "docker"):
        (profiles / "mine.yaml").write_text(f"sandbox: {{type: {kind}}}")
        assert kind == PolicyProvider(profiles, {}).load("mine").facts.sandbox_type
    assert [0o600, 0o600] == [stat.S_IMODE(copy.stat().st_mode) for copy in copies(profiles)]


@given(st.binary(max_size=40))
def test_a_copy_that_is_not_one_is_made_again(
    tmp_path_factory: pytest.TempPathFactory, rubbish: bytes
) -> None:
    """A torn or foreign file in its place changes nothing but the time that a load takes."""
    profiles = tmp_path_factory.mktemp("home") / "profiles"
    held = PolicyProvider(profiles, {}).load("strict")
    (copy,) = copies(profiles)
    whole = copy.read_bytes()
    copy.write_bytes(rubbish)
    assert held == PolicyProvider(profiles, {}).load("strict")
    assert whole == copy.read_bytes()


def test_a_home_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """No copy is kept, and the policy is the same; a home that is not there is not made."""
    (tmp_path / "cache").write_text("in the way")
    here = PolicyProvider(tmp_path / "profiles", {}).load("strict")
    assert here == PolicyProvider(tmp_path / "absent" / "profiles", {}).load("strict")
    assert ["cache"] == [file.name for file in tmp_path.iterdir()]


def test_many_first_loads_at_once_agree(profiles: Path) -> None:
    """Each thread gets the whole rules, and one copy is left."""
    with ThreadPoolExecutor(8) as threads:
        held = list(threads.map(lambda _: PolicyProvider(profiles, {}).load("e2b"), range(16)))
    assert [held[0]] * 16 == held
    assert 1 == len(copies(profiles))


def test_old_copies_are_forgotten(profiles: Path) -> None:
    """A profile that is edited for years leaves no more than a handful."""
    for timeout in range(1, 37):
        (profiles / "mine.yaml").write_text(f"sandbox: {{timeout: {timeout}}}")
        assert timeout == PolicyProvider(profiles, {}).load("mine").facts.timeout
    assert 32 == len(copies(profiles))
