"""Group commit: who writes what, and what happens to the others when a writer fails."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from adapters.sqlite.write_queue import WriteQueue
from ledger.errors import StoreUnavailable

PATIENCE_S = 30.0


class Desk:
    """A queue whose turn the test gives, and a record of the groups that were written."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.groups: list[list[int]] = []
        self.failure: BaseException | None = None
        self.queue: WriteQueue[int, str] = WriteQueue(self._turn(), self._write)
        self._pool = ThreadPoolExecutor(20)

    def submit(self, *jobs: int) -> list[Future[str]]:
        """Submit each job from a thread of its own; return when all of them wait."""
        before = len(self.queue)
        futures = [self._pool.submit(self.queue.submit, job) for job in jobs]
        wait_until(lambda: len(self.queue) == before + len(jobs))
        return futures

    def close(self) -> None:
        """End the threads."""
        self.go.set()
        self._pool.shutdown()

    def _turn(self) -> _Turn:
        return _Turn(self.go)

    def _write(self, jobs: Sequence[int]) -> list[str | Exception]:
        self.groups.append(sorted(jobs))
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return [ValueError(f"{job} is odd") if job % 2 else f"wrote {job}" for job in jobs]


class _Turn:
    """A context that is entered when the event is set."""

    def __init__(self, go: threading.Event) -> None:
        self._go = go

    def __enter__(self) -> None:
        assert self._go.wait(PATIENCE_S)

    def __exit__(self, *_: object) -> None:
        return None


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when *condition* holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@contextmanager
def interruption() -> Iterator[None]:
    """Have SIGUSR1 raise `KeyboardInterrupt` in the main thread."""
    previous = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, previous)


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A queue of numbers, of which the odd ones cannot be written."""
    found = Desk()
    yield found
    found.close()


def test_what_waits_for_the_turn_is_written_as_one_group(desk: Desk) -> None:
    """Jobs that arrive before the turn comes share it."""
    futures = desk.submit(0, 2, 4, 6)
    desk.go.set()
    assert ["wrote 0", "wrote 2", "wrote 4", "wrote 6"] == [one.result() for one in futures]
    assert [[0, 2, 4, 6]] == desk.groups


def test_a_job_that_cannot_be_written_fails_its_own_caller(desk: Desk) -> None:
    """An exception among the outcomes is raised where its job came from."""
    fine, odd = desk.submit(2, 3)
    desk.go.set()
    assert "wrote 2" == fine.result()
    with pytest.raises(ValueError, match="3 is odd"):
        odd.result()


def test_a_group_that_failed_fails_all_its_callers_and_none_after(desk: Desk) -> None:
    """When writing itself breaks off nobody waits for ever, and the queue serves the next one."""
    desk.failure = RuntimeError("broken")
    futures = desk.submit(0, 2, 4)
    desk.go.set()
    errors = sorted(type(one.exception(PATIENCE_S)).__name__ for one in futures)
    assert ["RuntimeError", "StoreUnavailable", "StoreUnavailable"] == errors
    assert "wrote 6" == desk.queue.submit(6)


def test_an_interrupted_caller_that_waits_takes_its_job_back(desk: Desk) -> None:
    """What was not taken when its caller was interrupted is not written, and the rest is."""
    futures = desk.submit(0, 2)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wait_until(lambda: len(desk.queue) == 3)
        signal.pthread_kill(main, signal.SIGUSR1)

    helper = threading.Thread(target=interrupt)
    with interruption():
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            desk.queue.submit(100)
    helper.join()
    desk.go.set()
    assert ["wrote 0", "wrote 2"] == [one.result(PATIENCE_S) for one in futures]
    assert [[0, 2]] == desk.groups


def test_an_interrupted_leader_hands_on_the_lead(desk: Desk) -> None:
    """When who waits for the turn is interrupted, the next one writes what waits."""
    futures: list[Future[str]] = []
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wait_until(lambda: len(desk.queue) == 1)
        futures.extend(desk.submit(2, 4))
        signal.pthread_kill(main, signal.SIGUSR1)

    helper = threading.Thread(target=interrupt)
    with interruption():
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            desk.queue.submit(100)
    helper.join()
    desk.go.set()
    assert ["wrote 2", "wrote 4"] == [one.result(PATIENCE_S) for one in futures]
    assert [[2, 4]] == desk.groups


def test_a_turn_that_cannot_be_had_fails_each_caller_by_itself() -> None:
    """Who cannot get the turn says why; the next one tries for itself."""

    class Refusing(_Turn):
        def __enter__(self) -> None:
            raise OSError("no turn")

    queue: WriteQueue[int, str] = WriteQueue(Refusing(threading.Event()), lambda _jobs: [])
    for job in range(2):
        with pytest.raises(OSError, match="no turn"):
            queue.submit(job)
    assert 0 == len(queue)


def test_nothing_is_written_while_the_queue_is_paused(desk: Desk) -> None:
    """A pause lets no group begin; what came meanwhile is written after it."""
    desk.go.set()
    desk.queue.pause()
    futures = desk.submit(0, 2)
    assert [] == desk.groups
    desk.queue.resume()
    assert ["wrote 0", "wrote 2"] == [one.result(PATIENCE_S) for one in futures]


def test_errors_of_one_group_are_not_shared(desk: Desk) -> None:
    """Each caller raises an exception object of its own."""
    desk.failure = RuntimeError("broken")
    futures = desk.submit(*range(0, 10, 2))
    desk.go.set()
    errors = [one.exception(PATIENCE_S) for one in futures]
    assert 4 == sum(isinstance(error, StoreUnavailable) for error in errors)
    assert len(errors) == len({id(error) for error in errors})
