"""A job is checked whole; a step is words or a text for the shell, never the one as the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import JobInvalid
from ledger.job import MOST_STEPS, Job, Step, parse_job

STEP: dict[str, Any] = {"name": "test", "run": ["pytest", "-q"]}


def job_with(**keys: object) -> dict[str, Any]:
    return {"task": "T-1", "steps": [STEP], **keys}


def step_with(**keys: object) -> dict[str, Any]:
    return job_with(steps=[{**STEP, **keys}])


def refusal(document: object) -> str:
    with pytest.raises(JobInvalid) as caught:
        parse_job(document, source="job.yaml")
    return str(caught.value).removeprefix("cannot read job job.yaml: ")


def test_every_key_reaches_the_job() -> None:
    """What a whole file writes is what is run."""
    document = {
        "task": "T-1",
        "run": "R-1",
        "profile": "strict",
        "actor": "Ada",
        "labels": {"team": "x"},
        "env": {"A": "1", "B": None},
        "artifacts": ["dist/*"],
        "steps": [
            {"name": "test", "run": ["a b", "", "--", "é"], "timeout": 300, "cwd": "src"},
            {"name": "lint", "shell": "x | y\n", "on_failure": "continue", "env": {"C": "2"}},
        ],
    }
    words = Step(name="test", run=("a b", "", "--", "é"), timeout=300, cwd="src")
    text = Step(name="lint", shell="x | y\n", on_failure="continue", env={"C": "2"})
    expected = Job(
        task="T-1",
        run="R-1",
        profile="strict",
        actor="Ada",
        labels={"team": "x"},
        env={"A": "1", "B": None},
        artifacts=("dist/*",),
        steps=(words, text),
    )
    assert expected == parse_job(document, source="job.yaml")


def test_words_stay_words_and_a_text_goes_to_the_shell() -> None:
    """The form says on record which of both it was."""
    words, text = Step(name="a", run=("x; y", "z")), Step(name="b", shell="x; y")
    assert (("x; y", "z"), "argv") == (words.argv, words.form)
    assert (("sh", "-c", "x; y"), "shell") == (text.argv, text.form)


def test_a_step_stops_the_job_unless_it_says_otherwise() -> None:
    """on_failure is stop by default, and there is no time limit but the policy's."""
    (step,) = parse_job(job_with(), source="job.yaml").steps
    assert ("stop", None, None) == (step.on_failure, step.timeout, step.cwd)


INSIDE = "must be relative to the workspace, without '..'"
TEXT = "must be text (in quotes, if it looks like something else)"
VARIABLE = "must be a variable's name: letters, digits and '_', no digit first"
NUL = "must not hold a NUL character"
WRONG: list[tuple[object, str]] = [
    ("x", "the document is 'x'; it must be a mapping"),
    ({"steps": [STEP]}, "task is missing"),
    ({"task": "T-1"}, "steps is missing"),
    (job_with(steps=[]), "steps must have at least 1 in it"),
    (job_with(steps={}), "steps must be a list"),
    (job_with(steps=["ls"]), "steps[0] is 'ls'; it must be a mapping"),
    (job_with(steps=[STEP, STEP]), "steps must not give the name 'test' to two steps"),
    (job_with(lables={}), "lables is not a key of a job; did you mean labels?"),
    (job_with(labels={"a": 1}), f"labels.a is 1; it {TEXT}"),
    (job_with(profile=""), "profile is ''; it must not be shorter than 1"),
    (job_with(actor="a\nb"), r"actor is 'a\nb'; it must be one line of printable characters"),
    (job_with(artifacts=["/x"]), f"artifacts[0] is '/x'; it {INSIDE}"),
    (job_with(env={"PIN": 1234}), f"env.PIN {TEXT}"),
    (job_with(env={"A=B": "x"}), f"env.A=B {VARIABLE}"),
    (step_with(run=None), "steps[0] must have either run or shell"),
    (step_with(shell="ls"), "steps[0] must have either run or shell"),
    (step_with(run=[]), "steps[0].run must have at least 1 in it"),
    (step_with(run=[""]), "steps[0].run must begin with a program"),
    (step_with(run="git tag x"), "steps[0].run is 'git tag x'; it must be a list"),
    (step_with(run=["a", "b\0"]), rf"steps[0].run[1] is 'b\x00'; it {NUL}"),
    (step_with(run=None, shell="a\0"), rf"steps[0].shell is 'a\x00'; it {NUL}"),
    (step_with(env={"A": "\0"}), f"steps[0].env.A {NUL}"),
    (step_with(name=""), "steps[0].name is ''; it must not be shorter than 1"),
    (step_with(nam="x"), "steps[0].nam is not a key of a job; did you mean steps[0].name?"),
    (step_with(timeout=True), "steps[0].timeout is true; it must be a whole number"),
    (step_with(timeout="5"), "steps[0].timeout is '5'; it must be a whole number"),
    (step_with(timeout=0), "steps[0].timeout is 0; it must be at least 1"),
    (step_with(on_failure=1), "steps[0].on_failure is 1; it must be 'stop' or 'continue'"),
    (step_with(cwd="../x"), f"steps[0].cwd is '../x'; it {INSIDE}"),
]


@pytest.mark.parametrize(("document", "problem"), WRONG)
def test_what_is_wrong_is_named_by_place_and_value(document: object, problem: str) -> None:
    """One line says what and where; what is in an environment is not printed."""
    assert problem == refusal(document)


@pytest.mark.parametrize("name", ["", "../../x", "-x", "a\tb", "a\0", "x.lock", "a" * 65])
def test_ids_are_checked_as_everywhere(name: str) -> None:
    """A task or run id that would name a path or an option is refused before anything is opened."""
    assert refusal(job_with(task=name)).startswith(f"task is {name!r}"[:40])
    assert refusal(job_with(run=name)).startswith(f"run is {name!r}"[:40])


def test_a_job_has_at_most_a_thousand_steps() -> None:
    """A thousand are accepted, one more is refused."""
    steps = [{**STEP, "name": str(number)} for number in range(MOST_STEPS + 1)]
    assert MOST_STEPS == len(parse_job(job_with(steps=steps[1:]), source="job.yaml").steps)
    assert "steps must have at most 1000 in it" == refusal(job_with(steps=steps))


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), min_size=1))
def test_words_arrive_as_they_were_written(words: list[str]) -> None:
    """No word is split, joined, trimmed or expanded."""
    (step,) = parse_job(step_with(run=words), source="job.yaml").steps
    assert tuple(words) == step.argv


keys = st.text() | st.sampled_from(["task", "steps", "name", "run", "shell", "env", "labels"])
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("T-1")
documents = st.recursive(
    values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)
)


@given(documents)
def test_any_document_is_a_job_or_an_error_of_one_line(document: object) -> None:
    """Nothing that a file can hold goes through by halves, or breaks us."""
    try:
        said = parse_job(document, source="job.yaml").task
    except JobInvalid as error:
        said = str(error)
    assert 1 == len(said.splitlines())
