import math

import pytest

from merv.data.dataset import Source
from merv.errors import ConfigError, RunStopped
from merv.evaluation.tasks.mcq import McqTask
from merv.rl.builtin_rewards import word_f1
from merv.rl.reward_config import RewardConfig
from merv.rl.rewards import as_reward, score_all
from merv.rl.task_dataset import TaskSource
from merv.video.media import Span

from .questions import asked, said

OPTIONS = ["a ring", "a cross"]
CHOICE = asked(answer=None, meta={"options": OPTIONS, "answer": 1})


def by(answer):
    """The right option as rows may name it."""
    return asked(answer=None, meta={"options": OPTIONS, "answer": answer})


MOMENT = asked(answer=None, span=Span(2.0, 4.0), meta={"duration": 10.0})
WINDOWS = asked(answer=None, meta={"windows": [[0, 1], [5, 7]]})


def worth(name, text, sample, **options):
    reward = as_reward(RewardConfig.new(name, **options).build(Source("rows", [sample])), name)
    [[value]] = score_all([reward], said(text, samples=[sample])).tolist()
    return None if math.isnan(value) else value


@pytest.mark.parametrize(
    ("text", "sample", "expected"),
    [
        ("B", CHOICE, 1.0),
        ("(A) a ring", CHOICE, 0.0),
        ("A or B", CHOICE, 0.0),
        ("<think>A, surely? No.</think><answer>(B)</answer>", CHOICE, 1.0),
        ("it is a cross", by("a cross"), 1.0),
        ("B", by("B"), 1.0),
        ("a cross", by("b"), 1.0),
        ("A", by("B"), 0.0),
        ("A Ring.", asked(), 1.0),
        ("<answer>a ring</answer>", asked(), 1.0),
        ("a cross", asked(), 0.0),
        ("a ring", asked(answer=None), None),
    ],
)
def test_accuracy_chooses_an_option_or_compares_words(text, sample, expected):
    assert worth("accuracy", text, sample) == expected


@pytest.mark.parametrize("answer", ["C", "a square", 2, -1, 1.0, True])
def test_an_answer_that_is_no_option_is_refused(answer):
    with pytest.raises(RunStopped, match=r"sample `row`: the answer .* is none of its 2 options"):
        worth("accuracy", "a ring", by(answer))


@pytest.mark.parametrize(
    ("text", "sample", "expected"),
    [
        ("from 2 to 4 seconds", MOMENT, 1.0),
        ("3s - 5s", MOMENT, pytest.approx(1 / 3)),
        ("3s - 5s, 2s - 4s", MOMENT, pytest.approx(1 / 3)),  # naming many does not help
        ("no idea", MOMENT, 0.0),
        ("5s - 7s", WINDOWS, 1.0),
        ("5s - 7s", asked(), None),
    ],
)
def test_temporal_iou_is_that_of_the_first_span_with_the_window_it_meets_best(text, sample, expected):
    assert worth("temporal-iou", text, sample) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>round\nand hollow</think>\n<answer>a ring</answer>", 1.0),
        ("<answer>a ring</answer>", 0.0),
        ("<think>x</think><answer>a</answer> and more", 0.0),
    ],
)
def test_format_wants_the_whole_answer_to_match(text, expected):
    assert worth("format", text, asked()) == expected


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"reward `format`: pattern '\(' is no regular expression"):
        RewardConfig.new("format", pattern="(").build(Source("rows", []))


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [("a ring", "A ring.", 1.0), ("a red ring", "a ring", 0.8), ("no", "a ring", 0.0), ("", "", 1.0), ("", "a", 0.0)],
)
def test_words_in_common_are_counted_as_squad_does(text, reference, expected):
    assert word_f1(text, reference) == pytest.approx(expected)
    assert worth("text-similarity", text, asked(answer=reference)) == pytest.approx(expected)


def test_text_similarity_does_not_apply_without_a_reference():
    assert worth("text-similarity", "a ring", asked(answer=None)) is None


def test_a_task_scores_answers_as_it_does_in_an_evaluation():
    task = McqTask("mine", [CHOICE])
    source = TaskSource("mine", task.samples(), task=task)
    reward = as_reward(RewardConfig.new("task").build(source), "task")

    assert score_all([reward], said("B", "A", "?", samples=[CHOICE] * 3)).tolist() == [[1.0], [0.0], [0.0]]
    with pytest.raises(ConfigError, match="reward `task`: mine has no score `iou`; it has accuracy"):
        RewardConfig.new("task", score="iou").build(source)


def test_a_task_cannot_score_answers_to_other_data():
    with pytest.raises(
        ConfigError, match=r"the dataset is `rows`; use --dataset\.type task --dataset\.task\.type NAME"
    ):
        RewardConfig.new("task").build(Source("rows", [CHOICE]))
