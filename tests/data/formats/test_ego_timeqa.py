import pytest

from merv.data.formats.ego_timeqa import question_of
from merv.errors import SampleError

from ..moment_layout import TIMEQA


def test_a_row_without_a_name_is_called_by_what_it_asks():
    first = question_of(TIMEQA, {"clip": 30})

    assert first.id.startswith("clip-")
    assert first == question_of(dict(TIMEQA), {"clip": 30})
    assert (
        len(
            {
                question_of({**TIMEQA, **change}, {}).id
                for change in ({}, {"question": "Who?"}, {"moment_start_frame": 1})
            }
        )
        == 3
    )
    assert question_of({**TIMEQA, "sample_id": "mine"}, {}).id == "mine"


def test_a_misread_i_is_mended_and_frames_become_seconds():
    question = question_of(TIMEQA, {"clip": 30})

    assert question.text == "Where did I put the cup?"
    assert (question.windows, question.duration) == ([(1.0, 2.5)], 30.0)
    assert question.options[question.answer] == "on the table"
    assert sorted(question.options) == sorted([TIMEQA["answer"], *TIMEQA["wrong_answers"]])


@pytest.mark.parametrize("row", [3, {}, {**TIMEQA, "wrong_answers": "x"}, {**TIMEQA, "moment_end_frame": None}])
def test_a_row_of_another_shape_is_refused(row):
    with pytest.raises(SampleError):
        question_of(row, {})
