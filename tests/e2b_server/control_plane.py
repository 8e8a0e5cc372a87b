"""The provider's REST interface: create, connect, list, look at, extend, pause and delete."""

from __future__ import annotations

import json
import re
import urllib.parse
from http import HTTPStatus
from typing import Any

from tests.e2b_server.machines import Machine, Machines
from tests.e2b_server.request import Answer, Request

_ONE = re.compile(r"(?:/v2)?/sandboxes/(?P<id>[^/]+)(?:/(?P<verb>[a-z]+))?")


class ControlPlane:
    """What the provider does; *longest_s* is the longest lifetime that it grants."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self.key = "e2b_" + "0" * 40
        self.longest_s = 86_400
        self.memory_mb = 512
        self.page = 100
        self.unkillable: set[str] = set()

    def answer(self, request: Request) -> Answer | None:
        """Answer, or return `None` for what is none of its paths."""
        path = request.path
        if "/sandboxes" not in path:
            return None
        if request.headers.get("X-API-Key") != self.key:
            return refusal(401, "Invalid API key")
        if path in ("/sandboxes", "/v2/sandboxes"):
            return self._create(request) if request.method == "POST" else self._list(request)
        match = _ONE.fullmatch(path)
        machine = self._machines.find(match["id"]) if match else None
        if match is None or machine is None:
            return refusal(404, f'Sandbox "{match["id"] if match else path}" not found')
        return self._one(request, machine, match["verb"])

    def _create(self, request: Request) -> Answer:
        body = request.json()
        if body.get("timeout", 0) > self.longest_s:
            hours = self.longest_s // 3600
            return refusal(400, f"Timeout cannot be greater than {hours} hours")
        if body["templateID"] == "missing":
            return refusal(404, "template 'missing' not found")
        machine = self._machines.create(body, request.headers.get("Idempotency-Key"))
        return 201, machine.handed_over(), {}

    def _list(self, request: Request) -> Answer:
        query = urllib.parse.parse_qs(request.query)
        pairs = urllib.parse.parse_qsl(query.get("metadata", [""])[0])
        wanted = {urllib.parse.unquote(k): urllib.parse.unquote(v) for k, v in pairs}
        found = [
            machine
            for machine in self._machines.living()
            if wanted.items() <= machine.body.get("metadata", {}).items()
        ]
        start = int(query.get("nextToken", ["0"])[0])
        end = start + min(self.page, int(query.get("limit", ["100"])[0]))
        headers = {"X-Next-Token": str(end)} if end < len(found) else {}
        return 200, [m.described(self.memory_mb) for m in found[start:end]], headers

    def _one(self, request: Request, machine: Machine, verb: str | None) -> Answer:
        match request.method, verb:
            case "GET", None:
                access = {"envdAccessToken": machine.token}
                return 200, machine.described(self.memory_mb) | access, {}
            case "DELETE", None:
                if machine.id not in self.unkillable:
                    machine.end()
                return HTTPStatus.NO_CONTENT, None, {}
            case "POST", "connect":
                return self._connect(request, machine)
            case "POST", "timeout":
                return self._extend(request, machine)
            case "POST", "pause":
                if machine.paused:
                    return refusal(409, "Sandbox is already paused")
                machine.paused = True
                return HTTPStatus.NO_CONTENT, None, {}
            case "PUT", "network":
                machine.body["network"] = request.json()
                return HTTPStatus.NO_CONTENT, None, {}
            case "GET", "metrics":
                return 200, [], {}
            case _:
                return refusal(404, "no such path")

    def _connect(self, request: Request, machine: Machine) -> Answer:
        resumed, machine.paused = machine.paused, False
        seconds = request.json().get("timeout")
        if seconds is not None and seconds > self.longest_s:
            return refusal(400, f"Timeout cannot be greater than {self.longest_s // 3600} hours")
        if seconds is not None:
            machine.extend(seconds)
        return 201 if resumed else 200, machine.handed_over(), {}

    def _extend(self, request: Request, machine: Machine) -> Answer:
        seconds = request.json()["timeout"]
        if seconds > self.longest_s:
            return refusal(400, f"Timeout cannot be greater than {self.longest_s // 3600} hours")
        machine.extend(seconds)
        return HTTPStatus.NO_CONTENT, None, {}


def refusal(status: int, message: str) -> Answer:
    """Return an error as the provider words it."""
    return status, {"code": status, "message": message}, {}


def encoded(body: Any) -> bytes:
    """Return *body* as it is sent."""
    return b"" if body is None else json.dumps(body).encode()
