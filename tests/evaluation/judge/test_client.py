import json
import logging
import socket
import time
from email.utils import formatdate
from threading import Barrier, BrokenBarrierError

import pytest

from merv.errors import ConfigError, MervError, RunStopped
from merv.evaluation.judge.asking import verdicts
from merv.evaluation.judge.client import OpenAIJudgeConfig
from merv.evaluation.judge.prompts import Case
from merv.evaluation.judge.replies import Verdict

from .server import NO, YES, JudgeServer, Reply

KEY = "sk-secret-0123456789"
RIGHT, WRONG = Verdict(True, 5), Verdict(False, 1)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def config(url, tmp_path, **options):
    options = {"model": "m-1", "max_attempts": 3, "backoff_s": 0.001, "timeout_s": 10.0, "concurrency": 2, **options}
    return OpenAIJudgeConfig(base_url=url, cache_dir=tmp_path / "cache", **options)


def ask(made, size=1):
    found = [Case(f"number {number}?", "a cat", "a dog") for number in range(size)]
    return verdicts(made.build(), made, found)


def fails_first(times, failure):
    return lambda number, prompt: failure if number < times else YES


def test_the_request_is_a_chat_completion_with_the_key_in_its_header(tmp_path):
    with JudgeServer(lambda number, prompt: YES) as server:
        assert ask(config(server.url, tmp_path)) == [RIGHT]

    [request], [headers] = server.requests, server.headers
    assert headers["path"] == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert {name: request[name] for name in ("model", "temperature", "max_tokens")} == {
        "model": "m-1",
        "temperature": 0.0,
        "max_tokens": 500,
    }
    assert [message["role"] for message in request["messages"]] == ["system", "user"]


@pytest.mark.parametrize("tail", ["", "/", "/chat/completions"])
def test_an_address_may_end_in_several_ways(tmp_path, tail):
    with JudgeServer(lambda number, prompt: YES) as server:
        ask(config(server.url + tail, tmp_path))

    assert server.headers[0]["path"] == "/v1/chat/completions"


def test_options_that_are_none_are_not_sent_and_no_key_means_no_header(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with JudgeServer(lambda number, prompt: YES) as server:
        ask(config(server.url, tmp_path, temperature=None, max_tokens=None))

    assert server.requests[0].keys() == {"model", "messages"}
    assert "Authorization" not in server.headers[0]


def test_verdicts_belong_to_their_cases_when_several_are_asked_at_once(tmp_path):
    with JudgeServer(lambda number, prompt: YES if "number 3?" in prompt else NO) as server:
        found = ask(config(server.url, tmp_path, concurrency=4), 6)

    assert found == [WRONG, WRONG, WRONG, RIGHT, WRONG, WRONG]


def test_as_many_requests_overlap_as_concurrency_says(tmp_path):
    together = Barrier(4)

    def meet(number, prompt):
        try:
            together.wait(5)  # passes only if four requests are here at one time
        except BrokenBarrierError:
            return Reply("alone")
        return YES

    with JudgeServer(meet) as server:
        assert ask(config(server.url, tmp_path, concurrency=4), 8) == [RIGHT] * 8

    assert server.overlap == 4
    assert len(server.requests) == 8


def test_what_is_in_the_cache_is_not_asked_for(tmp_path):
    with JudgeServer(lambda number, prompt: YES) as server:
        made = config(server.url, tmp_path)
        ask(made, 3)

        assert ask(made, 3) == [RIGHT] * 3

        assert len(server.requests) == 3


@pytest.mark.parametrize("change", [{"model": "m-2"}, {"temperature": 1.0}, {"max_tokens": 5}])
def test_another_model_or_option_asks_again(tmp_path, change):
    with JudgeServer(lambda number, prompt: YES) as server:
        ask(config(server.url, tmp_path))
        ask(config(server.url, tmp_path, **change))

    assert len(server.requests) == 2


def test_another_address_asks_again(tmp_path):
    with JudgeServer(lambda number, prompt: YES) as first, JudgeServer(lambda number, prompt: NO) as second:
        assert ask(config(first.url, tmp_path)) == [RIGHT]
        assert ask(config(second.url, tmp_path)) == [WRONG]


def test_other_patience_does_not_ask_again(tmp_path):
    with JudgeServer(lambda number, prompt: YES) as server:
        ask(config(server.url, tmp_path))
        ask(config(server.url, tmp_path, timeout_s=3.0, backoff_s=2.0, concurrency=7, max_attempts=9))

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=429, headers={"Retry-After": "0.01"}, body=b'{"error": {"message": "slow down"}}'),
        Reply(status=429, body=b""),
        Reply(status=500, body=b"<html>oops</html>"),
        Reply(status=503, headers={"Retry-After": "soon"}),
        Reply(silent=True),
        Reply(body=b'{"choices": [', headers={"Content-Length": "500"}),
        Reply(body=b'{"choices": ['),
        Reply(body=b'{"choices": []}'),
        Reply(body=b"[" * 100_000),
        Reply("well, yes"),
        Reply(None),
    ],
    ids=["429", "429-bare", "500", "503", "nothing", "cut", "broken", "no-choice", "deep", "unreadable", "null"],
)
def test_a_failure_that_passes_is_asked_again(tmp_path, failure):
    with JudgeServer(fails_first(2, failure)) as server:
        assert ask(config(server.url, tmp_path)) == [RIGHT]

    assert len(server.requests) == 3


