import os
import signal

import pytest

from merv.training.signals import StopRequest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_noted_and_named(number, caplog):
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested

    assert f"{number.name}: saving after this step" in caplog.text


def test_the_handlers_before_come_back():
    before = [signal.getsignal(number) for number in StopRequest.SIGNALS]

    with StopRequest():
        assert all(signal.getsignal(number) not in before for number in StopRequest.SIGNALS)

    assert [signal.getsignal(number) for number in StopRequest.SIGNALS] == before
