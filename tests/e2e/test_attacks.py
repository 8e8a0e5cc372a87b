"""What an attacker does to a real ledger, and what verification must say then.

Each attack is made on the files of a ledger that recorded real runs. Where the right answer is
that it cannot be told, that is what the test asks for: docs/trust.md says so too.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import open_ledger
from adapters.ed25519_signer import make_signer
from ledger.note import format_vkey
from tests.cli.gesta import Ended, gesta
from tests.e2e.forgery import database, rewrite, stolen_key

Attack = Callable[[Path], object]
Rows = list[list[Any]]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a ledger with three real runs, and beside it what its verifier kept after the second."""
    place = tmp_path_factory.mktemp("honest")
    home, work = place / "home", place / "work"
    work.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place)}
    said: Any
    for number in range(3):
        if number == 2:
            done = gesta("checkpoint", "--out", str(place / "kept"), cwd=work, GESTA_HOME=str(home))
            assert 0 == done.code, done.err
        said = {"task": "T-1", "run": f"R-{number}", "profile": "local", "directory": work}
        with open_ledger(home, environment=environment) as ledger, ledger.run(**said) as run:
            run.execute(["echo", f"run {number}"])
    key = gesta("key", "show", cwd=work, GESTA_HOME=str(home)).out.decode().strip()
    (place / "key").write_text(key)
    return place


@pytest.fixture
def ledger(honest: Path, home: Path) -> Path:
    """Give a copy of that ledger to be attacked, in this test's home."""
    shutil.copytree(honest / "home", home)
    return home


def verify(honest: Path, *arguments: str) -> tuple[str, str, int, list[Any]]:
    """Return integrity, assurance, exit code and findings."""
    done: Ended = gesta("verify", "--json", *arguments, cwd=honest)
    report = done.json
    return report["integrity"], report["assurance"], done.code, report["findings"]


def key(honest: Path) -> str:
    """Return the log's key as the verifier wrote it down."""
    return (honest / "key").read_text()


def edit(home: Path, position: int, old: bytes, new: bytes, column: str = "state") -> None:
    """Replace some bytes of a stored event."""
    with database(home) as db:
        statement = f"SELECT {column} FROM stored_events WHERE position = ?"
        (stored,) = db.execute(statement, (position,)).fetchone()
        assert old in stored
        changed = stored.replace(old, new, 1)
        db.execute(f"UPDATE stored_events SET {column} = ? WHERE position = ?", (changed, position))


def last(home: Path) -> int:
    """Return the position of the last event."""
    with database(home) as db:
        return int(db.execute("SELECT max(position) FROM stored_events").fetchone()[0])


def position_of(home: Path, topic: str) -> int:
    """Return the position of the first event whose name begins so."""
    with database(home) as db:
        statement = "SELECT min(position) FROM stored_events WHERE topic LIKE ?"
        return int(db.execute(statement, (f"{topic}%",)).fetchone()[0])


def test_an_honest_ledger_is_intact(honest: Path, ledger: Path) -> None:
    """With everything that the verifier has kept, and without."""
    assert ("INTACT", "SELF-CHECKED", 0, []) == verify(honest, "--blobs")
    kept = ["--key", key(honest), "--known-checkpoint", str(honest / "kept")]
    assert ("INTACT", "SIGNED", 0, []) == verify(honest, *kept, "--signatures")
    assert ("INTACT", "SIGNED", 0, []) == verify(honest, "--key", key(honest), "T-1/R-1")


def edit_one_byte(home: Path) -> int:
    """Change how a command ended, from success to failure."""
    position = position_of(home, "command.executed")
    edit(home, position, b'"exit_code":0', b'"exit_code":1')
    return position


def edit_the_name(home: Path) -> int:
    """Have an event be another one, its facts as they are."""
    position = position_of(home, "cleaned.up")
    with database(home) as db:
        statement = "UPDATE stored_events SET topic = 'cleanup.failed.1' WHERE position = ?"
        db.execute(statement, (position,))
    return position


def edit_a_seal(home: Path) -> int:
    """Change the time of a seal, whose leaf is that of its Statement."""
    position = position_of(home, "run.sealed")
    edit(home, position, b'"occurred":1', b'"occurred":2')
    return position


def edit_the_private_part(home: Path) -> int:
    """Change what was typed."""
    position = position_of(home, "command.requested")
    with database(home) as db:
        db.execute(
            "UPDATE private SET body = replace(body, 'echo', 'true') WHERE position = ?",
            (position,),
        )
    return position


def swap_two(home: Path) -> int:
    """Have two events of a run change places."""
    first = position_of(home, "command.requested")
    with database(home) as db:
        for table in ("stored_events", "private"):
            for old, new in ((first, -1), (first + 1, first), (-1, first + 1)):
                db.execute(f"UPDATE {table} SET position = ? WHERE position = ?", (new, old))
    return first


