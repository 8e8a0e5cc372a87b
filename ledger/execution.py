"""How a command is executed: permitted, its intent recorded, run, its outcome recorded.

At the first line of `_run` the intent is durable: a crash from there on leaves a command that was
requested and has no ending, which whoever takes the run's lock next calls lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec

from ledger import decide
from ledger import events as e
from ledger.allowlist import Denial, check_argv, permits
from ledger.capture import Capture, blobs_of
from ledger.cells import CellSandbox
from ledger.choosing import choose_sandbox
from ledger.closing import capture_between
from ledger.code_cells import Results, as_taken, perform_cell
from ledger.commands import Execute, Finished
from ledger.decide import CommandWanted
from ledger.errors import CommandNotAllowed, MoveIllegal, StoreError
from ledger.guarding import changed_paths, fingerprints, record_changes
from ledger.isolation import Isolation
from ledger.ostext import check_os, from_os
from ledger.outcomes import Blob, Lost, NotStarted, Outcome, Output
from ledger.overrides import check_variable_set
from ledger.ports import Cancellation, Command, Input, Sandbox
from ledger.recorded import Recorded
from ledger.rules import RuleTexts
from ledger.session import Session
from ledger.spool import Spooled, spool
from ledger.surroundings import Surroundings, directory_of, environment, surround

_LARGEST_ARGV = 16 * 1024
_MEBIBYTE = 1 << 20


def execute(session: Session, wanted: Execute, cancellation: Cancellation | None) -> Finished:
    """
    Execute one command in the run's sandbox, which is made if there is none yet.

    Raises `MoveIllegal`, `IsolationRefused`, `CommandNotAllowed` (refusals on record); then no
    process was started.
    """
    texts = session.rule_texts
    if texts is None:
        raise MoveIllegal(
            f"cannot execute a command in run {session.run.run}: its rules were erased; close it"
        )
    decide.begin_command(session.run)
    if session.worktree is None:
        raise MoveIllegal(
            f"cannot execute a command in run {session.run.run}: it has no worktree; close it"
        )
    check_argv(wanted.argv)
    for text in wanted.argv:
        check_os("argument", text)
    for name, value in wanted.env.items():
        check_variable_set(name, value)
    directory = directory_of(session, wanted)
    sandbox, had, made = _sandbox(session)
    try:
        command = surround(session, texts, wanted, directory, sandbox, had)
        denial = _denial(session, texts, wanted, command, sandbox, had)
        wanted, command = as_taken(sandbox, wanted, command)
        with session.hands.blobs.keeping():
            record = _request(session, wanted, command, had, made, denial)
    except BaseException:
        if made:
            # It is not on record: nobody would find it, and no command may run in it.
            session.sandbox = None
            sandbox.close()
        raise
    if isinstance(record.event, e.CommandDenied):
        raise _not_allowed(wanted.argv[0], record.event)
    return _run(session, sandbox, record, wanted, command, cancellation)


def _request(
    session: Session,
    wanted: Execute,
    command: Surroundings,
    had: Isolation,
    made: tuple[e.RunEvent, ...],
    denial: Denial | None,
) -> Recorded:
    """Record the intent, or its denial, together with the sandbox that was made for it."""
    session.redactor = session.redactor.knowing(command.env)
    session.hands.spool.reserve(session.stream)
    text, blobs, redactions = _text(session, wanted, command)
    requested = decide.request_command(
        session.run,
        CommandWanted(
            form=wanted.form,
            may_fail=wanted.may_fail,
            uid=session.hands.uid,
            stdin=_stdin_kind(wanted),
            time_limit=command.time_limit,
            sandbox=session.run.made("sandbox") + sum(map(_creates, made)),
            had=had,
            redactions=redactions,
            text=text,
        ),
        denial,
    )
    return session.append([*made, requested], blobs=blobs)[-1]


def _perform(
    session: Session,
    sandbox: Sandbox,
    wanted: Execute,
    command: Surroundings,
    capture: Capture,
    results: Results,
    cancellation: Cancellation | None,
) -> Outcome:
    if wanted.form == "cell" and isinstance(sandbox, CellSandbox):
        return perform_cell(sandbox, wanted, command, capture, results, cancellation)
    if command.executable is None:
        message = f"cannot execute {wanted.argv[0]}: it is not found on the command's PATH"
        return NotStarted(reason="not_found", message=message)
    return sandbox.execute(
        Command(
            argv=wanted.argv,
            executable=command.executable,
            cwd=command.cwd,
            env=command.env,
            time_limit_s=command.time_limit,
            stdout=capture.stdout,
            stderr=capture.stderr,
            stdin=_input(wanted, capture),
            started=session.hold.note if session.hold else _ignore,
        ),
        cancellation,
    )


def _not_allowed(name: str, denied: e.CommandDenied) -> CommandNotAllowed:
    assert isinstance(denied.private, e.CommandDeniedText)
    return CommandNotAllowed(
        f"cannot execute {name}: {denied.private.rule}; it is on record as {denied.command}"
    )


def _run(
    session: Session,
    sandbox: Sandbox,
    record: Recorded,
    wanted: Execute,
    command: Surroundings,
    cancellation: Cancellation | None,
) -> Finished:
    limits = session.intent.rules.limits
    limit = None if limits.output_mb is None else limits.output_mb * _MEBIBYTE
    capture = Capture(session.hands.blobs, session.redactor, limit, wanted.stdout, wanted.stderr)
    results = Results(session.hands.blobs, session.redactor, limit)
    guarded = fingerprints(session)
    requested = record.event
    assert isinstance(requested, e.CommandRequested)
    with contextlib.ExitStack() as keeping:
        if wanted.form == "cell":
            # Its results are blobs before its end.
            keeping.enter_context(session.hands.blobs.keeping())
        outcome = _perform(session, sandbox, wanted, command, capture, results, cancellation)
        keeping.enter_context(session.hands.blobs.keeping())
        output = msgspec.structs.replace(capture.finish(), results=results.kept)
        _record_outcome(session, record, outcome, output, guarded)
    if isinstance(outcome, Lost):
        session.sandbox = None
        sandbox.close()
    record_changes(session, requested.command, guarded, record.id)
    capture_between(session)
    return Finished(requested.command, outcome, output)


def _record_outcome(
    session: Session,
    record: Recorded,
    outcome: Outcome,
    output: Output,
    guarded: dict[str, str | None],
) -> None:
    """Record how a command ended; what the store refuses is kept beside it."""
    requested = record.event
    assert isinstance(requested, e.CommandRequested)
    occurred = session.hands.clock.now()
    try:
        session.record(
            lambda run: (
                *decide.record_outcome(run, requested.command, outcome, output),
                *(decide.lose_sandbox(run) if isinstance(outcome, Lost) else ()),
            ),
            cause=record.id,
            occurred=occurred,
            blobs=[*blobs_of(output), *(result.blob for result in output.results)],
        )
    except StoreError as error:
        seen = Spooled(
            stream=session.stream,
            command=requested.command,
            cause=record.id,
            occurred=occurred,
            who=session.who,
            outcome=outcome,
            output=output,
            changed=changed_paths(session, guarded),
        )
        raise spool(session, seen, error) from error


def _denial(
    session: Session,
    texts: RuleTexts,
    wanted: Execute,
    command: Surroundings,
    sandbox: Sandbox,
    had: Isolation,
) -> Denial | None:
    if command.executable is None:
        # What is not there cannot be shown to be a file that the allowlist names.
        return Denial("exec.allowlist", "not_listed") if texts.allowlist else None
    # The list's own names mean what they mean on the caller's PATH: a PATH that came with the
    # command must not decide what passes for `git`.
    env = environment(session, texts, {}, had, wanted.caller)
    return permits(
        texts.allowlist,
        wanted.argv,
        command.executable,
        lambda name: sandbox.resolve(name, command.cwd, env),
    )


def _sandbox(session: Session) -> tuple[Sandbox, Isolation, tuple[e.RunEvent, ...]]:
    if session.sandbox is not None:
        assert session.run.had is not None
        return session.sandbox, session.run.had, ()
    choice = choose_sandbox(session)
    session.sandbox, session.sandbox_home = choice.sandbox, choice.made.home
    session.sandbox_lasts = choice.made.lifetime == "run"
    return choice.sandbox, choice.made.isolation, choice.events


def _creates(event: e.RunEvent) -> bool:
    return isinstance(event, e.SandboxCreated)


def _text(
    session: Session, wanted: Execute, command: Surroundings
) -> tuple[e.CommandText, list[Blob], dict[str, int]]:
    redactor = session.redactor
    words, variables = redactor.argv(wanted.argv), redactor.environment(command.env)
    argv = tuple(from_os(word) for word in words.value)
    encoded = msgspec.json.encode(argv)
    blob = session.hands.blobs.put(encoded) if len(encoded) > _LARGEST_ARGV else None
    source, taken_out = (None, {}) if wanted.source is None else session.store(wanted.source)
    executable = command.executable
    text = e.CommandText(
        argv=argv[:1] if blob else argv,
        argv_blob=decide.blob_name(blob),
        cwd=from_os(str(command.cwd)),
        executable=None if executable is None else from_os(executable),
        env={name: from_os(value) for name, value in variables.value.items()},
        step=None if wanted.step is None else redactor.text(wanted.step).value,
        language=wanted.language,
        source=decide.blob_name(source),
        rule_set=redactor.digest,
        left_alone=redactor.left_alone,
    )
    counts = _sum(words.counts, variables.counts, taken_out)
    return text, [kept for kept in (blob, source) if kept], counts


def _ignore(_pids: Sequence[int]) -> None:
    """Note nothing: there is no lock to note it in."""


def _sum(*counts: dict[str, int]) -> dict[str, int]:
    return {rule: sum(one.get(rule, 0) for one in counts) for one in counts for rule in one}


def _stdin_kind(wanted: Execute) -> e.StdinKind:
    if wanted.stdin is None:
        return "none"
    return "terminal" if wanted.terminal else "kept"


def _input(wanted: Execute, capture: Capture) -> Input | None:
    if wanted.stdin is None:
        return None
    if isinstance(wanted.stdin, bytes):
        return Input(keep=capture.stdin, data=wanted.stdin)
    return Input(keep=capture.stdin, fd=wanted.stdin, terminal=wanted.terminal)
