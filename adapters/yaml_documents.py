"""Reads YAML that a person wrote, and nothing that YAML can do beyond mappings, lists and values.

Rule 1: one document, one mapping at its top, no key twice, no anchors, aliases or tags, nested at
most 20 deep, with at most 50,000 keys and values. What is refused is named by line and column.
Rule 2: only `true` and `false` are truth values, only `null` and `~` are null (YAML 1.2 core
schema, §10.3): `yes`, `off` and `12:30` are text, and so is a number with a leading zero.
Rule 3: only a regular file of a bounded size is read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.errors import GestaError

if TYPE_CHECKING:
    import yaml

DEEPEST = 20
# What takes a parser longest, and most memory, is their number.
MOST_NODES = 50_000

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}(?:[eE][-+]?[0-9]{1,3})?")

Refuse = Callable[[str], GestaError]


def read_bounded(path: Path, limit: int, refuse: Refuse) -> bytes:
    """
    Return the bytes of the regular file at *path*, of which there may be at most *limit*.

    *refuse* makes the error to raise of what is wrong.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise refuse(f"it cannot be opened: {_said(error)}") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise refuse("it is not a regular file")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise refuse(f"it cannot be read: {_said(error)}") from error
    finally:
        os.close(fd)
    if len(data) > limit:
        raise refuse(f"it is larger than {limit // 1024} KiB")
    return data


def parse_mapping(data: bytes, refuse: Refuse) -> dict[str, Any]:
    """
    Return the mapping that the YAML document *data* holds.

    *refuse* makes the error to raise of what is wrong, with its line and column.
    """
    import yaml

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise refuse(f"it is not UTF-8 at byte {error.start}") from error
    try:
        node = _composer()(text).get_single_node()
        document = None if node is None else _value(node)
    except yaml.reader.ReaderError as error:
        raise refuse(f"character U+{ord(text[error.position]):04X} is not accepted") from error
    except yaml.MarkedYAMLError as error:
        raise refuse(_place(error)) from error
    if not isinstance(document, dict):
        raise refuse("it is not a mapping of keys to values")
    return document


def shown_path(path: Path | str) -> str:
    """Return *path* as an error may print it: on one line, whatever its name holds."""
    text = str(path)
    return text if text.isprintable() else repr(text)


@cache
def _composer() -> type[yaml.SafeLoader]:
    import yaml

    class Composer(yaml.SafeLoader):
        """Composes plain nodes only; depth and number are bounded as they are found."""

        depth = nodes = 0

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs say nothing
            if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
                raise _refused("an anchor or alias is not accepted", event.start_mark)
            if event.tag is not None:
                raise _refused("a tag is not accepted", event.start_mark)
            if self.depth >= DEEPEST:
                raise _refused(f"it is nested more than {DEEPEST} deep", event.start_mark)
            self.nodes += 1
            if self.nodes > MOST_NODES:
                raise _refused(f"it has more than {MOST_NODES} keys and values", event.start_mark)
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    return Composer


def _value(node: yaml.Node) -> Any:
    import yaml

    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    assert isinstance(node, yaml.ScalarNode)
    text: str = node.value
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _refused("half of a surrogate pair is not text", node.start_mark)
    return _plain(text) if node.style is None else text


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _refused("a key must be text", key.start_mark)
        if key.value in found:
            raise _refused(f"the key {key.value[:80]!r} is given twice", key.start_mark)
        found[key.value] = _value(value)
    return found


def _plain(text: str) -> bool | int | float | str | None:
    if text in _NULL:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _refused(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    import yaml

    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _place(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join((error.problem or error.context or "it is not YAML").split())
    if problem.startswith("but "):
        problem = f"{error.context}, {problem}"
    mark = error.problem_mark or error.context_mark
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _said(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
