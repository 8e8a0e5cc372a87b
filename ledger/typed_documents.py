"""What is wrong with a document that a person typed, a policy or a job, said in the same words.

Rule 1: a problem is a place, the value there, and what it must be; what may be a secret is not
shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


def check_some(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return *items* if there are any; raises `ValueError`."""
    # pydantic's own min_length counts only what is valid, and would say so beside the real error.
    if not items:
        raise ValueError("must have at least 1 in it")
    return items


def problems_of(error: ValidationError, model: type[BaseModel], noun: str) -> tuple[str, ...]:
    """Return one line for each thing that *error* finds wrong in a document of *model*."""
    keys = tuple(_keys(model, ""))
    details = error.errors(include_url=False)
    return tuple(_problem(detail, keys, noun) for detail in details)


def first_of(problems: tuple[str, ...]) -> str:
    """Return the first of *problems*, and how many more there are."""
    more = len(problems) - 1
    return problems[0] + (f" (and {more} more)" if more else "")


_MUST = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "string_type": "must be text (in quotes, if it looks like something else)",
    "string_unicode": "must be Unicode text",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_long": "must have at most {max_length} in it",
    "string_too_short": "must not be shorter than {min_length}",
    "string_too_long": "must not be longer than {max_length}",
    "value_error": "{error}",
}


def _problem(detail: ErrorDetails, keys: tuple[str, ...], noun: str) -> str:
    place, kind = _place(detail["loc"]), detail["type"]
    if kind == "extra_forbidden":
        known = _nearest(detail["loc"], keys)
        return f"{place} is not a key of a {noun}" + (f"; did you mean {known}?" if known else "")
    if kind == "missing":
        return f"{place} is missing"
    must = _MUST.get(kind, f"is refused: {detail['msg']}").format(**detail.get("ctx", {}))
    if isinstance(detail["input"], dict | list | tuple) or "env" in detail["loc"]:
        # What is inside may be a secret, and the place says enough.
        return f"{place} {must}"
    return f"{place} is {_shown(detail['input'])}; it {must}"


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "[key]":
            text += f".{part}" if part.isprintable() and len(part) < 80 else f".{_shown(part)}"
    return text.removeprefix(".") or "the document"


def _nearest(loc: tuple[int | str, ...], keys: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches

    *above, typed = [str(part) for part in loc if not isinstance(part, int)]
    prefix = "".join(f"{part}." for part in above)
    siblings = [key[len(prefix) :] for key in keys if key.startswith(prefix)]
    near = get_close_matches(typed[:80], [key for key in siblings if "." not in key], 1, 0.7)
    if near:
        return _place((*loc[:-1], near[0]))
    return next((key for key in keys if key.rpartition(".")[2] == typed), None)


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner in _models_in(field.annotation):
            yield from _keys(inner, f"{prefix}{name}.")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _shown(value: object) -> str:
    text = json.dumps(value, default=repr) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
