"""The job that a file describes: the task, and the steps of its run in their order.

Rule 1: a job is checked whole before anything is opened: an unknown key, a wrong type, a NUL
character anywhere and a step called like another are errors that name file and place.
Rule 2: a step is words (`run`), which reach the program unchanged, or a text for the shell
(`shell`), and is never the one taken for the other.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from ledger.errors import IdInvalid, JobInvalid
from ledger.ids import check_id
from ledger.overrides import LONGEST_TIMEOUT, check_artifact, check_inside, check_variable
from ledger.typed_documents import check_some, first_of, problems_of

OnFailure = Literal["stop", "continue"]

MOST_STEPS = 1000


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """
    One command of a job: either *run* or *shell* is set.

    *timeout* is in seconds, `None` for the policy's; *cwd* is relative to the workspace; in *env*
    `None` passes the caller's value through.
    """

    name: str
    run: tuple[str, ...] | None = None
    shell: str | None = None
    timeout: int | None = None
    on_failure: OnFailure = "stop"
    cwd: str | None = None
    env: dict[str, str | None] = {}

    @property
    def argv(self) -> tuple[str, ...]:
        """The words to execute; the shell's are `sh -c TEXT`."""
        return self.run if self.run is not None else ("sh", "-c", self.shell or "")

    @property
    def form(self) -> Literal["argv", "shell"]:
        """How the step is put on record."""
        return "argv" if self.run is not None else "shell"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a job file asks for; what is `None` is left to the flags, the environment, defaults."""

    task: str
    steps: tuple[Step, ...]
    run: str | None = None
    profile: str | None = None
    actor: str | None = None
    labels: dict[str, str] = {}
    env: dict[str, str | None] = {}
    artifacts: tuple[str, ...] = ()


def _check_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _check_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


def _check_task(text: str) -> str:
    return _checked_id("task", text)


def _check_run(text: str) -> str:
    return _checked_id("run", text)


def _checked_id(what: str, text: str) -> str:
    try:
        return check_id(what, text)
    except IdInvalid as error:
        raise ValueError(str(error).partition(": it ")[2]) from error


_Item = TypeVar("_Item")
# A YAML list is a Python list: lax for the tuple alone, its items are still strict.
_List = Annotated[tuple[_Item, ...], Field(strict=False)]
_Text = Annotated[str, AfterValidator(_check_text)]
_Line = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_check_line)]
_Path = Annotated[str, AfterValidator(check_inside)]
_Artifact = Annotated[str, AfterValidator(check_artifact)]
_Environment = Annotated[
    dict[Annotated[str, AfterValidator(check_variable)], _Text | None], Field(max_length=1000)
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _StepPart(_Part):
    name: _Line
    run: Annotated[_List[_Text], AfterValidator(check_some), Field(max_length=10_000)] | None = None
    shell: Annotated[_Text, Field(min_length=1)] | None = None
    timeout: Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT)] | None = None
    on_failure: OnFailure = "stop"
    cwd: _Path | None = None
    env: _Environment = {}

    @field_validator("run")
    @classmethod
    def _names_a_program(cls, words: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if words is not None and not words[0]:
            raise ValueError("must begin with a program")
        return words

    @model_validator(mode="after")
    def _is_one_of_two(self) -> _StepPart:
        if (self.run is None) == (self.shell is None):
            raise ValueError("must have either run or shell")
        return self


class _JobPart(_Part):
    task: Annotated[str, AfterValidator(_check_task)]
    steps: Annotated[_List[_StepPart], AfterValidator(check_some), Field(max_length=MOST_STEPS)]
    run: Annotated[str, AfterValidator(_check_run)] | None = None
    profile: _Line | None = None
    actor: _Line | None = None
    labels: Annotated[dict[_Line, _Line], Field(max_length=1000)] = {}
    env: _Environment = {}
    artifacts: Annotated[_List[_Artifact], Field(max_length=1000)] = ()

    @field_validator("steps")
    @classmethod
    def _names_are_unique(cls, steps: tuple[_StepPart, ...]) -> tuple[_StepPart, ...]:
        seen: set[str] = set()
        for step in steps:
            if step.name in seen:
                raise ValueError(f"must not give the name {step.name!r} to two steps")
            seen.add(step.name)
        return steps


def parse_job(document: object, *, source: str) -> Job:
    """
    Return the job that *document*, a mapping as YAML gives it, describes.

    *source* is its file, for the message. Raises `JobInvalid`.
    """
    try:
        part = _JobPart.model_validate(document)
    except ValidationError as error:
        problems = problems_of(error, _JobPart, "job")
        raise JobInvalid(f"cannot read job {source}: {first_of(problems)}") from error
    fields = {name: getattr(part, name) for name in Job.__struct_fields__ if name != "steps"}
    return Job(steps=tuple(Step(**step.model_dump()) for step in part.steps), **fields)