def delete(home: Path, where: str) -> None:
    """Delete events, and nothing else."""
    with database(home) as db:
        db.execute(f"DELETE FROM stored_events WHERE {where}")


def delete_the_last(home: Path) -> int:
    """Delete the last event."""
    position = last(home)
    delete(home, f"position = {position}")
    return position


def delete_a_middle_one(home: Path) -> int:
    """Delete an event in the middle."""
    position = position_of(home, "command.executed")
    delete(home, f"position = {position}")
    return position


def put_one_in(home: Path) -> int:
    """Put a copy of an event between two others, and number those after it again."""
    position = position_of(home, "command.executed")
    rewrite(home, lambda rows: rows[:position] + [_copy(rows, position)] + rows[position:])
    return 0


def _copy(rows: Rows, position: int) -> list[Any]:
    stream, _, topic, facts, was = rows[position]
    later = max(row[1] for row in rows if row[0] == stream) + 1
    return [stream, later, topic, facts, was]


def truncate(home: Path) -> int:
    """Cut off the last run, tree and all, under the head as it was signed."""
    size = _end_of_second_run(home)
    rewrite(home, lambda rows: rows[:size])
    return size


def _end_of_second_run(home: Path) -> int:
    with database(home) as db:
        return int(db.execute("SELECT size FROM checkpoints ORDER BY size").fetchall()[1][0])


def append_unsigned(home: Path) -> int:
    """Put an event after the last signed head, without a key."""
    position = last(home) + 1
    with database(home) as db:
        db.execute(
            "INSERT INTO stored_events SELECT ?, originator_id, originator_version + 1, topic,"
            " state, leaf FROM stored_events WHERE position = ?",
            (position, position - 1),
        )
        db.execute(
            "INSERT INTO private SELECT ?, salt, body FROM private WHERE position = ?",
            (position, position - 1),
        )
    return position


def append_and_grow_the_tree(home: Path) -> int:
    """Put an event at the end, and extend the tree over it, without a key."""
    position = position_of(home, "cleaned.up")
    rewrite(home, lambda rows: [*rows, _copy(rows, position)])
    return 0


def unsign(home: Path) -> int:
    """Take the signature off the head."""
    with database(home) as db:
        db.execute("UPDATE tree SET note = x''")
    return last(home) + 1


def rewrite_without_key(home: Path) -> int:
    """Change an event and all that follows from it, and keep the signatures."""
    position = position_of(home, "command.executed")
    rewrite(home, exit_with_one)
    return position


def exit_with_one(rows: Rows) -> Rows:
    """Let the first command have failed."""
    changed = next(row for row in rows if row[2].startswith("command.executed"))
    changed[3] = changed[3].replace(b'"exit_code":0', b'"exit_code":1')
    return rows


@pytest.mark.parametrize(
    "attack",
    [
        edit_one_byte,
        edit_the_name,
        edit_a_seal,
        edit_the_private_part,
        swap_two,
        delete_the_last,
        delete_a_middle_one,
        append_unsigned,
        truncate,
        unsign,
    ],
)
def test_what_is_done_without_the_key_is_found_where_it_was_done(
    attack: Callable[[Path], int], honest: Path, ledger: Path
) -> None:
    """By whoever holds nothing at all, and at the first position that is not as it was."""
    position = attack(ledger)
    integrity, assurance, code, findings = verify(honest)
    assert ("INVALID", "NONE", 1) == (integrity, assurance, code)
    assert position == min(one["position"] for one in findings if one["position"] is not None)


@pytest.mark.parametrize("attack", [put_one_in, append_and_grow_the_tree, rewrite_without_key])
def test_what_is_made_to_fit_without_the_key_is_found(
    attack: Attack, honest: Path, ledger: Path
) -> None:
    """The leaves and the tree can be computed again by anybody, the signatures cannot."""
    attack(ledger)
    integrity, assurance, code, findings = verify(honest)
    assert ("INVALID", "NONE", 1) == (integrity, assurance, code)
    assert findings


@pytest.mark.parametrize(
    "attack", [put_one_in, append_and_grow_the_tree, rewrite_without_key, truncate, unsign]
)
def test_no_later_run_signs_what_was_made_to_fit(
    attack: Attack, honest: Path, ledger: Path
) -> None:
    """Whoever appends looks at the signature first: the attack stays as visible as it was."""
    attack(ledger)
    before = last(ledger)
    done = gesta("run", "--task", "T-2", "--profile", "local", "--", "true", cwd=honest)
    assert 125 == done.code
    assert "cannot append to the ledger: no key of its own signed its head" in done.err
    assert before == last(ledger)
    assert "INVALID" == verify(honest)[0]


