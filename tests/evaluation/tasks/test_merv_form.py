import pytest

from merv.errors import ConfigError
from merv.evaluation.tasks.merv_form import MervFormConfig
from merv.video.media import Span

from .small import MERV_ANSWERS, MERV_QUESTIONS, real, small, write


def test_answers_are_matched_by_id_and_times_give_the_stretch(tmp_path):
    first, second = small("merv-mcq", tmp_path).build().samples()

    assert (first.id, first.meta["answer"], first.media[0].span) == ("q1", 2, None)
    assert (second.meta["answer"], second.media[0].span) == (0, Span(0.5, 1.0))
    assert second.media[0].path.name == "w.mp4"
    assert second.meta["end_frame"] == 8


def test_an_open_end_is_the_video_s(tmp_path):
    row = {**MERV_QUESTIONS[0], "time": [1.0, None]}
    path = write(tmp_path / "test_q.json", [row])
    write(tmp_path / "test_a.json", MERV_ANSWERS)

    assert MervFormConfig(annotations=path).build().samples()[0].media[0].span == Span(1.0, float("inf"))


def test_end_frames_count_where_the_rate_is_given(tmp_path):
    path = write(tmp_path / "test_q.json", [{**MERV_QUESTIONS[0], "end_frame": 15}])
    write(tmp_path / "test_a.json", MERV_ANSWERS)

    assert MervFormConfig(annotations=path, fps=30.0).build().samples()[0].media[0].span == Span(0.0, 0.5)


def test_a_question_without_answer_is_named(tmp_path):
    path = write(tmp_path / "test_q.json", MERV_QUESTIONS)
    write(tmp_path / "test_a.json", MERV_ANSWERS[:1])

    with pytest.raises(ConfigError, match="row 0: question `q1` has no answer in the other list"):
        MervFormConfig(annotations=path).build()


def test_the_other_list_must_be_named_or_named_alike(tmp_path):
    path = write(tmp_path / "mine.json", MERV_QUESTIONS)

    with pytest.raises(ConfigError, match="does not say which file has its answers"):
        MervFormConfig(annotations=path).build()
    answers = write(tmp_path / "other.json", MERV_ANSWERS)
    assert len(MervFormConfig(annotations=path, answers=answers).build().samples()) == 2


def test_the_reference_protocol_asks_and_reads_as_the_reference_on_the_genuine_pair():
    folder = real("annotations", "perception_test_mcq", "dummy_mcq")

    task = MervFormConfig(annotations=folder / "test_q.json", protocol="reference").build()

    sample = task.samples()[0]
    assert sample.turns[0].text == (
        "Is the camera moving or static? Select the correct answer from the following options. Write your answer as "
        "only one of A, B, C and nothing else.\n\n    A. static or shaking\nB. I don't know\nC. moving"
    )
    assert [task.score(sample, task.parse(sample, text)) for text in ("c. moving", "(C)")] == [
        {"accuracy": 1.0},
        {"accuracy": 0.0},
    ]
