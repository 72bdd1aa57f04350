import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import merv.conf.models  # noqa: F401 - registers merv-tiny
from merv.data.formats.questions import Question
from merv.data.formats.synthetic import encode_clip
from merv.errors import ConfigError, SampleError
from merv.evaluation.runner import evaluate
from merv.evaluation.task import Item, Parsed
from merv.evaluation.tasks.spans_task import (
    GroundedQaTask,
    GroundingTask,
    asked_and_grounded,
    grounded_qa_sample,
    grounding_sample,
    read_option,
)
from merv.models.base import ModelConfig
from merv.models.reply import Reply
from merv.video.media import MediaRef

from .span_small import FILES, GROUNDED_QA, answered, small

WINDOWS = [(2.0, 4.0), (6.0, 9.0)]


@pytest.fixture(scope="module")
def model():
    return ModelConfig.new("merv-tiny", llm_max_length=1024).build(seed=0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    frames = np.random.default_rng(0).integers(0, 255, (2, 16, 32, 32, 3), dtype=np.uint8)
    return [_encoded(folder / f"{number}.mp4", frames[number]) for number in range(2)]


def _encoded(path, frames):
    encode_clip(path, frames, 8)
    return path


def when(tmp_path, duration=10.0):
    sample = grounding_sample(
        "a", " a cat\njumps", windows=WINDOWS, duration=duration, media=MediaRef(tmp_path / "a.mp4")
    )
    return GroundingTask("when", [sample]), sample


def both(tmp_path, options=("sit", "run")):
    sample = grounded_qa_sample(
        "a", "What?", options=options, answer=1, windows=WINDOWS, duration=10.0, media=MediaRef(tmp_path / "a.mp4")
    )
    return GroundedQaTask("both", [sample]), sample


@pytest.mark.parametrize("name", FILES)
def test_every_benchmark_runs_from_its_files_to_its_card(tmp_path, model, clips, name):
    task = small(name, tmp_path / "data").build()
    for number, path in enumerate(sorted({ref.path for sample in task.samples() for ref in sample.media})):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clips[number % 2], path)

    results = evaluate(
        model, task, batch_size=4, out_dir=tmp_path / "out", max_new_tokens=2, num_workers=0, decode_deadline_s=600
    )

    assert (results["num_items"], results["failed"]) == (len(task.samples()), 0)
    assert 0 <= results["iou"] <= 1
    card = json.loads((tmp_path / "out/card.json").read_text())
    assert (card["task"], card["condition"]) == (name, "video")
    assert card["parser"].endswith("parse_spans/1")


@pytest.mark.parametrize("name", FILES)
def test_an_answer_with_the_true_windows_is_right_and_nothing_is_wrong(tmp_path, name):
    task = small(name, tmp_path).build()

    for sample in task.samples():
        start, end = sample.meta["windows"][0]
        letter = f"({chr(65 + sample.meta['answer'])}) " if name in GROUNDED_QA else ""
        right = task.score(
            sample, task.parse(sample, f"{letter}{start} - {min(end, sample.meta['duration'])} seconds")
        )
        wrong = task.score(sample, task.parse(sample, "I cannot tell."))
        assert list(right) == list(wrong)
        assert set(wrong.values()) == {0.0}
        assert all(0 <= value <= 1 for value in right.values())
        assert right["iou"] > 0 or start == end
        assert right.get("accuracy", 1.0) == 1.0
        assert task.score(sample, Parsed(ok=False)) == wrong


@pytest.mark.parametrize("name", FILES)
def test_a_prompt_names_the_duration_and_one_form_of_answer(tmp_path, name):
    for sample in small(name, tmp_path).build().samples():
        prompt = sample.turns[-1].text
        assert f"The video is {sample.meta['duration']:.1f} seconds long." in prompt
        assert prompt.endswith("start - end seconds.")
        assert "  " not in prompt
        assert prompt.count("(letter)") == (name in GROUNDED_QA)


@pytest.mark.parametrize("name", FILES)
def test_conditions_and_a_limit_hold_for_every_benchmark(tmp_path, name):
    whole = small(name, tmp_path).build().samples()
    blind = small(name, tmp_path, condition="no-video").build()
    still = small(name, tmp_path, condition="single-frame").build()

    assert [s.turns for s in blind.samples()] == [s.turns for s in whole]
    assert not any(s.media for s in blind.samples())
    assert (blind.name, blind.describe()["condition"]) == (f"{name}-no-video", "no-video")
    span = still.samples()[0].media[0].span
    assert span.start == span.end == whole[0].meta["duration"] / 2
    assert len(small(name, tmp_path, limit=1).build().samples()) == 1


