from pathlib import Path

import pytest

from merv.errors import ConfigError
from merv.evaluation.tasks.rows import by_letter, by_number, by_text, require_answers, stretch
from merv.video.media import Span

OPTIONS = ["a", "b", "a"]


def test_right_options_are_found_by_text_letter_and_number():
    assert (by_text("a", OPTIONS), by_text("c", OPTIONS)) == (2, None)
    assert (by_letter("B", OPTIONS, ""), by_letter(" c ", OPTIONS, "")) == (1, 2)
    assert (by_number("1", OPTIONS, ""), by_number(0, OPTIONS, "")) == (1, 0)


@pytest.mark.parametrize("answer", ["D", "", "AB", "1", None])
def test_a_letter_that_names_no_option_is_refused(answer):
    with pytest.raises(ConfigError, match=f"row 3: answer {answer!r} is none of its 3 options"):
        by_letter(answer, OPTIONS, "row 3")


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
