"""A policy is what its file says, to the letter; flags change it and consent to nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InputInvalid, PolicyKeysInvalid
from ledger.isolation import Isolation, Limits, asked_of, lost
from ledger.overrides import (
    NOTHING,
    Overrides,
    asked_isolation,
    branch_name,
    overridden,
    overridden_keys,
    wanted_kinds,
)
from ledger.policy import Policy, parse_policy, rules
from ledger.rules import Rules

WHOLE: dict[str, Any] = yaml.safe_load("""
sandbox: {enabled: false, type: docker, network: true, filesystem: host, timeout: 7,
  fallback: [my-own_1, local], may_lose: [record, limits], on_lost: fallback, image: python@sha256,
  read_only: [auto, /opt], limits: {memory_mb: 1, processes: null, output_mb: 3}}
worktree: {enabled: false, kind: clone, fallback: true, sync: tracked, cleanup: on_success,
  branch: "task-{task}-run-{run}"}
run: {idle_limit: 60}
exec: {allowlist: [git, {command: /bin/x, arguments: [a+], denied: [aa]}], env: [A_1]}
paths: {protected: [src/contracts/, ./pyproject.toml]}
artifacts: [dist/*.whl]
redact: {patterns: [default, "tok-[0-9]+"]}
""")


def read(document: object) -> Rules:
    return rules(parse_policy(document, profile="p", source="p.yaml"), profile="p", source="p.yaml")


def problems(document: object) -> tuple[str, ...]:
    with pytest.raises(PolicyKeysInvalid) as caught:
        read(document)
    return caught.value.problems


def test_every_key_reaches_the_rules() -> None:
    """What a whole profile writes is what a run is held to, key by key."""
    held = read(WHOLE)
    assert yaml.safe_load("""
        {sandbox_enabled: false, sandbox_type: docker, network: true, filesystem: host, timeout: 7,
        fallback: [my-own_1, local], may_lose: [record, limits], on_lost: fallback,
        limits: {memory_mb: 1, processes: null, output_mb: 3}, worktree_enabled: false,
        worktree_kind: clone, worktree_fallback: true, sync: tracked, cleanup: on_success,
        idle_limit: 60}""") == json.loads(msgspec.json.encode(held.facts))
    texts = json.loads(msgspec.json.encode(held.texts))
    assert yaml.safe_load("""
        {profile: p, source: p.yaml, branch: "task-{task}-run-{run}", image: python@sha256,
        allowlist: [{command: git, arguments: [], denied: []},
        {command: /bin/x, arguments: [a+], denied: [aa]}], env: [A_1], artifacts: [dist/*.whl],
        protected: [src/contracts, pyproject.toml], read_only: [auto, /opt],
        redact: [default, "tok-[0-9]+"]}""") == {
        key: texts[key] for key in texts if key != "digest"
    }


def test_a_key_left_out_takes_the_careful_side() -> None:
    """An empty profile asks for everything, falls back to nothing and may lose nothing."""
    facts = read({}).facts
    assert ("e2b", True, False) == (facts.sandbox_type, facts.sandbox_enabled, facts.network)
    assert ((), (), False) == (facts.fallback, facts.may_lose, facts.worktree_fallback)


def test_the_digest_is_that_of_the_canonical_json_of_the_whole_policy() -> None:
    """Sorted keys, no white space, UTF-8, with the keys that the file leaves out."""
    whole = Policy().model_dump(mode="json")
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(canonical.encode()).hexdigest() == read({}).texts.digest


@given(st.sampled_from(["sandbox", "worktree"]), st.data())
def test_a_key_given_at_its_default_does_not_change_the_digest(
    section: str, data: st.DataObject
) -> None:
    """The digest is over what the policy says, not over how much of it is typed."""
    default = Policy().model_dump(mode="json")[section]
    key = data.draw(st.sampled_from(sorted(default)))
    assert read({}).texts.digest == read({section: {key: default[key]}}).texts.digest
    assert read({}).texts.digest != read({section: WHOLE[section]}).texts.digest


# A key, the value it is given, and what is said of it.
WRONG: list[tuple[str, object, str]] = [
    ("sandbox.typ", "e2b", "is not a key of a policy; did you mean sandbox.type?"),
    ("network", True, "is not a key of a policy; did you mean sandbox.network?"),
    ("gates", {}, "is not a key of a policy"),
    ("sandbox", None, "is null; it must be a mapping"),
    ("sandbox.network", "yes", "is 'yes'; it must be true or false"),
    ("sandbox.enabled", 1, "is 1; it must be true or false"),
    ("sandbox.timeout", "2", "is '2'; it must be a whole number"),
    ("sandbox.timeout", True, "is true; it must be a whole number"),
    ("sandbox.timeout", 2.0, "is 2.0; it must be a whole number"),
    ("sandbox.timeout", 0, "is 0; it must be at least 1"),
    ("run.idle_limit", 31536001, "is 31536001; it must be at most 31536000"),
    ("sandbox.limits.processes", 0, "is 0; it must be at least 1"),
    ("sandbox.fallback", ["e2b"], "must not repeat sandbox.type"),
    ("sandbox.fallback", ["x", "x"], "must not repeat an entry"),
    ("sandbox.fallback", "local", "is 'local'; it must be a list"),
    ("sandbox.on_lost", "retry", "is 'retry'; it must be 'stop' or 'fallback'"),
    ("sandbox.filesystem", "none", "is 'none'; it must be 'workspace' or 'host'"),
    ("worktree.enabled", "no", "is 'no'; it must be true or false"),
    ("worktree.kind", "copy", "is 'copy'; it must be 'linked' or 'clone'"),
    ("worktree.sync", False, "is false; it must be 'off', 'tracked' or 'all'"),
    ("worktree.cleanup", None, "is null; it must be 'always', 'on_success' or 'never'"),
    ("redact.patterns", "none", "is 'none'; it must be a list"),
]
# A key that is a list or a text, an entry that it must refuse, and the end of what is said of it.
REFUSED: list[tuple[str, object, str]] = [
    ("sandbox.type", "../x", "e2b, docker, bubblewrap, local or a plug-in's"),
    ("sandbox.may_lose", ["all"], "'network', 'processes', 'limits' or 'record'"),
    ("sandbox.image", "--privileged", "name of an image or template, without spaces"),
    ("sandbox.read_only", ["opt"], "must be auto or an absolute path without '..'"),
    ("exec.allowlist", ["./git"], "must be a command's name or an absolute path"),
    ("exec.allowlist", [{"command": "x", "arguments": []}], "must have at least 1 in it"),
    ("exec.allowlist", [{"command": "x", "denied": ["("]}], "subpattern at position 0"),
    ("exec.allowlist", [{"command": "x", "denied": ["x" * 501]}], "must not be longer than 500"),
    ("exec.allowlist", [{"command": "x", "argument": []}], "mean exec.allowlist[0].arguments?"),
    ("exec.env", ["A=B"], "letters, digits and '_', no digit first"),
    ("paths.protected", ["/etc"], "must be relative to the workspace, without '..'"),
    ("paths.protected", ["src/*"], "it is not a pattern"),
    ("artifacts", ["../*"], "must be relative to the workspace, without '..'"),
    ("artifacts", ["./dist/*"], "it would match nothing"),
    ("redact.patterns", ["x*"], "must not match the empty text"),
    ("redact.patterns", ["(?!a)b"], "without look-around, conditions and back-references"),
]


def document_with(key: str, value: object) -> object:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(("key", "value", "said"), WRONG)
def test_what_is_wrong_is_named_by_key_and_value(key: str, value: object, said: str) -> None:
    """An unknown key, a wrong type, a value out of range: one line says which and why."""
    assert (f"{key} {said}",) == problems(document_with(key, value))


@pytest.mark.parametrize(("key", "value", "end"), REFUSED)
def test_an_entry_of_another_form_is_refused(key: str, value: object, end: str) -> None:
    """Kinds, names, paths and patterns are checked when the profile is loaded, not when used."""
    (problem,) = problems(document_with(key, value))
    assert (True, True) == (problem.startswith(key), problem.endswith(end))


def test_a_worktree_that_is_off_needs_a_directory_to_stand_in() -> None:
    """A profile that would refuse each of its runs is refused at once."""
    (problem,) = problems({"worktree": {"enabled": False}})
    assert "worktree.fallback is false; it must be true where worktree.enabled is false" == problem


def test_everything_wrong_is_found_at_once_and_the_message_is_one_line() -> None:
    """The message names the first and counts the others, which the error lists."""
    with pytest.raises(PolicyKeysInvalid) as caught:
        read({"sandbox": {"network": "yes", "timeout": 0}, "x": 1})
    assert 3 == len(caught.value.problems)
    first = "sandbox.network is 'yes'; it must be true or false"
    assert f"cannot load profile p (p.yaml): {first} (and 2 more)" == str(caught.value)


keys = st.text() | st.sampled_from([*WHOLE, *WHOLE["sandbox"]])
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
documents = st.recursive(
    values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)
)


@given(documents)
def test_any_document_is_a_policy_or_an_error_of_one_line(document: object) -> None:
    """Nothing that a file can hold goes through by halves, or breaks us."""
    try:
        said = read(document).texts.source
    except PolicyKeysInvalid as error:
        said = str(error)
    assert (True, 1) == ("p.yaml" in said, len(said.splitlines()))


@pytest.mark.parametrize("branch", ["a", "task-{task}-run-{run}", "x/{task}/{run}", "v1.0"])
def test_a_branch_that_git_accepts_is_accepted(branch: str) -> None:
    """git itself agrees, with the ids put in."""
    assert branch == read({"worktree": {"branch": branch}}).texts.branch
    name = branch_name(branch, task="T-1", run="R.2")
    assert f"{name}\n" == subprocess.check_output(
        ["git", "check-ref-format", "--branch", name], text=True
    )


@pytest.mark.parametrize(
    "branch", ["", "-x", "a..b", "a b", "a.lock", "x/.y", "a//b", "a/", "HEAD", "{user}", "a@{1}"]
)
def test_a_branch_that_git_refuses_is_refused(branch: str) -> None:
    """So is one that only looks like an option or a placeholder."""
    (problem,) = problems({"worktree": {"branch": branch}})
    assert problem.startswith(f"worktree.branch is {branch!r}; it must be a branch's name")


def asked(profile: dict[str, Any], overrides: Overrides = NOTHING) -> Isolation:
    return asked_isolation(read({"sandbox": profile}).facts, overrides)


def test_a_sandbox_that_is_off_is_a_local_process_with_the_same_wishes() -> None:
    """`enabled: false` asks for no boundary; the network that it asks to be without stays asked."""
    facts = read({"sandbox": {"enabled": False, "fallback": ["docker"]}}).facts
    assert ("local",) == wanted_kinds(facts)
    wish = asked_isolation(facts)
    assert ("process", "reachable", "none") == (wish.boundary, wish.record, wish.network)


def test_the_kinds_to_try_are_the_type_and_then_the_fallback() -> None:
    """In the order of the profile."""
    facts = read({"sandbox": {"fallback": ["docker", "local"]}}).facts
    assert ("e2b", "docker", "local") == wanted_kinds(facts)


def test_each_wish_of_the_sandbox_section_is_asked() -> None:
    """type, network, filesystem and limits change what isolation is asked for."""
    limits = {"memory_mb": 5, "processes": None, "output_mb": 64}
    wish = {"type": "docker", "network": True, "filesystem": "host", "limits": limits}
    expected = asked_of("docker", filesystem="host", network="host", limits=Limits(**limits))
    assert expected == asked(wish)


@pytest.mark.parametrize("chosen", ["local", "bubblewrap", "docker", "e2b", "plugged"])
@pytest.mark.parametrize("profile", ["local", "bubblewrap", "docker", "e2b", "plugged"])
def test_a_flag_takes_nothing_from_what_the_profile_asks(profile: str, chosen: str) -> None:
    """Whatever sandbox is chosen, what it lacks of the profile's is lost, and of its own too."""
    together = asked({"type": profile}, Overrides(sandbox=chosen))
    assert () == lost(asked({"type": profile}), together)
    assert () == lost(asked({"type": chosen}), together)
    assert together in (asked({"type": profile}), asked({"type": chosen}))


def test_flags_change_the_rules_and_name_their_keys() -> None:
    """Each override is in effect and on the list; the digest stays the profile's."""
    profile = read({"sandbox": {"fallback": ["docker", "local"]}, "artifacts": ["a"]})
    flags = Overrides(sandbox="docker", no_worktree=True, branch="b-{run}", timeout=5)
    flags = msgspec.structs.replace(flags, env=("PATH", "EXTRA"), artifacts=("b",))
    after = overridden(profile, flags)
    assert ("docker", "local") == wanted_kinds(after.facts)
    assert (False, 5) == (after.facts.worktree_enabled, after.facts.timeout)
    assert ("PATH", "HOME", "LANG", "EXTRA") == after.texts.env
    assert ("a", "b") == after.texts.artifacts
    assert ("b-{run}", profile.texts.digest) == (after.texts.branch, after.texts.digest)
    keys = "artifacts exec.env sandbox.timeout sandbox.type worktree.branch worktree.enabled"
    assert tuple(keys.split()) == overridden_keys(profile, flags)


def test_a_flag_that_says_what_the_profile_says_overrides_nothing() -> None:
    """Only what differs is on the list, and without flags nothing changes."""
    profile = read({})
    assert () == overridden_keys(profile, Overrides(sandbox="e2b", timeout=600, env=("PATH",)))
    assert profile == overridden(profile, Overrides())


def test_a_sandbox_that_is_chosen_is_used_though_the_profile_has_it_off() -> None:
    """`--sandbox` switches it on again, and both keys are on the list."""
    profile = read({"sandbox": {"enabled": False}})
    chosen = Overrides(sandbox="docker")
    assert ("docker",) == wanted_kinds(overridden(profile, chosen).facts)
    assert ("sandbox.enabled", "sandbox.type") == overridden_keys(profile, chosen)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("sandbox", "../x"), ("branch", "a..b"), ("timeout", 0), ("timeout", 604_801)]
    + [("env", ("A=B",)), ("artifacts", ("/etc/*",)), ("artifacts", ("a\udc80",))],
)
def test_a_flag_is_held_to_the_form_of_its_key(flag: str, value: Any) -> None:
    """A value that a profile could not have cannot be typed either."""
    with pytest.raises(InputInvalid, match=r"^cannot accept --[a-z]+ "):
        overridden(read({}), Overrides(**{flag: value}))


def test_importing_the_ledger_imports_no_model() -> None:
    """pydantic is paid for by whoever imports the policy, not by `import ledger`."""
    program = "import sys, ledger.overrides, ledger.allowlist; print('pydantic' in sys.modules)"
    assert b"False\n" == subprocess.check_output([sys.executable, "-c", program])
