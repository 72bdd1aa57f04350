"""`merv data build-gqa` against a real server on this machine: what is written, dropped, kept and said."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from endpoint.server import Reply

from merv.data.datasets import DatasetConfig
from merv.runs.cli import main
from merv.runs.data_build_gqa import named

from .gqa_server import KEY, Llm, build, error_of, is_blind, lines, number_of, report_of, words_of, write_set, written


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def only(first):
    """A rule that gives `first` at the first attempt about moment 1 and is good otherwise."""
    return lambda n, prompt: (
        first(prompt) if not is_blind(prompt) and number_of(prompt) == 1 and "could not be" not in prompt else None
    )


def test_what_is_written_is_what_the_dataset_reads(tmp_path):
    root = write_set(tmp_path, 9)
    with Llm() as server:
        assert build(root, server, "--blind.type", "none", out="QVHighlights-QA") == 0

    source = DatasetConfig.new("qvhighlights-qa", dataset_root_dir=root).load("finetune")
    assert (len(source), list(source.bad_rows)) == (9, [])
    for number, sample in enumerate(source):
        assert sample.meta["question"].endswith(f"thing {number} look like?")
        assert sample.meta["options"][sample.meta["answer"]] == f"round {number}"
        assert sample.meta["windows"] == [(2.0, 8.0)]
        assert sample.media[0].path.name == f"v{number}.mp4"
    assert {len(sample.meta["options"]) for sample in source} == {4, 5, 6}


def test_questions_known_without_the_video_go_and_blind_accuracy_falls(tmp_path):
    root = write_set(tmp_path, 90)
    with Llm() as server:
        assert build(root, server) == 0
        assert len(server.writing) == 90

    dropped, kept = lines(tmp_path / "out/dropped.jsonl"), lines(tmp_path / "out/highlight_train_release.jsonl")
    known = {row["vid"] for row in dropped if "known thing" in row["question"]}
    blind = report_of(tmp_path)["blind"]
    before, after, check = (blind[when][-1] for when in ("before", "after", "check"))
    assert known <= {f"v{n}" for n in range(0, 90, 3)}
    assert len(known) >= 28  # the last of a group may stay, where the others were guessed worse than by chance
    assert len(dropped) == len(known)
    assert before["num_questions"] == 90
    assert before["accuracy"] > 0.4
    assert after["num_questions"] == len(kept) == 90 - len(dropped)
    assert after["accuracy"] <= 0.25
    assert check["interval"][0] < 0.22 < check["interval"][1]
    assert [row["num_options"] for row in blind["before"]] == [4, 5, 6, "all"]
    assert (blind["goal_not_met"], blind["num_dropped"]) == ([], len(dropped))


def test_never_fewer_stay_than_are_to_stay_and_the_report_says_so(tmp_path, capsys, caplog):
    caplog.set_level("INFO")
    root = write_set(tmp_path, 9)
    with Llm() as server:
        assert build(root, server, "--min_kept", "8", "--num_options", "4") == 0

    assert len(lines(tmp_path / "out/highlight_train_release.jsonl")) == 8
    assert report_of(tmp_path)["blind"]["goal_not_met"] == [4]
    assert "blind accuracy stays above the goal with 4 options" in capsys.readouterr().err + caplog.text


def test_a_blind_answer_that_names_no_option_is_wrong_and_shown(tmp_path):
    root = write_set(tmp_path, 4)
    with Llm(lambda n, prompt: "I see no video." if is_blind(prompt) else None) as server:
        assert build(root, server) == 0

    blind = report_of(tmp_path)["blind"]
    assert blind["before"][-1]["accuracy"] == 0
    assert blind["before"][-1]["num_unparsed"] == 16
    assert blind["unparsed"] == [{"reply": "I see no video.", "count": 16}]


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (lambda prompt: '{"question": "Who', "not one JSON object"),
        (lambda prompt: written(prompt, answer=["a", "b"]), "two right answers"),
        (lambda prompt: written(prompt, answer="Square 1 0!"), "two right answers"),
        (lambda prompt: written(prompt, distractors=["a", "A", "b", "c"]), "two options are the same"),
        (lambda prompt: written(prompt, question="What is seen at 0:03?"), "the question names times"),
        (lambda prompt: Reply(None), "no reply"),
        (lambda prompt: Reply(body=b"{}"), "no reply"),
    ],
)
def test_a_reply_that_cannot_be_used_is_counted_kept_and_asked_again(tmp_path, first, reason):
    root = write_set(tmp_path, 3)
    with Llm(only(first)) as server:
        assert build(root, server, "--blind.type", "none") == 0
        assert len(server.writing) == 4

    report = report_of(tmp_path)
    [refused] = lines(tmp_path / "out/rejected.jsonl")
    assert report["writing"]["refused"] == {reason: 1}
    assert (refused["id"], refused["attempt"], refused["reason"]) == ("qvhighlights-1", 1, reason)
    assert report["rows"]["num_rows"] == 3
    assert server.requests[-1]["seed"] == server.requests[0]["seed"] + 1


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=429, headers={"Retry-After": "0.01"}, body=b"{}"),
        Reply(status=500, body=b"<html>"),
        Reply(silent=True),
        Reply(body=b'{"choices": [', headers={"Content-Length": "500"}),
    ],
    ids=["429", "500", "nothing", "cut"],
)
def test_a_failure_that_passes_leaves_no_trace_in_the_questions(tmp_path, failure):
    root = write_set(tmp_path, 4)
    with Llm() as server:
        assert build(root, server, out="well") == 0
    with Llm(lambda n, prompt: failure if n in (0, 3, 11) else None) as server:
        assert build(root, server, "--cache_dir", str(root / "other"), out="ill") == 0

    for name in ("highlight_train_release.jsonl", "rejected.jsonl", "dropped.jsonl"):
        assert (root / "ill" / name).read_text() == (root / "well" / name).read_text()


def test_fenced_json_is_read(tmp_path):
    root = write_set(tmp_path, 2)
    with Llm(lambda n, prompt: f"```json\n{written(prompt)}\n```") as server:
        assert build(root, server, "--blind.type", "none") == 0

    assert report_of(tmp_path)["writing"]["num_refused"] == 0


def test_a_slow_answer_is_given_up_and_asked_for_again(tmp_path):
    root = write_set(tmp_path, 2)
    with Llm(lambda n, prompt: Reply(delay_s=0.5) if n == 0 else None) as server:
        assert build(root, server, "--blind.type", "none", "--chat.timeout_s", "0.1") == 0

    assert report_of(tmp_path)["rows"]["num_rows"] == 2


def test_tokens_and_money_are_summed_also_for_replies_on_disk(tmp_path):
    root = write_set(tmp_path, 3)
    with Llm() as server:
        build(root, server)
        assert build(root, server, "--price_per_million", "[10,100]") == 0

    cost = report_of(tmp_path)["cost"]
    assert cost["writer"] == {
        "num_replies": 3,
        "num_asked_now": 0,
        "num_without_count": 0,
        "prompt_tokens": 300,
        "completion_tokens": 60,
        "cost": pytest.approx(0.009),
    }
    assert cost["blind"]["num_replies"] == 3 * 4 + 2
    assert cost["blind"]["cost"] == pytest.approx(cost["blind"]["num_replies"] * 0.003)


def test_a_second_time_asks_nothing_and_writes_the_same(tmp_path):
    root = write_set(tmp_path, 6)
    with Llm() as server:
        assert build(root, server) == 0
        first = {path.name: path.read_bytes() for path in (root / "out").iterdir() if path.suffix == ".jsonl"}
        asked = len(server.requests)
        assert build(root, server, "--chat.concurrency", "1") == 0
        assert len(server.requests) == asked

    assert {name: (root / "out" / name).read_bytes() for name in first} == first
    assert len(first) == 3


@pytest.mark.slow
def test_after_a_kill_nothing_is_asked_twice(tmp_path):
    root = write_set(tmp_path, 120)
    with Llm(lambda n, prompt: time.sleep(0.05)) as server:
        words = words_of(root, server.url, "--blind.type", "none", "--chat.concurrency", "2")
        process = subprocess.Popen([sys.executable, "-m", "merv", *words], env={**os.environ, "OMP_NUM_THREADS": "1"})
        while len(server.requests) < 12 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed_at = len(server.prompts)
        server.rule = Llm().rule
        assert not (root / "out/highlight_train_release.jsonl").exists()
        assert main(words) == 0

    again = set(server.prompts[:killed_at]) & set(server.prompts[killed_at:])
    assert 12 <= killed_at < 120
    assert len(again) <= 2  # those whose answers were on their way
    assert len(lines(root / "out/highlight_train_release.jsonl")) == 120


def test_all_questions_known_without_the_video_is_said(tmp_path, capsys):
    root = write_set(tmp_path, 1)
    with Llm() as server:
        assert build(root, server) == 2

    assert "none of 1 questions is left, as all are answered without the video" in error_of(capsys)
    assert report_of(root)["rows"]["num_rows"] == 0


def test_a_model_of_merv_may_answer_without_the_video(tmp_path, monkeypatch):
    asked = []

    class Model:
        def generate(self, prompt, batch_size, max_new_tokens):
            asked.append((len(prompt), batch_size, max_new_tokens))
            return ["(A)"] * len(prompt)

    monkeypatch.setattr("merv.runs.load.load", lambda name: Model())
    with Llm() as server:
        words = ["--blind.type", "merv", "--blind.model", "runs/x", "--blind.batch_size", "5"]
        assert build(write_set(tmp_path, 4), server, *words) == 0
        assert server.blind == []

    assert sum(num for num, _, _ in asked) == 4 * 5
    assert {(size, most) for _, size, most in asked} == {(5, 16)}
    lineage = json.loads((tmp_path / "out/lineage.json").read_text())
    assert lineage["blind"] == {"model": "runs/x", "weights": None, "type": "merv", "max_new_tokens": 16}


def test_another_blind_model_has_an_address_and_prices_of_its_own(tmp_path):
    with Llm() as writer, Llm() as blind:
        words = ["--blind.llm", blind.url, "--blind.model", "m-2", "--price_per_million", "[1,1]"]
        assert build(write_set(tmp_path, 4), writer, *words) == 0

    assert writer.blind == []
    assert {request["model"] for request in blind.requests} == {"m-2"}
    assert "cost" not in report_of(tmp_path)["cost"]["blind"]


def test_lineage_tells_data_writer_and_options(tmp_path):
    with Llm() as server:
        build(write_set(tmp_path, 4), server)
        url = server.url

    lineage = json.loads((tmp_path / "out/lineage.json").read_text())
    [(path, digest)] = lineage["data"].items()
    assert path.endswith("highlight_train_release.jsonl")
    assert len(digest) == 64
    assert lineage["writer"] == {"base_url": url, "model": "gpt-4o-mini"}
    assert lineage["options"]["seed"] == 7


def test_the_vid_of_another_set_fits_its_reader(tmp_path):
    root = write_set(tmp_path, 2, "tacos")
    with Llm() as server:
        assert build(root, server, "--source", "tacos", "--blind.type", "none", out="TACoS-QA") == 0

    source = DatasetConfig.new("tacos-qa", dataset_root_dir=root).load("finetune")
    assert source[0].media[0].path.name == "v0-cam-002.mp4"


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["build-gqa", "--source", "tacos"], ["--source.type", "tacos"]),
        (["--source=tacos", "build-gqa"], ["--source.type=tacos"]),
        (["--source.type", "tacos", "--source.dataset_root_dir", "x", "build-gqa"], None),
    ],
)
def test_source_names_the_set_wherever_the_word_stands(words, options):
    assert named(words) == (options or words[:-1])
