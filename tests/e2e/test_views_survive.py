"""Views of a real ledger, kept by processes that are killed and get in each other's way.

`SURVIVE_EVENTS=100000` makes the ledger, and with it all of this, longer.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from adapters.sqlite_store import open_store
from adapters.sqlite_views import SQLiteViews
from benchmarks.make_ledger import make_ledger
from projections.built_in import BUILT_IN
from projections.checking import Digest, check, digests
from projections.engine import Engine
from tests.cli.gesta import MODULE, environment, gesta
from tests.e2e.view_processes import Keepers, Order, keepers

EVENTS = int(os.environ.get("SURVIVE_EVENTS", "1200"))
PAGE = EVENTS // 12
KILLS = {"rebuild": 20, "catch_up": 8}
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(120 if EVENTS <= 1200 else 3600)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the home of a ledger that nothing is appended to."""
    home = tmp_path_factory.mktemp("survive") / "home"
    make_ledger(home, EVENTS).close()
    return home


@pytest.fixture(scope="module")
def template(ledger: Path) -> Path:
    """Give a directory with views that know half of the ledger's events."""
    directory = ledger.parent / "half"
    directory.mkdir()
    with opening(ledger, directory / "views.db") as (engine, views):
        engine.through(EVENTS // 2)
        assert {EVENTS // 2} == {one.position for one in views.standings()}
    return directory


@pytest.fixture(scope="module")
def whole(ledger: Path) -> list[Digest]:
    """Give the digests of views that nothing happened to."""
    with opening(ledger, ledger.parent / "whole.db") as (engine, views):
        engine.catch_up()
        return digests(views, BUILT_IN)


@contextlib.contextmanager
def opening(home: Path, path: Path) -> Iterator[tuple[Engine, SQLiteViews]]:
    """Lend the views at *path*, and what moves them."""
    with (
        contextlib.closing(open_store(home / "ledger.db", synchronous="OFF")) as store,
        contextlib.closing(SQLiteViews(path, store.ledger_id)) as views,
    ):
        yield Engine(store, views, BUILT_IN, page=PAGE), views


def copied(template: Path, name: str) -> Path:
    """Return where a copy of the half views is."""
    directory = template.parent / name
    shutil.copytree(template, directory)
    return directory / "views.db"


def deaths(keeper: Keepers, template: Path, do: str) -> list[dict[str, int]]:
    """Return where processes are to be killed: at statements, and after pages, by a seed."""
    order = Order(views=str(copied(template, f"counted-{do}")), do=do, page=PAGE)  # type: ignore[arg-type]  # one of the two
    (done,) = keeper.keep(order)
    assert 0 == done.code
    rng = random.Random(4)
    return [
        {"last_statement": rng.randrange(1, done.statements)}
        if number % 2
        else {"last_page": rng.randrange(1, done.pages)}
        for number in range(KILLS[do])
    ]


@pytest.mark.parametrize("do", ["rebuild", "catch_up"])
def test_killed_at_any_point_and_resumed_the_views_are_the_same(
    ledger: Path, template: Path, whole: list[Digest], do: str
) -> None:
    """After SIGKILL readers have a whole view; the next process goes on, to the same digests."""
    with opening(ledger, template / "views.db") as (_, views):
        half = digests(views, BUILT_IN)
    known = {one.sha256 for one in half + whole}
    with keepers(ledger) as keeper:
        for number, death in enumerate(deaths(keeper, template, do)):
            path = copied(template, f"{do}-{number}")
            order = Order(views=str(path), do=do, page=PAGE)  # type: ignore[arg-type]  # one of the two
            (killed,) = keeper.keep(msgspec.structs.replace(order, **death))
            assert -signal.SIGKILL == killed.code, death
            with opening(ledger, path) as (_, views):
                seen = digests(views, BUILT_IN)
                assert len(BUILT_IN) == len(seen)
                # A rebuild is seen as a whole or not at all.
                assert do == "catch_up" or {one.sha256 for one in seen} <= known
            (resumed,) = keeper.keep(order)
            assert 0 == resumed.code
            with opening(ledger, path) as (_, views):
                assert whole == digests(views, BUILT_IN), death
            shutil.rmtree(path.parent)


@pytest.mark.parametrize("do", ["catch_up", "rebuild"])
def test_four_processes_at_the_same_views_share_the_work(
    ledger: Path, template: Path, whole: list[Digest], do: str
) -> None:
    """Nobody fails, nothing counts twice, and one that is killed is in nobody's way."""
    path = copied(template, f"four-{do}")
    order = Order(views=str(path), do=do, page=PAGE)  # type: ignore[arg-type]  # one of the two
    dying = msgspec.structs.replace(order, last_page=3)
    with keepers(ledger) as keeper:
        ended = keeper.keep(order, order, order, order, dying)
    assert [0] * 4 == [one.code for one in ended[:4]]
    with opening(ledger, path) as (_, views):
        assert whole == digests(views, BUILT_IN)


def test_views_that_were_removed_are_rebuilt_to_the_same_bytes(
    ledger: Path, whole: list[Digest]
) -> None:
    """`rm views.db && gesta rebuild` says the digests that were noted before."""
    home = ledger.parent / "removed"
    shutil.copytree(ledger, home)
    noted = gesta("rebuild", "--json", cwd=ROOT, GESTA_HOME=str(home))
    assert (0, msgspec.to_builtins(whole)) == (noted.code, noted.json)
    (home / "views.db").unlink()
    again = gesta("rebuild", "--json", cwd=ROOT, GESTA_HOME=str(home))
    assert (0, noted.out) == (again.code, again.out)


APPENDING = """
import sys
from pathlib import Path
from adapters.home import Home
from adapters.wiring import open_journal
from adapters.world import SystemClock, SystemRandomness
from ledger.recorded import Said
from tests.projections.logs import WHO
from tests.projections.records import ending, executed, opened, requested, sandboxed
clock = SystemClock()
journal = open_journal(Home(Path(sys.argv[1])), clock, SystemRandomness())
for run in range(int(sys.argv[3])):
    name = f"R-{sys.argv[2]}-{run}"
    events = (opened(run=name), *sandboxed(), requested(1), executed(1, run % 3), *ending())
    for version, event in enumerate(events):
        said = [Said(event=event, occurred=clock.now())]
        journal.append(f"s{sys.argv[2]}-{run}", version - 1, said, WHO)
journal.close()
"""
PROCESSES, RUNS, RUN_EVENTS = 4, max(EVENTS // 200, 10), 9


def test_while_four_processes_append_a_follower_sees_every_event_once_and_in_order(
    ledger: Path,
) -> None:
    """What `audit --follow` prints is the log, and the views are those of a fresh rebuild."""
    home = ledger.parent / "followed"
    shutil.copytree(ledger, home)
    total = EVENTS + PROCESSES * RUNS * RUN_EVENTS
    follower = subprocess.Popen(
        [*MODULE, "audit", "--all", "--follow", "--jsonl"],
        cwd=ROOT,
        env=environment(GESTA_HOME=str(home)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert follower.stdout is not None
    seen = [json.loads(follower.stdout.readline())]
    appending = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDING, str(home), str(number), str(RUNS)],
            cwd=ROOT,
            env=environment(),
        )
        for number in range(PROCESSES)
    ]
    seen += [json.loads(follower.stdout.readline()) for _ in range(total - 1)]
    assert [0] * PROCESSES == [process.wait() for process in appending]
    follower.send_signal(signal.SIGINT)
    rest, said = follower.communicate()

    assert list(range(total)) == [row["position"] for row in seen]
    versions: dict[str, list[int]] = {}
    for row in seen:
        versions.setdefault(row["stream"], []).append(row["version"])
    assert all(list(range(len(found))) == found for found in versions.values())
    assert (b"", b"") == (rest, said)
    with opening(home, home / "views.db") as (engine, views):
        assert [total - 1] * len(BUILT_IN) == [one.position for one in engine.catch_up()]
        with contextlib.closing(open_store(home / "ledger.db", synchronous="OFF")) as store:
            checked = check(store, views, BUILT_IN)
    assert [None] * len(BUILT_IN) == [one.difference for one in checked]
