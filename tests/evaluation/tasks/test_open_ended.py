import json
import logging
from pathlib import Path

import pytest
from models.rows import tiny_model

from merv.conf.parse import parse
from merv.errors import ConfigError, RunStopped
from merv.evaluation.judge import CommandJudgeConfig, MervJudgeConfig, OpenAIJudgeConfig, give_loader
from merv.evaluation.runner import evaluate
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.free_text import plain
from merv.evaluation.tasks.open_ended import EXACT_INSTRUCTION

from ..fakes import RuleLM
from ..judge.server import NO, YES, JudgeServer, Reply
from .pairs import ANSWERS, QUESTIONS, draw_clip, write_pair

REAL = Path(__file__).parents[4] / "shared" / "realdata"
KEY = "sk-secret-0123456789"
NAMES = {"msvd-qa": "MSVD", "msrvtt-qa": "MSRVTT", "tgif-qa": "TGIF", "activitynet-qa": "ActivityNet"}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def judge_at(url, tmp_path, **options):
    options = {"model": "m-1", "max_attempts": 2, "backoff_s": 0.001, **options}
    return OpenAIJudgeConfig(base_url=url, cache_dir=tmp_path / "cache", **options)


def small_task(tmp_path, name="merv-openended", **options):
    """Questions about two clips, written below `tmp_path`."""
    path = write_pair(tmp_path / "data")
    for clip in ("kite.gif", "boat.v2.gif"):
        draw_clip(tmp_path / "data/videos" / clip)
    return TaskConfig.new(name, annotations=path, media_root=tmp_path / "data/videos", **options)


def run(tmp_path, task, model, **options):
    options = {"batch_size": 2, "max_new_tokens": 8, "num_workers": 0, **options}
    return evaluate(model, task, out_dir=tmp_path / "out", **options)


def answer(prompt):
    return {"what flies": " a kite ", "what colour": "It is blue."}.get(prompt[:10].strip(), prompt[:11])


@pytest.mark.parametrize(("name", "folder"), NAMES.items())
def test_a_benchmark_is_read_from_its_own_folder_by_id(tmp_path, name, folder):
    write_pair(tmp_path / folder)

    task = TaskConfig.new(name, data_root=tmp_path).build()

    assert task.name == name
    assert [sample.meta["answer"] for sample in task.samples()] == ["kite", "red", "on a lake"]
    assert [sample.id for sample in task.samples()] == ["0", "1", "2"]
    assert task.samples()[0].turns[-1].text == "what flies above the roof?"
    assert task.samples()[0].media[0].path.parent == tmp_path / folder / "videos"


def test_videos_of_activitynet_are_found_with_and_without_their_prefix(tmp_path):
    write_pair(tmp_path / "ActivityNet")
    for name in ("v_kite.mp4", "boat.v2.mkv"):
        draw_clip(tmp_path / "clip.gif")
        (tmp_path / "ActivityNet/videos").mkdir(exist_ok=True)
        (tmp_path / "clip.gif").rename(tmp_path / "ActivityNet/videos" / name)

    samples = TaskConfig.new("activitynet-qa", data_root=tmp_path).build().samples()

    assert [sample.media[0].path.name for sample in samples] == ["v_kite.mp4", "v_kite.mp4", "boat.v2.mkv"]
    assert [sample.meta["kind"] for sample in samples] == ["Motion", "Color", "Location"]


def test_any_pair_has_its_videos_beside_it_and_its_own_name(tmp_path):
    path = write_pair(tmp_path / "mine")

    task = TaskConfig.new("merv-openended", annotations=path, task_id="kites").build()

    assert task.name == "kites"
    assert task.samples()[0].media[0].path == tmp_path / "mine/videos/kite.mp4"


