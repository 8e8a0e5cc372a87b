"""Reads a projection that a user wrote: one class in a Python file.

Rule 1: the file is executed, with all that its author may do: it is the user's own, named on the
command line, and never one that a repository brought along.
Rule 2: what is wrong with it is one line that names the file; nothing was folded then.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ledger.errors import InputInvalid
from projections.built_in import BUILT_IN
from projections.projection import Projection


def read_projection(path: Path) -> Projection:
    """Return the one projection in the file at *path*; raises `InputInvalid`."""
    module = _execute(path)
    found = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Projection)
        and kind.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise InputInvalid(f"cannot use {path}: it has {len(found)} projections; give it one")
    projection: Projection = found[0]()
    projection.check()
    if projection.name in {one.name for one in BUILT_IN}:
        raise InputInvalid(
            f"cannot use {path}: {projection.name} is one of gesta's own; give it another name"
        )
    return projection


def _execute(path: Path) -> ModuleType:
    name = f"gesta_projection_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputInvalid(f"cannot use {path}: it is no Python file")
    module = importlib.util.module_from_spec(spec)
    # What looks up the types of a class's fields finds them by the module's name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputInvalid(f"cannot use {path}: {type(error).__name__}: {error}") from error
    return module
