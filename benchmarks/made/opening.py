"""How a made-up run begins: opened, with a worktree and a sandbox, or something in its place."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.made import scenes
from benchmarks.made.life import SECOND, Life, Step
from ledger import events as e
from ledger.events import BlobName
from ledger.isolation import lost
from ledger.overrides import wanted_kinds


def open_run(life: Life) -> Iterator[Step]:
    """Open the run and make its worktree."""
    rng, plan = life.rng, life.plan
    name = rng.choice(scenes.REPOSITORIES)
    base = life.digest()[:40]
    root = f"{life.root}/{name}"
    repository = rng.random() < 0.92 or not plan.rules.facts.worktree_fallback
    labels = {"team": rng.choice(scenes.TEAMS)}
    if rng.random() < 0.3:
        labels["build"] = str(rng.randrange(1000, 9999))
    text = e.RepositoryText(root=root, common_dir=f"{root}/.git", prefix="", base_commit=base)
    yield life.say(
        e.RunOpened(
            task=plan.task,
            run=plan.run,
            mode="detached" if rng.random() < 0.2 else "held",
            home=plan.home,
            rules=plan.rules.facts,
            overridden=("sandbox.timeout",) if rng.random() < 0.05 else (),
            asked=life.asked,
            sandbox_wanted=wanted_kinds(plan.rules.facts)[0],
            parent=plan.parent,
            private=e.RunOpenedText(
                rules=plan.rules.texts,
                directory=root,
                run_path=life.path.rpartition("/")[0],
                repository=text if repository else None,
                labels=labels,
            ),
        )
    )
    yield from _make_worktree(life, root, base if repository else None)


def _make_worktree(life: Life, root: str, base: str | None) -> Iterator[Step]:
    rng = life.rng
    if base is None:
        yield life.say(
            e.FallbackTaken(
                component="worktree",
                wanted=life.plan.rules.facts.worktree_kind,
                cause="unavailable",
                attempts=(e.Attempt("linked", "not_a_repository", "none"),),
                used="directory",
                lost=(),
                allowed_by="worktree.fallback",
                private=e.FallbackText(messages=(f"{root} is in no git repository",)),
            )
        )
    synced = rng.randrange(0, 6)
    yield life.say(
        e.WorktreeCreated(
            kind="directory" if base is None else life.plan.rules.facts.worktree_kind,
            detached=True,
            synced=synced,
            skipped=rng.randrange(0, 3),
            deleted=0,
            private=e.WorktreeCreatedText(
                path=life.path,
                git_dir=f"{root}/.git/worktrees/{life.plan.stream}" if base else None,
                branch=None,
                base_commit=base,
                tree=life.digest()[:40],
                patch=BlobName(life.digest(), 900 * synced) if synced else None,
                manifest=BlobName(life.digest(), 200),
            ),
        ),
        0.15,
    )


def find_sandbox(life: Life) -> Generator[Step, None, bool]:
    """Have a sandbox, or fall back; the generator returns whether there is one."""
    rng = life.rng
    wanted, *others = wanted_kinds(life.plan.rules.facts)
    gone = rng.random() < {"e2b": 0.25, "docker": 0.06}.get(wanted, 0.01)
    if not gone:
        yield _create_sandbox(life, wanted)
        return True
    reason, message = rng.choice(scenes.UNAVAILABLE)
    yield from fall_back(life, wanted, others, "unavailable", reason, message)
    return life.had is not None


def _create_sandbox(life: Life, kind: str) -> Step:
    limits = life.plan.rules.facts.limits
    life.had = scenes.isolation_had(kind, limits)
    life.sandboxes += 1
    image = {"e2b": "base", "docker": "python:3.13"}.get(kind)
    seconds = {"e2b": 0.9, "docker": 0.5}.get(kind, 0.02) * life.rng.lognormvariate(0, 0.5)
    return life.say(
        e.SandboxCreated(
            ordinal=life.sandboxes,
            kind=kind,
            id=f"{kind}-{life.digest()[:12]}",
            had=life.had,
            lifetime="command" if kind == "bubblewrap" else "run",
            persists=("files",) if kind == "bubblewrap" else ("files", "processes"),
            granted_s=3600 if kind == "e2b" else None,
            startup_us=int(seconds * SECOND),
            private=e.SandboxCreatedText(image=image) if image else e.UNSET,
        ),
        seconds,
    )


def fall_back(
    life: Life, wanted: str, others: list[str], cause: e.Cause, reason: Any, message: str
) -> Iterator[Step]:
    """Use one of *others* in place of *wanted*; without one the fallback is refused."""
    said: dict[str, Any] = {
        "component": "sandbox",
        "wanted": wanted,
        "cause": cause,
        "attempts": (e.Attempt(wanted, reason, "unknown" if cause == "lost" else "none"),),
        "private": e.FallbackText(messages=(message,)),
    }
    if not others:
        life.had = None
        life.failures += 1
        yield life.say(e.FallbackRefused(lost=(), forbidden_by="sandbox.fallback", **said))
        return
    used = others[0] if life.rng.random() < 0.6 else others[-1]
    had = scenes.isolation_had(used, life.plan.rules.facts.limits)
    weaker = lost(life.asked, had)
    yield life.say(e.FallbackTaken(used=used, lost=weaker, allowed_by="sandbox.may_lose", **said))
    yield _create_sandbox(life, used)
