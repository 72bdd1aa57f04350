import pytest
from evaluation.tasks.small import MVBENCH

from merv.data.formats.mvbench import FOLDERS, question_of
from merv.errors import SampleError
from merv.video.media import Span


def test_a_row_is_called_by_its_task_and_its_place():
    question = question_of(MVBENCH, "action_count", 3)

    assert (question.id, question.kind) == ("action_count_3", "action_count")
    assert question.video == "perception/videos/a.mp4"
    assert (question.options, question.answer, question.span) == (["Run.", "Sit."], 1, None)


def test_start_and_end_are_the_stretch_that_is_shown():
    assert question_of({**MVBENCH, "start": 0.25, "end": 1}, "action_sequence", 0).span == Span(0.25, 1.0)


def test_an_answer_that_is_no_option_is_left_open():
    assert question_of({**MVBENCH, "answer": "Fly."}, "action_count", 0).answer is None


def test_there_are_twenty_tasks():
    assert len(FOLDERS) == 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video": None}, "field video: found nothing; expected text"),
        ({"candidates": "Run."}, 'field candidates: found str "Run."; expected a list of texts'),
        ({"start": 2, "end": 1}, "2 to 1 is no stretch of seconds"),
    ],
)
def test_a_row_of_another_shape_names_the_field_and_what_was_found(change, message):
    with pytest.raises(SampleError) as caught:
        question_of({**MVBENCH, **change}, "action_sequence", 0)
    assert str(caught.value) == message
