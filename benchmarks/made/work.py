"""What a made-up run does between its opening and its end: commands and files."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.made import scenes
from benchmarks.made.life import SECOND, Life, Step
from benchmarks.made.opening import fall_back
from ledger import events as e
from ledger.events import RunEvent
from ledger.outcomes import Blob
from ledger.overrides import wanted_kinds


def work(life: Life) -> Iterator[Step]:
    """Do one thing: a command, a file, or what is denied."""
    kind = life.rng.random()
    if kind < 0.62:
        yield from _execute(life)
    elif kind < 0.82:
        yield life.say(_file(life, e.FileRead), life.rng.lognormvariate(1.2, 0.8))
    elif kind < 0.965:
        requested = _file(life, e.FileWriteRequested)
        yield life.say(requested, life.rng.lognormvariate(1.6, 0.9))
        yield life.say(
            e.FileWritten(
                file=requested.file,
                size=requested.size,
                private=e.FileText(path=requested.private.path, before=None, after=life.digest()),
            )
        )
    elif kind < 0.985:
        yield _deny_command(life)
    else:
        yield _deny_file(life)


def _file(life: Life, kind: Any) -> Any:
    life.files += 1
    path, digest = life.rng.choice(scenes.SOURCES), life.digest()
    after = digest if kind is e.FileRead else None
    return kind(
        file=f"f{life.files}",
        size=int(life.rng.lognormvariate(8.0, 0.9)),
        private=e.FileText(path=path, before=digest, after=after),
    )


def request_command(life: Life, argv: tuple[str, ...]) -> e.CommandRequested:
    """Return the request of the run's next command."""
    assert life.had is not None
    life.requests += 1
    life.commands += 1
    shell = life.rng.random() < 0.15
    return e.CommandRequested(
        command=f"c{life.requests}",
        form="shell" if shell else "argv",
        sandbox=life.sandboxes,
        may_fail=life.rng.random() < 0.85,
        uid=1000,
        stdin="none",
        time_limit=600.0,
        asked=life.asked,
        had=life.had,
        private=e.CommandText(
            argv=("sh", "-c", " ".join(argv)) if shell else argv,
            cwd=life.path,
            executable="/usr/bin/sh" if shell else f"/usr/bin/{argv[0]}",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/agent"},
            step="test" if "pytest" in argv else None,
        ),
    )


def _execute(life: Life) -> Iterator[Step]:
    rng = life.rng
    weights = [kind.weight for kind in scenes.COMMANDS]
    kind = rng.choices(scenes.COMMANDS, weights)[0]
    source = rng.choice(scenes.SOURCES)
    words = {"source": source, "test": f"tests/{source[4:]}", "word": rng.choice(scenes.WORDS)}
    requested = request_command(life, tuple(word.format_map(words) for word in kind.argv))
    yield life.say(requested, rng.lognormvariate(1.5, 0.9))
    seconds = rng.lognormvariate(0, 0.7) * kind.seconds
    ending, blobs = _ending(life, requested, kind.fails, seconds)
    yield life.say(ending, seconds, *blobs)
    if rng.random() < 0.002:
        paths = e.ProtectedText(paths=("docs/policy.md",))
        command = requested.command
        yield life.say(e.ProtectedPathChanged(command=command, count=1, private=paths))


def _ending(
    life: Life, requested: e.CommandRequested, fails: float, seconds: float
) -> tuple[RunEvent, tuple[Blob, ...]]:
    rng, command, luck = life.rng, requested.command, life.rng.random()
    if luck < 0.004:
        message = e.MessageText(message=f"cannot execute {command}: it was not found")
        life.fail(requested)
        return e.CommandNotStarted(command=command, reason="not_found", private=message), ()
    stdout, name, blobs = life.outputs.next()
    seen: dict[str, Any] = {
        "command": command,
        "duration_us": int(seconds * SECOND),
        "cpu_us": int(seconds * SECOND * rng.uniform(0.1, 1.6)),
        "peak_memory_kb": int(rng.lognormvariate(10.8, 0.8)),
        "stdout": stdout,
        "stderr": e.StreamFacts(0, 0, False),
        "private": e.StreamsText(stdout=name),
    }
    if luck < 0.012:
        life.fail(requested)
        return e.CommandTimedOut(**{**seen, "duration_us": 600 * SECOND}), blobs
    if luck < 0.015:
        life.fail(requested)
        return e.CommandCancelled(signal=2, **seen), blobs
    signal, memory, code = None, False, 0
    if rng.random() < fails:
        life.fail(requested)
        signal = 9 if rng.random() < 0.01 else None
        memory, code = signal is not None, rng.choice((1, 1, 1, 1, 2, 2, 101))
    return e.CommandExecuted(
        exit_code=None if signal else code,
        signal=signal,
        killed_by_memory_limit=memory,
        **seen,
    ), blobs


def _deny_command(life: Life) -> Step:
    life.requests += 1
    argv = life.rng.choice(scenes.DENIED)
    return life.say(
        e.CommandDenied(
            command=f"c{life.requests}",
            form="argv",
            may_fail=True,
            reason="not_listed",
            private=e.CommandDeniedText(
                argv=argv, cwd=life.path, rule=f"exec.allowlist: {argv[0]} is not listed"
            ),
        ),
        1.0,
    )


def _deny_file(life: Life) -> Step:
    life.files += 1
    text = e.FileDeniedText(path="../secrets.env", rule="a path stays in the workspace")
    return life.say(
        e.FileDenied(file=f"f{life.files}", action="read", reason="outside", private=text),
        1.0,
    )


def lose_sandbox(life: Life) -> Generator[Step, None, bool]:
    """Lose the sandbox under a command; the generator returns whether the run goes on."""
    requested = request_command(life, ("python", "-m", "pytest", "-q"))
    yield life.say(requested, 2.0)
    yield life.say(e.SandboxLost(ordinal=life.sandboxes), 30.0)
    yield life.say(e.CommandLost(command=requested.command, reason="sandbox"))
    life.fail(requested)
    if life.rng.random() < 0.3:
        yield life.say(
            e.CommandOutcomeFound(
                command=requested.command,
                outcome="executed",
                exit_code=0,
                signal=None,
                killed_by_memory_limit=False,
                duration_us=9 * SECOND,
            ),
            60.0,
        )
    wanted, *others = wanted_kinds(life.plan.rules.facts)
    if life.rng.random() < 0.5 or not others:
        return False
    yield from fall_back(life, wanted, others, "lost", "outage", "it was lost")
    return True
