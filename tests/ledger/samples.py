"""One event or more of every kind, written out whole: what the golden bytes are made from."""

from __future__ import annotations

from typing import Any

from ledger import events as e
from ledger.events import BlobName, Event
from ledger.isolation import Isolation, Limits
from ledger.ostext import Bytes64
from ledger.rules import AllowedCommand, RuleFacts, RuleTexts
from tests.ledger.sample_cells import CELLS

ASKED = Isolation(
    boundary="machine",
    filesystem="workspace",
    network="none",
    processes="own",
    limits=Limits(memory_mb=2048, processes=256, output_mb=64),
    record="out_of_reach",
)
HAD = Isolation(
    boundary="process",
    filesystem="host",
    network="host",
    processes="host",
    limits=Limits(output_mb=64),
    record="reachable",
)
FACTS = RuleFacts(
    sandbox_enabled=True,
    sandbox_type="e2b",
    network=False,
    filesystem="workspace",
    fallback=("bubblewrap", "local"),
    may_lose=("boundary", "filesystem", "network", "processes", "limits", "record"),
    on_lost="stop",
    timeout=600,
    limits=Limits(memory_mb=2048, processes=256, output_mb=64),
    worktree_enabled=True,
    worktree_kind="linked",
    worktree_fallback=True,
    sync="all",
    cleanup="always",
    idle_limit=86_400,
)
TEXTS = RuleTexts(
    profile="default",
    source="/etc/gesta/profiles/default.yaml",
    digest="1f" * 32,
    allowlist=(AllowedCommand(command="git", arguments=("status",), denied=("-c.*",)),),
    env=("PATH", "HOME"),
    protected=("docs",),
    artifacts=("*.log",),
    image="python:3.13",
    read_only=("auto",),
    branch="task-{task}-run-{run}",
    redact=("default",),
)
LARGEST = 2**53 - 1
SEEN: dict[str, Any] = {
    "duration_us": 1_234_567,
    "cpu_us": 1_000,
    "peak_memory_kb": 2_048,
    "stdout": e.StreamFacts(LARGEST, 65_536, True),
    "stderr": e.StreamFacts(0, 0, False),
    "stdin": e.StreamFacts(4, 4, False),
}
STREAMS = e.StreamsText(stdout=BlobName("aa" * 32, 65_536), stdin=BlobName("bb" * 32, 4))
ATTEMPTS = (
    e.Attempt("e2b", "no_key", "none"),
    e.Attempt("bubblewrap", "failed", "unknown"),
)

VKEY = "example/log+79b54b9f+AWxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxs"

