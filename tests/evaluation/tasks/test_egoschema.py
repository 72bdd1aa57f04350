import pytest

from merv.errors import ConfigError
from merv.evaluation.tasks.egoschema import EgoschemaConfig
from merv.video.media import Span

from .small import EGOSCHEMA, small, write


def test_only_questions_with_a_known_answer_are_asked(tmp_path):
    (sample,) = small("egoschema", tmp_path).build().samples()

    assert (sample.id, sample.meta["answer"], sample.meta["options"][4]) == ("bb-2", 4, "C does 4.")
    assert sample.media[0].path == tmp_path / "egoschema/videos/bb-2.mp4"


def test_clips_are_three_minutes_long(tmp_path):
    (sample,) = small("egoschema", tmp_path, condition="single-frame").build().samples()

    assert sample.media[0].span == Span(90.0, 90.0)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({}, "answers no question of"),
        ({"zz-9": 1}, "answers no question of"),
        ([], "holds no object of answers"),
        ({"aa-1": 5}, "row 0: answer 5 is none of its 5 options"),
    ],
)
def test_answers_that_do_not_fit_are_refused(tmp_path, answers, message):
    path = write(tmp_path / "questions.json", EGOSCHEMA)
    write(tmp_path / "subset_answers.json", answers)

    with pytest.raises(ConfigError, match=message):
        EgoschemaConfig(annotations=path).build()
