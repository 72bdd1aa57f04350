import pytest
from evaluation.tasks.small import VIDEOMME

from merv.data.formats.role_rows import Skip
from merv.data.formats.videomme import asked, question_of
from merv.errors import SampleError

ABOUT = {"video_id": "001", "duration": "short", "domain": "Knowledge"}
ASKED = {name: VIDEOMME[0][name] for name in ("question_id", "task_type", "question", "options", "answer")}


def test_options_lose_their_letters_and_lengths_are_groups_not_seconds():
    question = question_of(VIDEOMME[0])

    assert (question.id, question.video) == ("001-1", "clip1")
    assert (question.options, question.answer) == (["One.", "Two.", "Three.", "Four."], 1)
    assert question.duration is None
    assert question.more["groups"] == ("Counting Problem", "short", "Knowledge")


def test_rows_of_videos_are_opened_and_keep_their_number():
    rows = [VIDEOMME[0], {**ABOUT, "questions": [ASKED, {**ASKED, "question_id": "001-2", "domain": "Sports"}]}]

    opened = list(asked(rows))

    assert [number for number, _ in opened] == [0, 1, 1]
    assert [question_of(row).id for _, row in opened] == ["001-1", "001-1", "001-2"]
    assert question_of(opened[2][1]).video == "001"
    assert [question_of(row).more["groups"][2] for _, row in opened] == ["Knowledge", "Knowledge", "Sports"]


@pytest.mark.parametrize("row", [3, [ASKED], {**ABOUT, "questions": 7}, {**ABOUT, "questions": ["what?"]}])
def test_what_is_no_question_is_handed_on_and_refused(row):
    ((_, handed),) = asked([row])

    with pytest.raises(SampleError, match=r"found"):
        question_of(handed)


def test_a_letter_beyond_the_options_is_refused_and_none_left_out():
    with pytest.raises(SampleError, match=r"^answer 'E' is none of its 4 options$"):
        question_of({**VIDEOMME[0], "answer": "E"})
    with pytest.raises(Skip, match=r"without an answer"):
        question_of({**VIDEOMME[0], "answer": None})