@pytest.mark.parametrize("name", FILES)
def test_a_missing_annotation_file_is_one_line_that_says_where_to_get_it(tmp_path, name):
    config = small(name, tmp_path)
    config.annotation_path.unlink()
    if name == "nextgqa":
        (tmp_path / "nextgqa/gsub_test.json").unlink()

    with pytest.raises(ConfigError, match=r"annotation file .* is missing; .*https://") as caught:
        config.build()

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_summary_says_who_left_the_video_and_survives_json(tmp_path, name):
    task = small(name, tmp_path).build()
    values = [(0, [[2, 99]]) if name in GROUNDED_QA else [[2, 99]] for _ in task.samples()]

    items = answered(task, *values)

    assert task.summary(items)["past_duration"] == len(values)
    assert all(json.loads(json.dumps(item.parsed.value)) == item.parsed.value for item in items)
    json.dumps(task.summary(items), allow_nan=False)


def test_only_the_first_span_counts_and_takes_the_true_window_it_meets_best(tmp_path):
    task, sample = when(tmp_path)

    scores = task.score(sample, task.parse(sample, "6 - 8 s and 2 - 4 s"))

    assert scores == {"iou": pytest.approx(2 / 3), "R1@0.3": 1.0, "R1@0.5": 1.0, "R1@0.7": 0.0}
    assert task.parse(sample, "6 - 8 s and 2 - 4 s").value == {"spans": [[6.0, 8.0], [2.0, 4.0]], "answer": None}


def test_spans_of_a_grounding_head_need_no_text(tmp_path):
    task, sample = when(tmp_path)

    assert task.score(sample, Parsed({"spans": [[9, 6, 0.8], [0, 1, 0.1]], "answer": None}))["iou"] == 1.0


def test_moments_of_a_reply_go_before_times_in_its_text(tmp_path):
    task, sample = when(tmp_path)

    found = task.read(sample, Reply("0 - 1 seconds", ((6.0, 9.0, 0.8), (0.0, 1.0, 0.1))))

    assert found == Parsed({"spans": [[6.0, 9.0, 0.8], [0.0, 1.0, 0.1]], "answer": None})
    assert task.score(sample, found)["iou"] == 1.0
    assert task.read(sample, Reply("6 - 8 seconds")) == task.parse(sample, "6 - 8 seconds")
    assert not task.read(sample, Reply("", ())).ok
    assert not task.read(sample, Reply("", ((12.0, 15.0, 0.9),))).ok


def test_a_grounded_reply_gives_its_moments_and_the_option_of_its_text(tmp_path):
    task, sample = both(tmp_path)

    found = task.read(sample, Reply("2) Best choice: (B) run", ((2.0, 4.0, 0.8),)))

    assert found == Parsed({"spans": [[2.0, 4.0, 0.8]], "answer": 1})
    assert task.score(sample, found)["Acc@GQA"] == 1.0
    assert not task.read(sample, Reply("who knows", ((2.0, 4.0, 0.8),))).ok
    assert task.read(sample, Reply("(B) 2 - 4 seconds")) == task.parse(sample, "(B) 2 - 4 seconds")
    assert sample.meta["question"] == "What?"


@pytest.mark.parametrize("first", [[12, 15], [-3, -1], [float("nan"), 6.0], [0.0, float("inf"), float("nan")]])
def test_a_first_span_that_cannot_be_right_is_not_passed_over(tmp_path, first):
    task, sample = when(tmp_path)

    assert task.score(sample, Parsed({"spans": [first, [2, 4]], "answer": None}))["iou"] == 0.0


def test_a_span_past_the_duration_is_clamped_and_counted(tmp_path):
    task, sample = when(tmp_path)

    parsed = task.parse(sample, "6 - 99 seconds")

    assert parsed == Parsed({"spans": [[6.0, 10.0]], "answer": None, "clamped": 1})
    assert task.score(sample, parsed)["iou"] == 3 / 4
    assert task.summary([Item(sample, {}, parsed)])["past_duration"] == 1