@pytest.mark.parametrize(
    ("questions", "answers", "says"),
    [
        (QUESTIONS, ANSWERS[:2], r"row 0: question_id 0 has no answer in .*test_a\.json; name its file"),
        (QUESTIONS, [*ANSWERS, {"question_id": "0", "answer": "bird"}], "question_id 0 has another answer further up"),
        (
            [{"question_id": "0", "question": "what?"}],
            ANSWERS,
            "row 0: field video_name: found nothing; expected text",
        ),
        ([{"question_id": "0", "video_name": "kite"}], ANSWERS, "row 0: field question: found nothing"),
        (QUESTIONS, [{"question_id": "0"}], r"test_a\.json: row 0: field answer: found nothing"),
        ({}, ANSWERS, r"test_q\.json holds no list of rows"),
        (QUESTIONS, [], r"test_a\.json holds no list of rows"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, questions, answers, says):
    path = write_pair(tmp_path, questions, answers)

    with pytest.raises(ConfigError, match=says) as caught:
        TaskConfig.new("merv-openended", annotations=path).build()

    assert "\n" not in str(caught.value)


def test_missing_files_say_where_to_get_them(tmp_path):
    with pytest.raises(ConfigError, match=r"MSVD/test_q\.json is missing; download Video-LLaVA's GPT_Zero_Shot_QA"):
        TaskConfig.new("msvd-qa", data_root=tmp_path).build()


@pytest.mark.parametrize("kind", [9, -1, "3", None])
def test_a_type_activitynet_has_not_is_refused(tmp_path, kind):
    write_pair(tmp_path / "ActivityNet", answers=[{**row, "type": kind} for row in ANSWERS])

    with pytest.raises(ConfigError, match="ActivityNet-QA has the types 0 to 8"):
        TaskConfig.new("activitynet-qa", data_root=tmp_path).build()


def test_numbers_as_ids_and_answers_are_read_as_texts(tmp_path):
    path = write_pair(
        tmp_path,
        [{"video_name": 7, "question_id": 1, "question": "how many?"}],
        [{"question_id": "1", "answer": 3}],
    )

    [sample] = TaskConfig.new("merv-openended", annotations=path).build().samples()

    assert (sample.id, sample.meta["answer"], sample.media[0].path.name) == ("1", "3", "7.mp4")


def test_answers_are_judged_when_all_are_there(tmp_path):
    def judge(number, prompt):
        assert len((tmp_path / "out/predictions.jsonl").read_text().splitlines()) == 3
        return '{"pred": "yes", "score": 4}' if '"a kite"' in prompt else NO

    with JudgeServer(judge) as server:
        task = small_task(tmp_path, judge=judge_at(server.url, tmp_path)).build()
        results = run(tmp_path, task, RuleLM(answer))

    expected = {"accuracy": 1 / 3, "judge_score": (4 + 1 + 1) / 3, "num_items": 3, "unparsed": 0, "failed": 0}
    assert results.items() >= {name: pytest.approx(value) for name, value in expected.items()}.items()
    assert results["judge_unparsed"] == 0
    assert results["accuracy/0"] == 1  # the type of the question as its kind
    assert not [name for name in results if name.startswith("judge_unparsed/")]
    assert 'Candidate: "a kite"' in next(prompt for prompt in server.prompts if "flies" in prompt)


def test_merv_tiny_is_judged_end_to_end(tmp_path):
    with JudgeServer(lambda number, prompt: YES if "boat" in prompt else NO) as server:
        task = small_task(tmp_path, judge=judge_at(server.url, tmp_path)).build()
        model = tiny_model()

        results = run(tmp_path, task, model)

        rows = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
        said = [row for row in rows if row["text"].strip()]
        assert len(server.requests) == len(said) > 0
        assert results["accuracy"] == pytest.approx(bool(rows[2]["text"].strip()) / 3)
        assert results["failed"] == 0
        assert run(tmp_path, task, model) == results
        assert len(server.requests) == len(said)


def test_what_failed_or_says_nothing_is_wrong_without_the_judge(tmp_path):
    with JudgeServer(lambda number, prompt: YES) as server:
        task = small_task(tmp_path, judge=judge_at(server.url, tmp_path)).build()
        (tmp_path / "data/videos/boat.v2.gif").unlink()

        results = run(tmp_path, task, RuleLM(lambda prompt: " \n" if "colour" in prompt else "kite"))

    assert (results["accuracy"], results["unparsed"], results["failed"]) == (pytest.approx(1 / 3), 1, 1)
    assert results["judge_unparsed"] == 0
    assert len(server.requests) == 1


def test_a_judge_that_never_parses_ends_with_a_count(tmp_path):
    with JudgeServer(lambda number, prompt: "I believe so") as server:
        task = small_task(tmp_path, judge=judge_at(server.url, tmp_path)).build()

        results = run(tmp_path, task, RuleLM(lambda prompt: prompt))

    assert (results["accuracy"], results["judge_score"], results["judge_unparsed"]) == (0, 0, 3)
    assert results["unparsed"] == 0  # the model's answers were readable
    assert len(server.requests) == 3 * 2


def test_an_unreachable_judge_keeps_the_answers_and_the_same_command_goes_on(tmp_path):
    model = RuleLM(answer)
    with JudgeServer(lambda number, prompt: YES if number == 0 else Reply(silent=True)) as server:
        task = small_task(tmp_path, judge=judge_at(server.url, tmp_path, concurrency=1)).build()
        with pytest.raises(RunStopped, match="1 of 3 verdicts and all answers are kept, and the same command goes on"):
            run(tmp_path, task, model)
        assert not (tmp_path / "out/results.json").exists()
        server.rule = lambda number, prompt: NO
        server.requests.clear()

        results = run(tmp_path, task, model)

    assert results["accuracy"] == pytest.approx(1 / 3)
    assert len(server.requests) == 2
    assert len(model.asked) == 3


def test_the_card_names_the_judge_and_the_key_is_nowhere(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with JudgeServer(lambda number, prompt: YES) as server:
        task = small_task(tmp_path, judge=judge_at(server.url, tmp_path)).build()
        run(tmp_path, task, RuleLM(answer))

    card = json.loads((tmp_path / "out/card.json").read_text())
    assert card["score"] == "judge"
    assert card["judge"].items() >= {"host": "127.0.0.1", "model": "m-1", "protocol": "merv"}.items()
    assert len(card["judge"]["prompt_sha256"]) == 64
    assert server.headers[0]["Authorization"].endswith(KEY)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert KEY not in caplog.text


def test_the_published_protocol_cuts_scores(tmp_path):
    with JudgeServer(lambda number, prompt: "{'pred': 'yes', 'score': 4.8}") as server:
        judge = judge_at(server.url, tmp_path, protocol="video-chatgpt")
        results = run(tmp_path, small_task(tmp_path, judge=judge).build(), RuleLM(answer))

    assert (results["accuracy"], results["judge_score"]) == (1, 4)


def test_a_program_can_judge(tmp_path):
    judge = CommandJudgeConfig(command=f"echo '{YES}'", cache_dir=tmp_path / "cache")

    results = run(tmp_path, small_task(tmp_path, judge=judge).build(), RuleLM(answer))

    assert results["accuracy"] == 1


def test_a_model_of_merv_can_judge(tmp_path):
    judge = MervJudgeConfig(model="runs/judge", max_new_tokens=4, max_attempts=1, cache_dir=tmp_path / "cache")
    task = small_task(tmp_path, judge=judge).build()
    give_loader(task, lambda name: tiny_model(llm_max_length=2048))

    results = run(tmp_path, task, RuleLM(answer))

    assert (results["accuracy"], results["judge_unparsed"]) == (0, 3)  # it has learnt nothing
    assert len((tmp_path / "cache/replies.jsonl").read_text().splitlines()) == 3


def test_the_exact_score_asks_for_a_short_answer_and_compares_words(tmp_path):
    says = {"what flies": "A Kite!", "what colou": "it is red", "where is t": "on the lake"}
    model = RuleLM(lambda prompt: says[prompt[:10]])

    results = run(tmp_path, small_task(tmp_path, score="exact").build(), model)

    assert results["accuracy"] == pytest.approx(2 / 3)
    assert model.asked[0] == f"what flies above the roof?\n{EXACT_INSTRUCTION}"
    card = json.loads((tmp_path / "out/card.json").read_text())
    assert (card["task"], card["score"], card["protocol"]) == ("merv-openended-exact", "exact", "merv")
    assert (card["parser"], card["instruction"]) == ("exact-merv/1", EXACT_INSTRUCTION)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Red.", "red"),
        ("  the RED car ", "red car"),
        ("ｒｅｄ", "red"),
        ("t-shirt", "t shirt"),
        ("a", "a"),
        ("The", "the"),
        ("!?", ""),
        ("", ""),
    ],
)
def test_words_are_compared_without_case_punctuation_and_articles(text, words):
    assert plain(text) == words


def test_the_official_protocol_wants_the_same_string(tmp_path):
    task = small_task(tmp_path, score="exact", protocol="official", instruction="").build()
    sample = task.samples()[0]

    right = {text: task.score(sample, task.parse(sample, text))["accuracy"] for text in ("kite", "Kite", "kite ", "")}

    assert right == {"kite": 1, "Kite": 0, "kite ": 0, "": 0}
    assert sample.turns[-1].text == "what flies above the roof?"
    assert not task.parse(sample, "").ok


def scored(task, texts):
    """Items of a task whose model said `texts`, by id."""
    samples = [(sample, task.parse(sample, texts[sample.id])) for sample in task.samples()]
    return [Item(sample, task.score(sample, parsed), parsed, texts[sample.id]) for sample, parsed in samples]


def test_free_questions_are_those_of_type_3_and_above(tmp_path):
    write_pair(tmp_path / "ActivityNet")
    task = TaskConfig.new("activitynet-qa", data_root=tmp_path, score="exact").build()

    table = task.summary(scored(task, {"0": "kite", "1": "red", "2": "at sea"}))

    assert table["accuracy/Free"] == pytest.approx(1 / 2)
    assert (table["accuracy/Motion"], table["accuracy/Color"], table["accuracy/Location"]) == (1, 1, 0)
    assert table["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real excerpts are not beside this checkout")
def test_activitynet_qa_equals_the_official_table(tmp_path):
    golden = REAL / "golden/activitynet_qa"
    truths = json.loads((golden / "gt_a.json").read_text())
    texts = {row["question_id"]: row["answer"] for row in json.loads((golden / "preds.json").read_text())}
    # The questions come in another order than the answers, as they do in the official files.
    questions = [{"video_name": "v", "question": "?", "question_id": row["question_id"]} for row in reversed(truths)]
    write_pair(tmp_path / "ActivityNet", questions, truths)
    task = TaskConfig.new("activitynet-qa", data_root=tmp_path, score="exact", protocol="official").build()

    table = task.summary(scored(task, texts))

    official = json.loads((golden / "metrics.json").read_text())["metrics"]
    found = {name: table["accuracy" if name == "All" else f"accuracy/{name}"] for name in official}
    assert {name: round(value, 4) for name, value in found.items()} == official


@pytest.mark.skipif(not REAL.is_dir(), reason="the real excerpts are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "folder", "size", "first"),
    [
        ("merv-openended", "msvd_qa/merv_dummy_openended", 9, ("video_10336", "what is the video doing?", "regard")),
        ("msvd-qa", "msvd_qa", 300, ("jfrrO5K_vKM_55_65", "who opened the box that held", "someone")),
        ("activitynet-qa", "activitynet_qa", 400, ("v_1QIUV7WYKXg", "is the athlete wearing trousers", "no")),
        ("merv-openended", "videollava_eval", 200, ("g85OdlEOBb0_000003_000013", "Answer the question", "Option A")),
    ],
)
def test_real_files_are_read(name, folder, size, first):
    path = REAL / "annotations" / folder / "test_q.json"

    samples = TaskConfig.new(name, annotations=path).build().samples()

    assert len(samples) == size
    video, question, true = first
    assert samples[0].media[0].path.stem == video
    assert samples[0].turns[-1].text.startswith(question)
    assert samples[0].meta["answer"] == true


def test_no_video_asks_the_text_alone_and_a_limit_asks_the_first(tmp_path):
    task = small_task(tmp_path, score="exact", condition="no-video", limit=2).build()

    assert task.name == "merv-openended-no-video-exact"
    assert [sample.media for sample in task.samples()] == [(), ()]


def test_a_protocol_nothing_would_follow_is_refused():
    with pytest.raises(ConfigError, match=r"protocol official is one of score exact; a judge's is judge\.protocol"):
        TaskConfig.new("msvd-qa", protocol="official")


def test_the_judge_is_chosen_on_the_command_line(tmp_path):
    from merv.runs.evaluate import EvalConfig

    words = ["--model", str(tmp_path), "--task.type", "merv-openended", "--task.judge.type", "command"]
    config = parse(EvalConfig, [*words, "--task.judge.command", "echo", "--task.judge.protocol", "video-chatgpt"])

    assert isinstance(config.task.judge, CommandJudgeConfig)
    assert (config.task.judge.command, config.task.judge.protocol) == ("echo", "video-chatgpt")
