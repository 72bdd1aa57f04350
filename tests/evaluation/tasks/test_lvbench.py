import pytest

from merv.errors import ConfigError
from merv.evaluation.task import Item, Parsed
from merv.evaluation.tasks.lvbench import LvbenchConfig

from .small import LVBENCH, real, small, write

LISTED = {
    "video": "00000000",
    "question": "Which year?",
    "candidates": ["(A) 1900", "(B) 1901"],
    "answer": "(B) 1901",
    "question_type": ["reasoning"],
    "time_reference": "00:15-00:19",
}


def test_options_are_taken_out_of_the_question(tmp_path):
    first, second = small("lvbench", tmp_path).build().samples()

    assert (first.id, first.meta["options"], first.meta["answer"]) == ("7", ["1900", "1901", "1902", "1903"], 2)
    assert first.turns[0].text.startswith("Which year?\n(A) 1900\n")
    assert (first.meta["duration"], first.meta["time_reference"]) == (30.0, "00:01-00:02")
    assert second.media[0].path.name == "vid1.mp4"


def test_a_question_of_two_types_counts_in_both(tmp_path):
    task = small("lvbench", tmp_path).build()

    summary = task.summary([Item(s, task.score(s, Parsed(2)), Parsed(2)) for s in task.samples()])

    assert summary["accuracy/event understanding"] == 1.0
    assert summary["accuracy"] == summary["accuracy/reasoning"] == 0.5
    assert task.samples()[0].meta["kind"] == "reasoning, event understanding"


def test_videochat_flash_s_list_is_read(tmp_path):
    sample = LvbenchConfig(annotations=write(tmp_path / "l.json", [LISTED])).build().samples()[0]

    assert (sample.meta["options"], sample.meta["answer"]) == (["1900", "1901"], 1)


@pytest.mark.parametrize("answer", ["(C) 1902", "1901", "?"])
def test_an_answer_without_the_letter_of_an_option_is_refused(tmp_path, answer):
    with pytest.raises(ConfigError, match=r"question 0: answer .* is none of its 2 options"):
        LvbenchConfig(annotations=write(tmp_path / "l.json", [{**LISTED, "answer": answer}])).build()


def test_a_question_without_options_is_refused(tmp_path):
    asked = {**LVBENCH[0]["qa"][0], "question": "Which year?"}

    with pytest.raises(ConfigError, match="none of its 0 options"):
        LvbenchConfig(annotations=write(tmp_path / "l.jsonl", [{**LVBENCH[0], "qa": [asked]}])).build()


def test_the_genuine_list_is_read():
    path = real("annotations", "lvbench", "lvbench_clean.json")

    samples = LvbenchConfig(annotations=path).build().samples()

    assert len(samples) == 100
    assert (samples[0].meta["options"], samples[0].meta["answer"]) == (["1636", "1366", "1363", "1633"], 3)
    assert {len(sample.meta["groups"]) for sample in samples} >= {1, 2}
