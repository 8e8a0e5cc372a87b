"""A journal made to exhaust memory is imported for what it is worth, in bounded memory."""

from __future__ import annotations

from pathlib import Path

from tests.cli.gesta import gesta_within

LONG = 100_000_000
GOOD = b'{"event_type":"COMMAND_EXEC","payload":{"command":"ls"}}\n'


def test_a_line_of_100_megabytes_is_passed_over_in_bounded_memory(
    home: Path, tmp_path: Path
) -> None:
    """With less room than two copies of it, it is told by number and its neighbours come in."""
    journal = tmp_path / "events.jsonl"
    with journal.open("wb") as file:
        file.write(GOOD.replace(b"ls", b"first") + b'{"event_type":"A","payload":"')
        for _ in range(LONG // 1_000_000):
            file.write(b"\x1b" * 1_000_000)
        file.write(b'"}\n' + GOOD.replace(b"ls", b"last"))
    done = gesta_within("-v 250000", "import", str(journal), "--task", "T-1", cwd=tmp_path)
    assert "gesta: line 2 not imported (too_long): it is longer than 4194304 bytes\n" == done.err
    assert 1 == done.code
    assert "2 of 3 lines imported (2 with payload)" == done.out.decode().splitlines()[0]