def test_a_slow_answer_is_given_up_and_asked_for_again(tmp_path):
    with JudgeServer(fails_first(1, Reply(delay_s=0.5))) as server:
        assert ask(config(server.url, tmp_path, timeout_s=0.1)) == [RIGHT]

    assert len(server.requests) == 2


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_holds_every_thread_back(tmp_path, monkeypatch, date):
    waits = []
    monkeypatch.setattr("merv.endpoint.endpoint.Gate.close_for", lambda self, seconds: waits.append(seconds))
    header = formatdate(time.time() + 50, usegmt=True) if date else "50"

    with JudgeServer(fails_first(1, Reply(status=429, headers={"Retry-After": header}))) as server:
        ask(config(server.url, tmp_path))

    [wait] = waits
    assert 40 < wait <= 50


def test_each_attempt_waits_twice_as_long(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("merv.endpoint.endpoint.Gate.close_for", lambda self, seconds: waits.append(seconds))

    with JudgeServer(fails_first(4, Reply(status=500))) as server:
        ask(config(server.url, tmp_path, backoff_s=2.0, max_attempts=5))

    assert waits == [2, 4, 8, 16]


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (
            Reply(status=429, body=b'{"error": {"message": "slow\\ndown"}}'),
            r"attempts: slow down \(429\); 0 of 1 verdi",
        ),
        (Reply(status=500, body=b"<html>oops</html>"), r"does not answer after 3 attempts: status 500; "),
        (Reply(silent=True), r"judge `m-1` at 127\.0\.0\.1 does not answer after 3 attempts: Remote end closed"),
        (Reply(status=429, headers={"Retry-After": "3600"}), r"asks to come back in 3600 s \(429\)"),
        (Reply(status=429, body=b'{"error": {"code": "insufficient_quota"}}'), "has no quota left"),
    ],
)
def test_a_failure_that_stays_stops_the_run_in_one_line(tmp_path, failure, says):
    with JudgeServer(lambda number, prompt: failure) as server, pytest.raises(RunStopped, match=says) as caught:
        ask(config(server.url, tmp_path))

    assert "\n" not in str(caught.value)
    assert len(server.requests) <= 3


def test_nobody_at_the_address_stops_the_run_in_one_line(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"

        with pytest.raises(RunStopped, match="does not answer after 3 attempts: Connection refused; 0 of 1"):
            ask(config(url, tmp_path))


def test_always_too_slow_stops_the_run_and_says_the_seconds(tmp_path):
    with (
        JudgeServer(lambda number, prompt: Reply(delay_s=0.3)) as server,
        pytest.raises(RunStopped, match=r"attempts: no answer within 0\.05 s"),
    ):
        ask(config(server.url, tmp_path, timeout_s=0.05))


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (Reply(status=401), r"refuses the key in OPENAI_API_KEY; set a valid one \(401\)"),
        (Reply(status=403), r"forbids this with the key in OPENAI_API_KEY; use one that may \(403\)"),
        (Reply(status=404), r"does not know this model or address; see judge\.model and judge\.base_url, .*\(404\)"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}), r"sends requests elsewhere; .* \(302\)"),
        (Reply(status=307, headers={"Location": "http://127.0.0.1:9/"}), r"sends requests elsewhere; .* \(307\)"),
        (
            Reply(status=400, body=b'{"error": {"message": "max_tokens is no option"}}'),
            r"max_tokens is no option \(400",
        ),
        (
            Reply(status=400, body=b'{"error": "bad model"}'),
            r"refuses the request: bad model \(400\); see the options",
        ),
        (Reply(status=422, body=b"[]"), "refuses the request: status 422; see the options of judge"),
    ],
)
def test_what_the_user_has_to_change_ends_at_the_first_attempt(tmp_path, failure, says):
    with JudgeServer(lambda number, prompt: failure) as server, pytest.raises(ConfigError, match=says) as caught:
        ask(config(server.url, tmp_path, concurrency=1), 20)

    assert "\n" not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", ["content_filter", "invalid_prompt", "context_length_exceeded"])
