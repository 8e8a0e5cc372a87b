"""A cancellation notes a signal, shows it on a descriptor, and puts the handlers back."""

from __future__ import annotations

import os
import select
import signal

import pytest

from adapters.cancellation import SignalCancellation

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def is_readable(descriptor: int) -> bool:
    """Say whether *descriptor* is readable now."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))


def test_nothing_is_readable_before_it_is_asked_for() -> None:
    """A fresh cancellation asks for nothing."""
    cancellation = SignalCancellation()
    assert not is_readable(cancellation.fileno())
    assert not cancellation.requested
    assert cancellation.signal is None
    cancellation.close()


def test_a_request_stays_readable_and_the_first_one_counts() -> None:
    """Whoever asks later changes nothing."""
    cancellation = SignalCancellation()
    cancellation.request(signal.SIGTERM)
    cancellation.request(signal.SIGHUP)
    for _ in range(2):
        assert is_readable(cancellation.fileno())
    assert cancellation.requested
    assert signal.SIGTERM == cancellation.signal
    cancellation.close()


def test_a_request_without_a_signal_is_one_too() -> None:
    """A caller may cancel without any signal."""
    cancellation = SignalCancellation()
    cancellation.request(None)
    assert cancellation.requested
    assert cancellation.signal is None
    assert is_readable(cancellation.fileno())
    cancellation.close()


@pytest.mark.parametrize("number", HANDLED)
def test_a_signal_is_noted_and_the_handlers_are_put_back(number: signal.Signals) -> None:
    """Inside, a signal asks for the end; afterwards it does what it did before."""
    before = [signal.getsignal(each) for each in HANDLED]
    cancellation = SignalCancellation()
    with cancellation.ending_on_signals() as entered:
        os.kill(os.getpid(), number)
        assert is_readable(entered.fileno())
    assert number == cancellation.signal
    assert before == [signal.getsignal(each) for each in HANDLED]
    cancellation.close()


def test_a_second_interrupt_is_not_waited_for() -> None:
    """Pressing ^C twice leaves at once, with the handlers put back."""
    before = signal.getsignal(signal.SIGINT)
    cancellation = SignalCancellation()
    with cancellation.ending_on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        assert is_readable(cancellation.fileno())
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert before == signal.getsignal(signal.SIGINT)
    cancellation.close()


def test_an_ignored_signal_stays_ignored() -> None:
    """Under nohup(1) a hang-up ends nothing."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    cancellation = SignalCancellation()
    try:
        with cancellation.ending_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not cancellation.requested
        assert signal.SIG_IGN == signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
        cancellation.close()


def test_closing_twice_is_closing_once() -> None:
    """A late request after closing does nothing."""
    cancellation = SignalCancellation()
    cancellation.close()
    cancellation.close()
    cancellation.request(signal.SIGTERM)
    assert not cancellation.requested
