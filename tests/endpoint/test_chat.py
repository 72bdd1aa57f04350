from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from merv.endpoint.chat import Access, ChatClient, ChatReply, Naming, Prompt
from merv.endpoint.usage import Usage
from merv.errors import ConfigError, RunStopped

from .server import ChatServer, Reply

NAMING = Naming("writer", base_url="--llm", model="--model", options="the options of chat")
PROMPT = Prompt("be kind", "hello")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-1")


def client(url, **options):
    return ChatClient(Access(url, "m-1", "A_KEY", **{"backoff_s": 0.001, "max_attempts": 2, **options}), NAMING)


def ask(rule, **options):
    with ChatServer(rule) as server:
        return client(server.url).reply(PROMPT, Event(), **options), server


def test_a_request_holds_the_options_that_are_given():
    _, server = ask(lambda *_: "hi", seed=3, temperature=None, response_format={"type": "json_object"})

    assert server.requests == [
        {
            "model": "m-1",
            "seed": 3,
            "response_format": {"type": "json_object"},
            "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}],
        }
    ]


def test_without_a_system_message_none_is_sent():
    assert Prompt("", "hello").messages == [{"role": "user", "content": "hello"}]
    assert Prompt("", "hello").text == "hello"


def test_a_reply_tells_the_tokens_the_endpoint_counted():
    reply, _ = ask(lambda *_: Reply("hi", usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}))

    assert reply == ChatReply("hi", Usage(5, 2))


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": 5}, {"prompt_tokens": "5", "completion_tokens": -2}])
def test_tokens_nobody_counted_are_none(usage):
    reply, _ = ask(lambda *_: Reply("hi", usage=usage))

    assert reply == ChatReply("hi", None)


def test_what_is_no_chat_completion_is_no_reply():
    reply, _ = ask(lambda *_: Reply(body=b'{"choices": []}'))

    assert reply is None


def test_nobody_waits_after_a_stop():
    stop = Event()
    stop.set()
    with ChatServer(lambda *_: "hi") as server:
        assert client(server.url).reply(PROMPT, stop) is None

    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, r"writer `m-1` at 127\.0\.0\.1 does not know this model or address; see --model and --llm, which"),
        (401, "refuses the key in A_KEY"),
        (302, "set --llm to there"),
        (400, "see the options of chat"),
    ],
)
def test_a_refusal_names_the_options_of_who_asks(status, says):
    with pytest.raises(ConfigError, match=says):
        ask(lambda *_: Reply(status=status, body=b"{}"))


def test_an_endpoint_that_stays_broken_stops_the_run():
    with pytest.raises(RunStopped, match=r"writer `m-1` at 127\.0\.0\.1 does not answer after 2 attempts: status 500"):
        ask(lambda *_: Reply(status=500, body=b""))


def test_each_pause_is_told_in_a_line_and_the_last_failure_is_no_pause(caplog):
    busy = Reply(status=429, body=b'{"error": {"message": "slow down"}}')

    with ChatServer(lambda *_: busy) as server, pytest.raises(RunStopped):
        client(server.url, max_attempts=3, backoff_s=0.002).reply(PROMPT, Event())

    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    line = "writer `m-1` at 127.0.0.1: slow down (429); next attempt in {} s"
    assert told == [("WARNING", line.format("0.002")), ("WARNING", line.format("0.004"))]


def test_several_threads_tell_of_one_pause_once(caplog):
    together = Barrier(4)

    def rule(number, prompt):
        if number >= 4:
            return "hi"
        together.wait(10)  # nobody has heard of the pause before all have asked
        return Reply(status=503, headers={"Retry-After": "0.5"})

    with ChatServer(rule) as server, ThreadPoolExecutor(4) as pool:
        asking = client(server.url, timeout_s=10)
        replies = list(pool.map(lambda _: asking.reply(PROMPT, Event()), range(4)))

    assert [reply.text for reply in replies] == ["hi"] * 4
    assert [record.getMessage() for record in caplog.records] == [
        "writer `m-1` at 127.0.0.1: status 503; next attempt in 0.5 s"
    ]


def test_who_is_told_to_wait_while_others_are_answered_does_not_give_up():
    """A crowd at an endpoint that takes a few requests a moment: one of them may be turned away many times."""
    told_off, asking = Counter(), None

    def rule(number, prompt):
        if prompt != "unlucky" or told_off[prompt] == 6:
            return "hi"
        told_off[prompt] += 1
        asking.reply(Prompt("", f"other {number}"), Event())  # somebody else gets through meanwhile
        return Reply(status=429, body=b"{}")

    with ChatServer(rule) as server:
        asking = client(server.url, max_attempts=2, backoff_s=0.001)
        assert asking.reply(Prompt("", "unlucky"), Event()).text == "hi"
    assert told_off["unlucky"] == 6


def test_openai_without_a_key_names_the_option_for_another_address(monkeypatch):
    monkeypatch.delenv("A_KEY")

    with pytest.raises(ConfigError, match=r"the writer at api.openai.com needs a key and A_KEY .* with --llm"):
        client("https://api.openai.com/v1")