def test_a_refused_prompt_is_unreadable_and_the_others_are_judged(tmp_path, code):
    refusal = Reply(status=400, body=json.dumps({"error": {"code": code}}).encode())

    with JudgeServer(lambda number, prompt: refusal if "number 0?" in prompt else YES) as server:
        assert ask(config(server.url, tmp_path), 2) == [None, RIGHT]

    assert len(server.requests) == 3 + 1


@pytest.mark.parametrize("reply", [Reply("I think so"), Reply(body=b"{"), Reply(None)])
def test_a_judge_that_never_parses_ends(tmp_path, reply):
    with JudgeServer(lambda number, prompt: reply) as server:
        assert ask(config(server.url, tmp_path), 4) == [None] * 4

    assert len(server.requests) == 4 * 3


def test_the_same_call_goes_on_when_the_judge_is_back(tmp_path):
    def gone_after_three(number, prompt):
        return YES if number < 3 else Reply(status=503)

    with JudgeServer(gone_after_three) as server:
        made = config(server.url, tmp_path, concurrency=1)
        with pytest.raises(RunStopped, match="3 of 5 verdicts and all answers are kept"):
            ask(made, 5)
        server.rule = lambda number, prompt: NO
        server.requests.clear()

        assert ask(made, 5) == [RIGHT] * 3 + [WRONG] * 2
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "failure",
    [
        YES,
        Reply(f"{KEY} says yes"),
        Reply(status=401, body=f'{{"error": {{"message": "Incorrect key {KEY}"}}}}'.encode()),
        Reply(status=400, body=f'{{"error": {{"message": "Incorrect key {KEY}"}}}}'.encode()),
        Reply(status=500, body=f'{{"error": {{"message": "Incorrect key {KEY}"}}}}'.encode()),
        Reply(silent=True),
    ],
)
def test_the_key_is_in_no_log_message_cache_error_or_description(tmp_path, caplog, failure):
    caplog.set_level(logging.DEBUG)
    text = ""
    with JudgeServer(lambda number, prompt: failure) as server:
        made = config(server.url, tmp_path)
        judge = made.build()
        try:
            text += repr(ask(made))
        except MervError as error:
            text += f"{error} {error!r} {error.__cause__!r}"

    text += caplog.text + repr(made) + repr(judge) + repr(judge.describe()) + repr(judge.identity())
    text += "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert server.headers[0]["Authorization"].endswith(KEY)
    assert KEY not in text


def test_a_description_names_host_model_and_options(tmp_path):
    judge = config("https://judge.example:8443/api/v1", tmp_path).build()

    assert judge.describe() == {
        "type": "openai",
        "host": "judge.example",
        "model": "m-1",
        "temperature": 0.0,
        "max_tokens": 500,
    }


@pytest.mark.parametrize("value", ["two words", "sk-\u00e9", "sk-a\nb"])
def test_a_key_no_header_can_carry_is_refused_without_showing_it(tmp_path, monkeypatch, value):
    monkeypatch.setenv("OPENAI_API_KEY", value)

    with pytest.raises(ConfigError, match="the key in OPENAI_API_KEY holds characters that no key has") as caught:
        config("http://127.0.0.1:1/v1", tmp_path).build()

    assert value not in str(caught.value)


def test_openai_without_a_key_is_refused_before_anything_is_asked(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", " ")

    with pytest.raises(ConfigError, match="needs a key and OPENAI_API_KEY is not set"):
        OpenAIJudgeConfig().build()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8000/v1", "is no http"),
        ("http://", "is no http"),
        ("ftp://host/v1", "is no http"),
        ("http://host:port/v1", "is no http"),
        ("http://[::1/v1", "is no http"),
        ("http://h\u00f6st/\u00fc", "is no http"),
        (f"https://user:{KEY}@host/v1", "holds more than an address"),
        (f"https://host/v1?key={KEY}", "holds more than an address"),
    ],
)
def test_an_address_that_is_none_is_refused(url, says):
    with pytest.raises(ConfigError, match=says) as caught:
        OpenAIJudgeConfig(base_url=url)

    assert KEY not in str(caught.value)


def test_a_key_in_the_place_of_its_variables_name_is_refused_and_not_shown():
    with pytest.raises(ConfigError, match="api_key_env is no name of an environment variable") as caught:
        OpenAIJudgeConfig(api_key_env=KEY)

    assert KEY not in str(caught.value)


@pytest.mark.parametrize("option", [{"concurrency": 0}, {"timeout_s": 0.0}, {"backoff_s": -1.0}, {"max_attempts": 0}])
def test_numbers_that_make_no_sense_are_refused(option):
    with pytest.raises(ConfigError, match="must be at least 1"):
        OpenAIJudgeConfig(**option)