def test_a_deleted_run_is_found(honest: Path, ledger: Path) -> None:
    """Though every other run is whole."""
    with database(ledger) as db:
        (stream,) = db.execute(
            "SELECT originator_id FROM stored_events WHERE topic = 'run.opened.1' LIMIT 1 OFFSET 1"
        ).fetchone()
        (first,) = db.execute(
            "SELECT min(position) FROM stored_events WHERE originator_id = ?", (stream,)
        ).fetchone()
    delete(ledger, f"originator_id = '{stream}'")
    integrity, assurance, code, findings = verify(honest)
    assert ("INVALID", "NONE", 1) == (integrity, assurance, code)
    assert (
        f"position {first} should stand here" in findings[0]["what"]
        or first == (findings[0]["position"])
    )


def test_one_run_alone_shows_what_was_done_to_it(honest: Path, ledger: Path) -> None:
    """And nothing of what was done to another."""
    edit_one_byte(ledger)
    assert "INVALID" == verify(honest, "T-1/R-0")[0]
    integrity, assurance, code, _ = verify(honest, "T-1/R-2")
    assert ("INTACT", "SELF-CHECKED", 0) == (integrity, assurance, code)


def roll_back(home: Path) -> None:
    """Cut off the last run, and put the matching older head, well signed, in its place."""
    size = _end_of_second_run(home)
    with database(home) as db:
        (note,) = db.execute("SELECT note FROM checkpoints WHERE size = ?", (size,)).fetchone()
        db.execute("DELETE FROM checkpoints WHERE size > ?", (size,))
    rewrite(home, lambda rows: rows[:size])
    with database(home) as db:
        db.execute("UPDATE tree SET note = ?", (note,))


def test_a_rollback_to_an_older_head_shows_only_to_who_kept_a_newer_one(
    honest: Path, ledger: Path, tmp_path: Path
) -> None:
    """Without one that cannot be told: the log was like this once."""
    newest = tmp_path / "newest"
    gesta("checkpoint", "--out", str(newest), cwd=honest)
    roll_back(ledger)
    assert ("INTACT", "SIGNED", 0, []) == verify(honest, "--key", key(honest))
    older = ["--key", key(honest), "--known-checkpoint", str(honest / "kept")]
    assert ("INTACT", "SIGNED", 0, []) == verify(honest, *older)
    integrity, assurance, code, findings = verify(honest, "--known-checkpoint", str(newest))
    assert ("DIVERGED", "NONE", 3) == (integrity, assurance, code)
    assert "you kept a head of" in findings[0]["what"]


def test_a_rewriting_with_the_stolen_key_shows_only_to_who_kept_a_head_from_after_it(
    honest: Path, ledger: Path, tmp_path: Path
) -> None:
    """The key alone, also one that was brought, cannot tell."""
    rewrite(ledger, exit_with_one, stolen_key(ledger))
    assert ("INTACT", "SELF-CHECKED", 0, []) == verify(honest, "--signatures")
    assert ("INTACT", "SIGNED", 0, []) == verify(honest, "--key", key(honest), "T-1/R-0")
    kept = ["--key", key(honest), "--known-checkpoint", str(honest / "kept")]
    integrity, assurance, code, _ = verify(honest, *kept)
    assert ("DIVERGED", "NONE", 3) == (integrity, assurance, code)


def test_a_rewriting_after_the_kept_head_cannot_be_told(honest: Path, ledger: Path) -> None:
    """What the kept head does not cover is as the key's holder wants it to be."""

    def change(rows: Rows) -> Rows:
        changed = [row for row in rows if row[2].startswith("command.executed")][-1]
        changed[3] = changed[3].replace(b'"exit_code":0', b'"exit_code":1')
        return rows

    rewrite(ledger, change, stolen_key(ledger))
    kept = ["--key", key(honest), "--known-checkpoint", str(honest / "kept")]
    assert ("INTACT", "SIGNED", 0, []) == verify(honest, *kept)
    said = gesta("verify", *kept, cwd=honest).out.decode()
    assert "rewrote events after the first" in said


def test_a_log_signed_by_another_key_shows_to_who_kept_the_right_one(
    honest: Path, ledger: Path
) -> None:
    """A key of the attacker's own looks as good as any to who brings none."""
    with database(ledger) as db:
        (origin,) = db.execute("SELECT origin FROM identity").fetchone()
    other = make_signer(origin)
    vkey = format_vkey(other.key).encode()

    def change(rows: Rows) -> Rows:
        rows[0][3] = rows[0][3].replace(key(honest).encode(), vkey)
        return exit_with_one(rows)

    rewrite(ledger, change, other)
    assert ("INTACT", "SELF-CHECKED", 0, []) == verify(honest)
    integrity, assurance, code, findings = verify(honest, "--key", key(honest))
    assert ("INVALID", "NONE", 1) == (integrity, assurance, code)
    assert "no key that you brought" in findings[0]["what"]


