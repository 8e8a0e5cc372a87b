"""What is stated of a run in public: an in-toto Statement v1 with the predicate link v0.3.

Rule 1: it says facts alone: ids, counts, the root of the run's records, exit codes, salted
commitments. Never what was typed, named or printed, nor a bare digest of that.
Rule 2: it follows from the run's rows and the seal's own envelope. Whoever has those can write it
again, byte for byte, and compare.
Rule 3: it fits into an event, however long the run was: of its commands the first
`MOST_COMMANDS` are listed, all are counted.

The subject is the run's records, by the RFC 6962 root over their leaves, which is a SHA-256. The
facts are the link's `byproducts`: `Byproducts` says what each of them is. `command`, `materials`
and `environment` are private and stay empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal, cast

import msgspec

from ledger import events as e
from ledger import merkle
from ledger.codec import Envelope, decode_facts
from ledger.errors import ProofInvalid
from ledger.store import Row

STATEMENT: Final = "https://in-toto.io/Statement/v1"
LINK: Final = "https://in-toto.io/attestation/link/v0.3"
MOST_COMMANDS = 100

_ENDINGS = (
    e.CommandExecuted
    | e.CommandTimedOut
    | e.CommandCancelled
    | e.CommandLost
    | e.CommandNotStarted
    | e.CommandOutcomeFound
)


class CommandFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A command: its id, and how it ended, `null` where no ending is on record.

    *requested* and *ended* are the commitments to what was typed and to what was printed: who is
    shown a private part and its salt can compare.
    """

    command: str
    requested: str | None = None
    ending: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    signal: int | None = None


class Byproducts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The facts that are stated of a run.

    *count* records have the RFC 6962 *root*; no others were in the log when that had *log_size*
    leaves. *opened* is the commitment to what was typed when the run was opened. *exit_codes*
    counts the commands by exit code. *record* says whether a command could reach the ledger,
    `null` if none was requested. *seal* is the envelope of the event that holds the statement.
    """

    commands: tuple[CommandFacts, ...]
    commands_total: int
    count: int
    exit_codes: dict[str, int]
    ledger: str
    log_size: int
    opened: str
    outcome: str | None
    record: Literal["reachable", "out_of_reach"] | None
    root: str
    run: str
    seal: Envelope
    stream: str
    task: str


_encoder = msgspec.json.Encoder(order="sorted")
_byproducts = msgspec.json.Decoder(Byproducts)


def derive_statement(ledger: str, rows: Sequence[Row], log_size: int, seal: Envelope) -> str:
    """
    Return the Statement, JSON with sorted keys in ASCII, of a run whose records are *rows*.

    *ledger* is the ledger's id, *seal* the envelope of the event that will hold the Statement.
    Raises `EventUnknown`, and `ProofInvalid` if *rows* cannot be read or do not begin with the
    run's opening.
    """
    facts = _derive(ledger, rows, log_size, seal)
    return _encoder.encode(
        {
            "_type": STATEMENT,
            "subject": [
                {"name": f"records of run {facts.stream}", "digest": {"sha256": facts.root}}
            ],
            "predicateType": LINK,
            "predicate": {
                "name": f"{facts.task}/{facts.run}",
                "command": [],
                "materials": [],
                "byproducts": facts,
                "environment": {},
            },
        }
    ).decode("ascii")


def read_byproducts(statement: str) -> Byproducts:
    """Return the facts that a Statement of ours states, nothing checked; raises `ProofInvalid`."""
    try:
        found: Any = msgspec.json.decode(statement, type=_Statement)
        return _byproducts.decode(found.predicate.byproducts)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProofInvalid(f"cannot read statement: {error}") from error


class _Predicate(msgspec.Struct, frozen=True):
    byproducts: msgspec.Raw


class _Statement(msgspec.Struct, frozen=True):
    predicate: _Predicate


def _derive(ledger: str, rows: Sequence[Row], log_size: int, seal: Envelope) -> Byproducts:
    facts = [_read(row) for row in rows]
    if not facts or not isinstance(facts[0].event, e.RunOpened):
        raise ProofInvalid("cannot state anything of a run: its opening is not on record")
    opened = facts[0].event
    commands = _commands(rows, facts)
    exits = Counter(one.exit_code for one in commands if one.exit_code is not None)
    return Byproducts(
        commands=tuple(commands[:MOST_COMMANDS]),
        commands_total=len(commands),
        count=len(rows),
        exit_codes={str(code): count for code, count in sorted(exits.items())},
        ledger=ledger,
        log_size=log_size,
        opened=facts[0].commitment,
        outcome=_outcome([one.event for one in facts]),
        record=_record([one.event for one in facts]),
        root=merkle.root_of([row.leaf for row in rows]).hex(),
        run=opened.run,
        seal=seal,
        stream=rows[0].stream,
        task=opened.task,
    )


def _read(row: Row) -> Any:
    try:
        return decode_facts(row.topic, row.facts)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProofInvalid(
            f"cannot read version {row.version} of run {row.stream}: {error}"
        ) from error


def _commands(rows: Sequence[Row], facts: Sequence[Any]) -> list[CommandFacts]:
    found: dict[str, CommandFacts] = {}
    for row, one in zip(rows, facts, strict=True):
        match one.event:
            case e.CommandRequested() as event:
                found[event.command] = CommandFacts(command=event.command, requested=one.commitment)
            case e.CommandDenied() as event:
                found[event.command] = CommandFacts(
                    command=event.command, requested=one.commitment, ending="denied"
                )
            case (
                e.CommandExecuted()
                | e.CommandTimedOut()
                | e.CommandCancelled()
                | e.CommandLost()
                | e.CommandNotStarted()
                | e.CommandOutcomeFound()
            ) as event:
                begun = found.get(event.command, CommandFacts(command=event.command))
                found[event.command] = _ended(begun, row.topic, event, one.commitment)
            case _:
                pass
    return list(found.values())


def _ended(begun: CommandFacts, topic: str, event: _ENDINGS, commitment: str) -> CommandFacts:
    # A stored name says how: command.timed_out.1.
    ending = topic.split(".")[1]
    return msgspec.structs.replace(
        begun,
        ending=event.outcome if isinstance(event, e.CommandOutcomeFound) else ending,
        ended=commitment,
        exit_code=cast("int | None", getattr(event, "exit_code", None)),
        signal=cast("int | None", getattr(event, "signal", None)),
    )


def _outcome(events: Sequence[Any]) -> str | None:
    for event in reversed(events):
        if isinstance(event, e.RunCompleted):
            return event.outcome
        if isinstance(event, e.RunAbandoned):
            return "abandoned"
    return None


def _record(events: Sequence[Any]) -> Literal["reachable", "out_of_reach"] | None:
    reach = {event.had.record for event in events if isinstance(event, e.CommandRequested)}
    if not reach:
        return None
    return "reachable" if "reachable" in reach else "out_of_reach"
