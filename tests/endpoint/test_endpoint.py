from email.utils import formatdate
from threading import Event

import pytest

from merv.endpoint.endpoint import Answer, Endpoint, Gate, check_key_name
from merv.errors import ConfigError

from .server import ChatServer, Reply


class Clock(Event):
    """A stop signal whose waits pass at once and move the time."""

    def __init__(self):
        super().__init__()
        self.now = 100.0
        self.waits = []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        self.now += timeout
        return False


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("merv.endpoint.endpoint.time.monotonic", lambda: clock.now)
    return clock


def test_a_gate_holds_back_until_its_longest_time_is_over(clock):
    gate = Gate()
    gate.close_for(5)
    gate.close_for(2)

    gate.wait(clock)
    gate.wait(clock)

    assert clock.waits == [5]


def test_a_gate_says_which_call_closed_it(clock):
    gate = Gate()

    closed = [gate.close_for(5), gate.close_for(9)]
    clock.now += 9

    assert [*closed, gate.close_for(5)] == [True, False, True]


def test_a_gate_that_was_never_closed_and_a_stop_wait_for_nothing(clock):
    Gate().wait(clock)
    clock.set()
    gate = Gate()
    gate.close_for(5)

    gate.wait(clock)

    assert clock.waits == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0.5", 0.5), ("-3", 0), ("soon", None), ("", None), (formatdate(0, usegmt=True), 0)],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    with ChatServer(lambda number, prompt: Reply(status=429, headers={"Retry-After": header})) as server:
        answer = Endpoint(server.url, None, 5).post({"messages": [{"content": ""}]})

    assert answer.retry_after_s == seconds


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    with ChatServer(lambda number, prompt: "ok") as server:
        answer = Endpoint(server.url, None, 5).post({"messages": [{"content": ""}]})

    assert answer.status == 200


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"error": {"message": "no", "code": 3}}', {"message": "no", "code": 3}),
        ('{"error": "no"}', {"message": "no"}),
        ('{"error": null}', {}),
        ('{"detail": "no"}', {}),
        ("[1]", {}),
        ("<html>", {}),
        ('{"error": ' + "1" * 5000 + "}", {}),
        ("", {}),
    ],
)
def test_the_error_of_an_answer_is_an_object_whatever_came(text, error):
    assert Answer(500, text).error == error


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "_k2"])
def test_the_name_of_a_variable_is_taken(name):
    check_key_name(name)


@pytest.mark.parametrize("name", ["sk-proj-0123", "", "A KEY", "2key"])
def test_a_key_in_the_place_of_its_variables_name_is_refused_and_not_shown(name):
    with pytest.raises(ConfigError, match="api_key_env is no name of an environment variable") as caught:
        check_key_name(name)

    assert "sk-proj" not in str(caught.value)
