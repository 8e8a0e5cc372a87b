"""What the guest can do: `hello`, `resolve`, `run`, each with a request as base64 of JSON.

A request `@NAME` is in a file of the guest's directory: an argument has its limit.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Do what the arguments say: a directory of ours below the home, a verb, a request."""
    name, verb, encoded = sys.argv[1:4]
    directory = os.path.join(os.path.expanduser("~"), name)
    if encoded.startswith("@"):
        with open(os.path.join(directory, encoded[1:]), encoding="ascii") as file:
            encoded = file.read()
    request = json.loads(base64.b64decode(encoded))
    if verb == "run":
        _run(request, directory)
        return
    answer = {"hello": _hello, "resolve": _resolve}[verb](request, directory)
    sys.stdout.write(json.dumps(answer) + "\n")


def _hello(request: dict[str, Any], directory: str) -> dict[str, Any]:
    from adapters.e2b.guest.listing import list_tree
    from adapters.e2b.guest.workspace import Workspace

    if os.path.isfile(sys.path[0]):
        _install(sys.path[0], os.path.join(directory, request["install"]))
    root = os.path.join(os.path.expanduser("~"), request["workspace"])
    workspace = Workspace(root, directory, None)
    if request["archive"] is not None:
        workspace.take_in(request["archive"])
    workspace.save(0)
    return {
        "root": root,
        "uid": os.getuid(),
        "listing": list_tree(root) if request["list"] else None,
    }


def _install(archive: str, place: str) -> None:
    """Unpack ourselves, so that what was compiled once is kept."""
    from zipfile import ZipFile

    with ZipFile(archive) as package:
        package.extractall(place)


def _resolve(request: dict[str, Any], _directory: str) -> dict[str, Any]:
    from pathlib import Path

    from adapters.executable_lookup import find_executable

    name, cwd = _text(request["name"]), Path(_text(request["cwd"]))
    env = {} if request["path"] is None else {"PATH": _text(request["path"])}
    found = find_executable(name, cwd, env)
    return {"found": found and base64.b64encode(os.fsencode(found)).decode()}


def _text(encoded: str) -> str:
    return os.fsdecode(base64.b64decode(encoded))


def _run(request: dict[str, Any], directory: str) -> None:
    from adapters.e2b.guest.job import Job
    from adapters.e2b.guest.workspace import Workspace

    workspace = Workspace(request["root"], directory, request["base"])
    if request["archive"] is not None:
        workspace.take_in(request["archive"])
    if request["processes"] and os.getuid() != 0:
        # The whole machine is the run's, so that the user's processes are the run's processes.
        resource.setrlimit(resource.RLIMIT_NPROC, (request["processes"],) * 2)

    def conclude() -> dict[str, Any]:
        try:
            return {"changes": workspace.give_out(request["next"]), "trouble": None}
        except OSError as error:
            return {"changes": None, "trouble": f"{error.filename}: {error.strerror}"}

    Job(request, conclude).run()
