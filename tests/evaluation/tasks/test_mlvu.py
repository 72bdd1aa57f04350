import pytest

from merv.data.formats.mlvu import LISTS
from merv.errors import ConfigError
from merv.evaluation.task import Item, Parsed
from merv.evaluation.tasks.mlvu import MlvuConfig

from .small import MLVU, real, small, write


def test_m_avg_is_the_mean_over_tasks_of_any_size(tmp_path):
    task = small("mlvu", tmp_path).build()
    read = [Parsed(1 if sample.meta["kind"] in ("plotQA", "needle") else 0) for sample in task.samples()]

    summary = task.summary([Item(s, task.score(s, p), p) for s, p in zip(task.samples(), read, strict=True)])

    assert summary["num_items"] == 10
    assert summary["accuracy"] == 3 / 10
    assert summary["m_avg"] == 2 / 7


def test_videos_stand_in_the_folder_of_their_task(tmp_path):
    samples = small("mlvu", tmp_path).build().samples()

    assert samples[0].media[0].path == tmp_path / "mlvu/video/1_plotQA/m.mp4"
    assert (samples[0].id, samples[0].meta["duration"]) == ("1_plotQA_0", 246)


def test_the_official_protocol_wants_the_letter_before_the_bracket(tmp_path):
    task = small("mlvu", tmp_path, protocol="official").build()
    sample = task.samples()[0]

    assert sample.turns[0].text.endswith("\nOnly give the best option.\nBest option:(")
    assert [task.parse(sample, text).value for text in ("B) Blue", "(B) Blue")] == [1, None]


def test_a_missing_task_is_asked_for(tmp_path):
    write(tmp_path / "1_plotQA.json", [{**MLVU, "question_type": "plotQA"}])

    with pytest.raises(ConfigError, match=r"2_needle\.json is missing; download it from"):
        MlvuConfig(annotations=tmp_path).build()


def test_genuine_lists_with_empty_and_equal_options_and_a_stray_answer_are_read():
    folder = real("annotations", "mlvu", "json")

    task = MlvuConfig(annotations=folder).build()

    samples = {sample.id: sample for sample in task.samples()}
    assert (len(samples), task.describe()["without_right_option"]) == (60 * len(LISTS), 1)
    first = samples["1_plotQA_0"]
    assert (first.meta["options"], first.meta["answer"]) == (["Yellow", "Red", "Green", "Blue"], 0)
    assert samples["7_topic_reasoning_26"].meta["options"] == [""] * 4