def test_a_span_wholly_outside_is_wrong_and_not_passed_over(tmp_path):
    task, sample = when(tmp_path)

    alone, followed = task.parse(sample, "50 - 99 seconds"), task.parse(sample, "50 - 99 s and 2 - 4 s")

    assert (alone.ok, followed.ok) == (False, True)
    assert task.score(sample, alone) == task.score(sample, followed)
    assert task.score(sample, alone)["iou"] == 0.0


def test_without_a_duration_the_prompt_does_not_name_it_and_spans_are_not_clamped(tmp_path):
    task, sample = when(tmp_path, duration=None)

    assert sample.turns[-1].text == (
        'When does this happen in the video: "a cat jumps"? '
        "Answer with the start and end of that moment in seconds, in the form: start - end seconds."
    )
    assert task.score(sample, task.parse(sample, "6 - 9 s"))["iou"] == 1.0
    items = [Item(sample, {}, Parsed({"spans": [[6, 99]], "answer": None}))]
    assert task.summary(items)["past_duration"] == 0


def test_half_an_answer_counts_half_and_is_counted_as_unread(tmp_path):
    task, sample = both(tmp_path)

    option_only, span_only = task.parse(sample, "(B) run"), task.parse(sample, "2 - 4 seconds")

    assert (option_only.ok, span_only.ok) == (False, False)
    assert task.score(sample, option_only)["accuracy"] == 1.0
    assert task.score(sample, span_only)["iou"] == 1.0
    assert task.score(sample, span_only)["Acc@GQA"] == task.score(sample, option_only)["Acc@GQA"] == 0.0


@pytest.mark.parametrize(
    ("text", "accuracy", "iop", "grounded"),
    [
        ("(B) 2 - 4 seconds", 1, 1.0, 1),
        ("B 2 - 6 seconds", 1, 0.5, 1),
        ("(B) 2 - 7 seconds", 1, 0.4, 0),
        ("(A) 2 - 4 seconds", 0, 1.0, 0),
        ("(B) 3 - 3 seconds", 1, 0.0, 0),
    ],
)
def test_grounded_accuracy_needs_the_option_and_half_of_the_span(tmp_path, text, accuracy, iop, grounded):
    task, sample = both(tmp_path)

    scores = task.score(sample, task.parse(sample, text))

    assert (scores["accuracy"], scores["iop"], scores["Acc@GQA"]) == (accuracy, pytest.approx(iop), grounded)


def test_options_that_are_times_are_not_taken_for_the_moment(tmp_path):
    task, sample = both(tmp_path, options=("12 - 20 seconds", "5 - 9 seconds"))

    assert task.parse(sample, "(B) 5 - 9 seconds, seen from 2 to 4 s").value == {"spans": [[2.0, 4.0]], "answer": 1}
    assert task.parse(sample, "5 - 9 seconds").value == {"spans": [], "answer": 1}


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("(B) 12.5 - 20 seconds", 1),
        ("A 3 - 5 seconds", 0),
        ("C, [12, 20]", 2),
        ("Answer: B. Time: 3s to 5s", 1),
        ("3 - 5 seconds, (C)", 2),
        ("They jump from 3 to 5 seconds", 2),
        ('{"answer": "B", "start": 3, "end": 5}', 1),
        ("12 - 20 seconds", None),
        ("A or B, 3 - 5 s", None),
    ],
)
def test_an_option_is_read_beside_its_span(text, index):
    assert read_option(text, ["sit", "run", "jump"]) == index


ROW = Question("q", "Why?", "a", ["sit", "run"], 1, [(4.0, 2.0)], duration=10.0)


def test_ends_of_a_rows_windows_are_put_in_order(tmp_path):
    sample = asked_and_grounded(ROW, MediaRef(tmp_path / "a.mp4"))

    assert (sample.meta["windows"], sample.meta["answer"]) == ([(2.0, 4.0)], 1)
    assert "kind" not in sample.meta


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"options": ["run"], "answer": 0}, "expected at least two texts"),
        ({"windows": []}, "windows are"),
        ({"answer": None}, "answer None is none of its 2 options"),
    ],
)
def test_a_row_that_cannot_be_grounded_is_refused(tmp_path, change, says):
    with pytest.raises(SampleError, match=says):
        asked_and_grounded(replace(ROW, **change), MediaRef(tmp_path / "a.mp4"))
