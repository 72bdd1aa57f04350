from pathlib import Path

import pytest

from merv.data.formats.role_rows import Skip
from merv.errors import ConfigError, SampleError
from merv.evaluation.tasks.rows import by_number, require_answers, stretch, strictly
from merv.video.media import Span

OPTIONS = ["a", "b", "a"]


def test_right_options_are_found_by_number():
    assert (by_number("1", OPTIONS, ""), by_number(0, OPTIONS, "")) == (1, 0)


@pytest.mark.parametrize("answer", [3, -1, "3", "-1", "B", None, True, 1.5])
def test_a_number_that_names_no_option_is_refused(answer):
    with pytest.raises(ConfigError, match=f"row 3: answer {answer!r} is none of its 3 options"):
        by_number(answer, OPTIONS, "row 3")


@pytest.mark.parametrize("absent", [{}, {"answer": None}, {"answer": ""}, {"answer": -1}, {"answer": "@"}])
def test_a_split_without_answers_is_named_as_one(absent):
    with pytest.raises(ConfigError, match=r"test\.json has no answers \(`answer`\): a test split; name a validation"):
        require_answers([absent, absent], "answer", Path("test.json"))


def test_one_answer_makes_a_list_with_answers():
    require_answers([{}, {"answer": 0}], "answer", Path("val.json"))


@pytest.mark.parametrize(("start", "end"), [(2, 1), (-1, 2), ("nan", 1), (None, 1), ("x", 1)])
def test_a_stretch_that_is_none_is_refused(start, end):
    with pytest.raises(ConfigError, match=r"row 1: .* is no stretch of seconds"):
        stretch(start, end, "row 1")


def test_a_stretch_may_be_given_as_text():
    assert stretch("1.5", 2, "") == Span(1.5, 2.0)


@pytest.mark.parametrize("problem", [SampleError("it is empty"), Skip("it is empty")])
def test_a_row_that_cannot_be_used_ends_the_reading(problem):
    with pytest.raises(ConfigError, match=r"^row 3: it is empty; repair or drop the row$"), strictly("row 3"):
        raise problem