OPENING: dict[str, Event] = {
    "ledger created": e.LedgerCreated(ledger="7d444840-9dc0-11d1-b245-5ffdce74fad2", home="home-1"),
    "ledger created with a key": e.LedgerCreated(
        ledger="7d444840-9dc0-11d1-b245-5ffdce74fad2", home="home-1", key=VKEY
    ),
    "key changed": e.KeyChanged(key=VKEY, note="gesta key change\n\n— example/log AAAA\n"),
    "key lost": e.KeyChanged(key=VKEY, note=None),
    "orphan found": e.OrphanFound(
        what="sandbox",
        kind="docker",
        stream="01a21100-d584-7ff1-9a7a-48a59a36635f",
        count=1,
        private=e.OrphanText(names=("0d1e2f",)),
    ),
    "orphan removed": e.OrphanRemoved(
        what="blob", count=2, size=131_072, private=e.OrphanText(names=("aa" * 32, "bb" * 32))
    ),
    "ledger restored": e.LedgerRestored(
        home="home-2",
        key=VKEY,
        from_home="home-1",
        size=22,
        root="4d" * 32,
        note="an origin\n22\nTU1N\n\n\u2014 an origin c2ln\n",
        taken=1_750_000_000_000_000,
    ),
    "ledger restored from an unsigned one": e.LedgerRestored(
        home="home-2",
        key=VKEY,
        from_home="home-1",
        size=0,
        root="4d" * 32,
        note=None,
        taken=1_750_000_000_000_000,
    ),
    "run opened": e.RunOpened(
        task="T-1",
        run="R-1",
        mode="held",
        home="home-1",
        rules=FACTS,
        overridden=("sandbox.timeout", "sandbox.type"),
        asked=ASKED,
        sandbox_wanted="e2b",
        parent="0190163d-8694-739b-aea5-966c26f8ad91",
        private=e.RunOpenedText(
            rules=TEXTS,
            directory="/home/ann/code/src",
            run_path="/home/ann/.local/state/gesta/workspaces/T-1/runs/R-1",
            repository=e.RepositoryText(
                root="/home/ann/code",
                common_dir=Bytes64("L2hvbWUvYW5uL/8="),
                prefix="src",
                base_commit="c0" * 20,
            ),
            base="HEAD~1",
            labels={"team": "café", "a": "b"},
        ),
    ),
    "run opened, its private part gone": e.RunOpened(
        task="T-1",
        run="R-2",
        mode="detached",
        home="home-1",
        rules=FACTS,
        overridden=(),
        asked=ASKED,
        sandbox_wanted="e2b",
        successor_of="R-1",
        replay_of="R-0",
    ),
    "worktree created": e.WorktreeCreated(
        kind="linked",
        detached=True,
        synced=3,
        skipped=1,
        deleted=0,
        private=e.WorktreeCreatedText(
            path="/w/T-1",
            git_dir="/home/ann/code/.git/worktrees/T-1",
            branch=None,
            base_commit="c0" * 20,
            tree="d1" * 20,
            patch=BlobName("cc" * 32, 120),
            manifest=BlobName("dd" * 32, 2),
        ),
    ),
    "sandbox created, and how soon": e.SandboxCreated(
        ordinal=1,
        kind="local",
        id="gesta-1",
        had=HAD,
        lifetime="command",
        persists=("files",),
        startup_us=2_500,
        private=e.SandboxCreatedText(image="python:3.13"),
    ),
    "sandbox created, without an image or a time": e.SandboxCreated(
        ordinal=2, kind="local", id="gesta-2", had=HAD, lifetime="run", persists=()
    ),
    "sandbox lost": e.SandboxLost(ordinal=1),
    "fallback taken": e.FallbackTaken(
        component="sandbox",
        wanted="e2b",
        cause="unavailable",
        attempts=ATTEMPTS,
        used="local",
        lost=("boundary", "record"),
        allowed_by="sandbox.may_lose",
        private=e.FallbackText(messages=("E2B_API_KEY is not set", "it \N{EM DASH} broke\n")),
    ),
    "fallback refused": e.FallbackRefused(
        component="worktree",
        wanted="linked",
        cause="override",
        attempts=(),
        lost=(),
        forbidden_by="worktree.fallback",
        private=e.FallbackText(messages=()),
    ),
}
COMMANDS: dict[str, Event] = {
    "command requested": e.CommandRequested(
        command="c1",
        form="argv",
        sandbox=1,
        may_fail=False,
        uid=1000,
        stdin="kept",
        time_limit=0.5,
        asked=ASKED,
        had=HAD,
        private=e.CommandText(
            argv=("ls", "-l", Bytes64("/2E="), "käse", 'a"b\\c\x00'),
            cwd="/w/T-1",
            executable="/usr/bin/ls",
            env={"PATH": "/usr/bin", "LATIN": Bytes64("6Q=="), "TOKEN": "[withheld]"},
            step="list",
        ),
    ),
    "command requested, its arguments a blob": e.CommandRequested(
        command="c2",
        form="shell",
        sandbox=1,
        may_fail=True,
        uid=0,
        stdin="none",
        time_limit=None,
        asked=ASKED,
        had=HAD,
        private=e.CommandText(
            argv=("sh",), cwd=Bytes64("L/8="), argv_blob=BlobName("ee" * 32, LARGEST)
        ),
    ),
    "command executed": e.CommandExecuted(
        command="c1",
        exit_code=3,
        signal=None,
        killed_by_memory_limit=False,
        private=STREAMS,
        **SEEN,
    ),
    "command executed, ended by a signal": e.CommandExecuted(
        command="c1", exit_code=None, signal=9, killed_by_memory_limit=True
    ),
    "command timed out": e.CommandTimedOut(command="c1", private=STREAMS, **SEEN),
    "command cancelled": e.CommandCancelled(
        command="c1", signal=15, private=e.StreamsText(), **SEEN
    ),
    "command lost": e.CommandLost(command="c1", reason="process"),
    "command not started": e.CommandNotStarted(
        command="c1", reason="not_found", private=e.MessageText(message="cannot execute nope")
    ),
    "command outcome found": e.CommandOutcomeFound(
        command="c1",
        outcome="executed",
        exit_code=0,
        signal=None,
        killed_by_memory_limit=False,
        private=STREAMS,
        **SEEN,
    ),
    "command denied": e.CommandDenied(
        command="c1",
        form="argv",
        may_fail=False,
        reason="argument",
        private=e.CommandDeniedText(
            argv=("git", "push"),
            cwd="/w/T-1",
            rule="exec.allowlist: git: arguments",
            executable="/usr/bin/git",
            step="publish",
        ),
    ),
}
FILES: dict[str, Event] = {
    "file write requested": e.FileWriteRequested(
        file="f1", size=5, private=e.FileText(path="notes.txt", before="01" * 32)
    ),
    "file written": e.FileWritten(
        file="f1",
        size=5,
        private=e.FileText(path="notes.txt", before="01" * 32, after="02" * 32),
    ),
    "file read": e.FileRead(
        file="f2",
        size=LARGEST,
        private=e.FileText(path=Bytes64("/w=="), before="02" * 32, after="02" * 32),
    ),
    "file denied": e.FileDenied(
        file="f3",
        action="write",
        reason="protected",
        private=e.FileDeniedText(path="docs/a", rule="paths.protected: docs"),
    ),
    "protected path changed": e.ProtectedPathChanged(
        command="c2",
        count=2,
        private=e.ProtectedText(paths=("docs", Bytes64("L2b/"))),
    ),
}
CLOSING: dict[str, Event] = {
    "patch captured": e.PatchCaptured(
        ending=True,
        size=200,
        files=2,
        insertions=10,
        deletions=1,
        untracked=1,
        commits=1,
        private=e.PatchText(
            patch=BlobName("ff" * 32, 200),
            tree="d2" * 20,
            commits=("c1" * 20,),
            ref="refs/gesta/T-1",
        ),
    ),
    "artifact stored": e.ArtifactStored(
        ending=True,
        size=7,
        private=e.ArtifactText(path="out.log", blob=BlobName("ab" * 32, 7)),
    ),
    "cleaned up": e.CleanedUp(ending=True, resource="sandbox", ordinal=1),
    "cleanup failed": e.CleanupFailed(
        ending=False,
        resource="worktree",
        ordinal=1,
        reason="in_use",
        private=e.CleanupText(name="/w/T-1", message="it is busy"),
    ),
    "run completed": e.RunCompleted(
        outcome="failed",
        reason="error",
        private=e.ReasonText(message="ValueError: no"),
    ),
    "run completed, nothing said": e.RunCompleted(outcome="succeeded", reason="commands"),
    "run abandoned": e.RunAbandoned(lost=("c1",)),
    "run sealed and signed": e.RunSealed(
        count=9,
        root="0e" * 32,
        log_size=LARGEST,
        signed=e.SignedStatement(
            statement='{"_type":"https://in-toto.io/Statement/v1"}',
            public_key="MCow",
            signature="AAAA",
        ),
    ),
}
IMPORTED: dict[str, Event] = {
    "legacy event imported": e.LegacyEventImported(
        task="T-1",
        run="R-1",
        line=3,
        size=24,
        redactions={"github_token": 1},
        private=e.LegacyText(
            file="0f" * 32,
            type="COMMAND_EXEC",
            time="2026-11-23T00:25:45.405791",
            trace="trace-abc",
            payload=BlobName("ad" * 32, 24),
            others=BlobName("ae" * 32, 16),
            rule_set="4f" * 32,
        ),
    ),
    "legacy event imported, hardly anything said": e.LegacyEventImported(
        task="T-1",
        run=None,
        line=LARGEST,
        size=0,
        private=e.LegacyText(file="0f" * 32, type="NODE_START"),
    ),
}
SAMPLES: dict[str, Event] = {**OPENING, **COMMANDS, **CELLS, **FILES, **CLOSING, **IMPORTED}
