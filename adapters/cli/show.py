"""`gesta show`: one run whole, for a person or as JSON.

Rule: what is lost and what is missing is said in words, first of all that a command could have
reached the record of itself.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from adapters.cli.closing_line import patch_words
from adapters.cli.printing import is_terminal, tell, tell_json
from adapters.cli.tables import print_facts, print_table
from adapters.cli.time_flag import AS_OF, AT, cut
from adapters.cli.times import duration, local, plural, size
from ledger.errors import RunNotFound

if TYPE_CHECKING:
    from adapters.reader import Reader
    from ledger.events import OsText
    from ledger.isolation import Isolation
    from ledger.ledger import Ledger
    from projections.commands import CommandRow, StreamRow
    from projections.run_details import CleanupRow, FallbackRow
    from projections.run_view import RunView

_MISSING = "(missing)"
REACHABLE = "the record was within the command's reach: it ran as the user who owns the ledger"


@click.command("show")
@AT
@AS_OF
@click.option(
    "--watch", is_flag=True, help="Show it again whenever it changes, until it has ended."
)
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
@click.argument("run", required=False)
def show_command(
    run: str | None, at: int | None, as_of: int | None, watch: bool, json: bool
) -> None:
    """Show RUN (RUN, TASK/RUN or a stream id; by default the newest) whole."""
    from adapters.cli.reading import reading
    from adapters.wiring import open_ledger

    if watch and (at is not None or as_of is not None or json):
        context = click.get_current_context()
        raise click.UsageError("give --watch without --at, --as-of and --json", context)
    with open_ledger() as ledger:
        stream = ledger.find(run)
        with reading(ledger) as reader:
            if watch:
                _watch(ledger, reader, stream)
                return
            position = cut(reader, at, as_of)
            view = _view(reader, stream) if position is None else _past(ledger, stream, position)
        is_held = position is None and ledger.hands.locks.state(stream) == "held"
    if json:
        tell_json(msgspec.structs.asdict(view))
    else:
        _print(view, is_held=is_held)


def _view(reader: Reader, stream: str) -> RunView:
    view = reader.queries.whole_run(stream)
    if view is None:
        raise RunNotFound(f"cannot show run {stream}: its view stops before it was opened")
    return view


def _past(ledger: Ledger, stream: str, position: int) -> RunView:
    from projections.run_view import view_of

    history = ledger.journal.history(stream)
    view = view_of([record for record in history if record.position <= position])
    if view is None:
        raise RunNotFound(f"cannot show run {stream} as of event {position}: it was opened later")
    return view


def _watch(ledger: Ledger, reader: Reader, stream: str) -> None:
    from adapters.cli.following import follow

    shown: RunView | None = None
    for _ in follow(reader):
        view = _view(reader, stream)
        if view != shown:
            if is_terminal(sys.stdout):
                click.clear()
            elif shown is not None:
                tell()
            _print(view, is_held=ledger.hands.locks.state(stream) == "held")
            sys.stdout.flush()
            shown = view
        if view.run.last_event == "RunSealed":
            return


def _print(view: RunView, *, is_held: bool) -> None:
    print_facts([*_header(view, is_held=is_held), *_isolation(view), *_work(view)])
    if view.commands:
        tell()
        print_table(
            ("", "~command", "ended", ">took", ">cpu", ">memory", ">stdout", ">stderr"),
            [_command(row) for row in view.commands],
        )
        for row in view.commands:
            if row.rule or row.message:
                tell(f"{row.command}: {row.rule or row.message}")


def _header(view: RunView, *, is_held: bool) -> list[tuple[str, str]]:
    row = view.run
    status = ", ".join(word for word in (row.status, row.cleanliness) if word)
    if row.ended_at is None:
        status += ", at work now" if is_held else ", no process at work"
    who = f"{_text(row.actor)} ({row.via.replace('_', ' ')}) on {_text(row.host)}"
    facts = [
        ("Run", f"{row.task}/{row.run}"),
        ("Status", status),
        ("Opened", f"{local(row.opened_at)} by {who}"),
        ("Took", duration(row.duration_us)),
        ("From", _text(row.directory) + (f", based on {view.base}" if view.base else "")),
        ("Profile", _text(row.profile) + _overridden(view)),
        ("Labels", ", ".join(f"{key}={value}" for key, value in (row.labels or {}).items())),
        ("Parent", row.parent or ""),
        ("Stream", row.stream),
    ]
    if row.missing:
        events = plural(row.events, "private part")
        facts.append(("Missing", f"{row.missing} of {events}; what they said is not shown"))
    return [(name, said) for name, said in facts if said]


def _overridden(view: RunView) -> str:
    return f", overriding {', '.join(view.overridden)}" if view.overridden else ""


def _isolation(view: RunView) -> list[tuple[str, str]]:
    row = view.run
    facts = [("Asked", f"{row.sandbox_wanted}: {isolation_words(row.asked)}")]
    if row.had is not None:
        facts.append(("Had", f"{row.sandbox}: {isolation_words(row.had)}"))
    if row.lost:
        facts.append(("Lost", ", ".join(row.lost)))
    facts += [("Fallback", _fallback(fallback)) for fallback in view.fallbacks]
    if row.had is not None and row.had.record == "reachable":
        facts.append(("Record", REACHABLE))
    return facts


def isolation_words(isolation: Isolation) -> str:
    """Return an isolation on one line, axis by axis."""
    limits = ", ".join(
        f"{name} {limit}"
        for name, limit in msgspec.structs.asdict(isolation.limits).items()
        if limit is not None
    )
    return (
        f"boundary {isolation.boundary}, filesystem {isolation.filesystem}, "
        f"network {isolation.network}, processes {isolation.processes}, "
        f"limits ({limits or 'none'}), record {isolation.record.replace('_', ' ')}"
    )


def _fallback(row: FallbackRow) -> str:
    messages = row.messages or (_MISSING,) * len(row.attempts)
    tried = "; ".join(
        f"{attempt.kind}: {message}"
        for attempt, message in zip(row.attempts, messages, strict=False)
    )
    what = f"{row.used} in place of {row.wanted}" if row.taken else f"{row.wanted} refused"
    by = f"{'allowed' if row.taken else 'forbidden'} by {row.by}"
    return f"{row.component}: {what}, {by}" + (f" ({tried})" if tried else f" ({row.cause})")


def _work(view: RunView) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if tree := view.worktree:
        brought = f"{tree.synced} uncommitted brought along, {tree.skipped} left out"
        base = f" of {tree.base_commit[:12]}" if tree.base_commit else ""
        branch = f" on branch {tree.branch}" if tree.branch else ""
        facts.append(("Worktree", f"{tree.kind}{base}{branch}, {brought}: {_text(tree.path)}"))
    if view.patch:
        kept = f", commits under {view.patch.ref}" if view.patch.ref else ""
        facts.append(("Patch", f"{patch_words(view.run)}, {size(view.patch.size)}{kept}"))
    facts += [("Artifact", f"{_text(kept.path)}, {size(kept.size)}") for kept in view.artifacts]
    facts += [("Left", _left(row)) for row in view.cleanups if not row.cleaned]
    if cleaned := [f"{row.resource} {row.ordinal}" for row in view.cleanups if row.cleaned]:
        facts.append(("Cleaned", ", ".join(cleaned)))
    return facts


def _left(row: CleanupRow) -> str:
    return f"{row.resource} {_text(row.name)}: {_text(row.message)} ({row.reason})"


def _command(row: CommandRow) -> tuple[str, ...]:
    return (
        row.command,
        words_of(row),
        _ending(row),
        duration(row.duration_us),
        duration(row.cpu_us),
        "" if row.peak_memory_kb is None else size(row.peak_memory_kb * 1024),
        _stream(row.stdout),
        _stream(row.stderr),
    )


def words_of(row: CommandRow) -> str:
    """Return a command as it was typed, behind the name of its step."""
    from projections.sentences import command_line

    step = f"{row.step}: " if row.step else ""
    if row.argv is None:
        return step + _MISSING
    more = f" … ({size(row.argv_blob.size)} of arguments)" if row.argv_blob else ""
    if row.form == "shell" and len(row.argv) == 3:
        return f"{step}{_text(row.argv[2])}"
    return step + command_line(row.argv, row.language) + more


def _ending(row: CommandRow) -> str:
    words = row.status.replace("_", " ")
    if row.status == "failed":
        words += f", exit {row.exit_code}"
    if row.signal is not None:
        words += f", signal {row.signal}"
    if row.killed_by_memory_limit:
        words += ", over its memory limit"
    if row.status in ("denied", "not_started") and row.reason:
        words += f", {row.reason.replace('_', ' ')}"
    return words + (", found late" if row.late else "")


def _stream(row: StreamRow | None) -> str:
    if row is None:
        return ""
    kept = f" ({size(row.stored)} kept)" if row.truncated else ""
    taken = sum(row.redactions.values())
    return size(row.total) + kept + (f" ({taken} redacted)" if taken else "")


def _text(text: OsText | None) -> str:
    from ledger.ostext import to_os

    return _MISSING if text is None else to_os(text)
