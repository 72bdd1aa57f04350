import pytest
from evaluation.tasks.small import PERCEPTION

from merv.data.formats.perception_test import asked, question_of
from merv.data.formats.role_rows import Skip
from merv.errors import SampleError
from merv.video.media import Span


def test_questions_are_taken_out_of_their_videos():
    first, second = map(question_of, asked(PERCEPTION))

    assert (first.id, first.video, first.answer) == ("video_1_0", "video_1", 1)
    assert (first.span, first.duration) == (Span(0.0, 1.5), 2.0)
    assert (first.more["groups"], first.more["end_frame"]) == (["physics", "descriptive"], 12)
    assert (second.span, second.more["groups"]) == (None, ["memory"])


def test_a_rate_may_be_given_where_the_file_has_none():
    (row, _) = asked({"v": {"mc_question": PERCEPTION["video_1"]["mc_question"]}})

    assert (question_of(row).span, question_of(row).duration) == (None, None)
    assert question_of(row, fps=24.0).span == Span(0.0, 0.5)
    (known, _) = asked(PERCEPTION)
    assert question_of(known, fps=24.0).span == Span(0.0, 1.5)


@pytest.mark.parametrize("about", [None, 3, {}, {"mc_question": None}, {"mc_question": []}])
def test_a_video_may_have_no_question(about):
    assert list(asked({"v": about})) == []


def test_what_is_no_question_is_handed_on_and_refused():
    (row,) = asked({"v": {"mc_question": ["what?"]}})

    with pytest.raises(SampleError, match=r"^field options: found nothing; expected a list of texts$"):
        question_of(row)


def test_rows_of_the_test_split_are_left_out():
    (row, _) = asked(PERCEPTION)

    with pytest.raises(Skip, match=r"without an answer"):
        question_of({name: value for name, value in row.items() if name != "answer_id"})