def test_a_fork_shows_to_who_has_seen_the_other_branch(
    honest: Path, ledger: Path, tmp_path: Path
) -> None:
    """Two histories of one beginning, each whole and well signed."""
    seen = tmp_path / "seen"
    other = tmp_path / "other"
    shutil.copytree(ledger, other)
    for home, word in ((ledger, "here"), (other, "there")):
        arguments = ("run", "--profile", "local", "--no-worktree", "--", "echo", word)
        assert 0 == gesta(*arguments, cwd=honest / "work", GESTA_HOME=str(home)).code
    gesta("checkpoint", "--out", str(seen), cwd=honest, GESTA_HOME=str(other))
    assert ("INTACT", "SIGNED", 0, []) == verify(honest, "--key", key(honest))
    integrity, assurance, code, _ = verify(honest, "--known-checkpoint", str(seen))
    assert ("DIVERGED", "NONE", 3) == (integrity, assurance, code)


def test_a_private_part_that_is_gone_is_missing(honest: Path, ledger: Path) -> None:
    """Nothing on record says that it was erased; the tree is whole all the same."""
    position = position_of(ledger, "command.requested")
    with database(ledger) as db:
        db.execute("DELETE FROM private WHERE position = ?", (position,))
    integrity, assurance, code, findings = verify(honest, "--key", key(honest))
    assert ("MISSING", "SIGNED", 1) == (integrity, assurance, code)
    assert [("missing", position)] == [(one["kind"], one["position"]) for one in findings]


def test_a_changed_or_lost_blob_shows_to_who_reads_them(honest: Path, ledger: Path) -> None:
    """Without `--blobs` it is said that they were not looked at."""
    with database(ledger) as db:
        db.execute("UPDATE blobs SET body = x'00' WHERE rowid = (SELECT min(rowid) FROM blobs)")
    assert "INTACT" == verify(honest)[0]
    assert "(--blobs)" in gesta("verify", cwd=honest).out.decode()
    assert ("INVALID", 1) == verify(honest, "--blobs")[::2][:2]
    with database(ledger) as db:
        db.execute("DELETE FROM blobs")
    assert ("MISSING", 1) == verify(honest, "--blobs")[::2][:2]


def test_an_edited_view_shows_to_who_compares_them(honest: Path, ledger: Path) -> None:
    """The log itself is untouched, and says what should stand there; a rebuild mends it."""
    assert 0 == gesta("runs", cwd=honest).code
    assert ("INTACT", 0) == verify(honest, "--views")[::2]
    with sqlite3.connect(ledger / "views.db") as views:
        views.execute("UPDATE run_status SET status = 'failed' WHERE run = 'R-1'")
    views.close()
    assert ("INTACT", "SELF-CHECKED", 0, []) == verify(honest)
    assert ("INTACT", 0) == verify(honest, "--views", "R-0")[::2]
    for words in ((), ("R-1",)):
        integrity, _, code, findings = verify(honest, "--views", *words)
        assert ("INVALID", 1) == (integrity, code)
        assert ["view run_status differs"] == [one["what"][:23] for one in findings]
    assert 0 == gesta("rebuild", cwd=honest).code
    assert ("INTACT", 0) == verify(honest, "--views")[::2]


def test_a_kept_head_that_was_changed_is_found(honest: Path, ledger: Path) -> None:
    """Whether in its text or in its signature."""
    for old, new in (("size", "size + 1"), ("note", "replace(note, 'gesta/', 'gesto/')")):
        with database(ledger) as db:
            before = db.execute("SELECT * FROM checkpoints").fetchall()
            db.execute(f"UPDATE checkpoints SET {old} = {new} WHERE size = (SELECT min(size) FROM"
                       " checkpoints)")  # fmt: skip
        assert "INVALID" == verify(honest)[0]
        with database(ledger) as db:
            db.execute("DELETE FROM checkpoints")
            db.executemany("INSERT INTO checkpoints VALUES (?, ?)", before)
    assert "INTACT" == verify(honest)[0]


def test_a_verification_that_goes_on_finds_what_was_done_since(
    honest: Path, ledger: Path, tmp_path: Path
) -> None:
    """What it remembers counts as a head that was kept."""
    state = str(tmp_path / "state")
    assert 0 == gesta("verify", "--save", state, cwd=honest).code
    roll_back(ledger)
    assert ("DIVERGED", 3) == verify(honest, "--since", state)[::2][:2]
