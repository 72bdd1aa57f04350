import pytest

from merv.data.formats.options import (
    by_letter,
    by_number,
    by_text,
    options_of,
    published_answer,
    question_text,
    stretch,
    without_letters,
)
from merv.data.formats.role_rows import Skip
from merv.errors import SampleError
from merv.video.media import Span

OPTIONS = ["a", "b", "a"]


def test_right_options_are_found_by_text_letter_and_number():
    assert (by_text("a", OPTIONS), by_text("c", OPTIONS)) == (2, None)
    assert (by_letter("B", OPTIONS), by_letter(" c ", OPTIONS)) == (1, 2)
    assert (by_number("1", OPTIONS), by_number(0, OPTIONS)) == (1, 0)


@pytest.mark.parametrize("answer", ["D", "", "AB", "1", None])
def test_a_letter_that_names_no_option_is_refused(answer):
    with pytest.raises(SampleError, match=rf"^answer {answer!r} is none of its 3 options$"):
        by_letter(answer, OPTIONS)


@pytest.mark.parametrize("answer", [3, -1, "3", "-1", "B", None, True, 1.5])
def test_a_number_that_names_no_option_is_refused(answer):
    with pytest.raises(SampleError, match=rf"^answer {answer!r} is none of its 3 options$"):
        by_number(answer, OPTIONS)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["A. x", "B. y"], ["x", "y"]),
        (["(A) x", "(B)y"], ["x", "y"]),
        (["A) x", " B.y"], ["x", "y"]),
        (["B. x", "A cat", "C"], ["B. x", "A cat", "C"]),
    ],
)
def test_only_the_letter_of_its_own_place_is_taken_off(options, expected):
    assert without_letters(options) == expected


@pytest.mark.parametrize("absent", [{}, {"ans": None}, {"ans": ""}, {"ans": -1}, {"ans": "-1"}, {"ans": "@"}])
def test_an_answer_that_is_not_published_is_left_out(absent):
    with pytest.raises(Skip, match=r"^without an answer, as a test split's$"):
        published_answer(absent, "ans")


def test_the_first_place_is_an_answer():
    assert published_answer({"ans": 0}, "ans") == 0


@pytest.mark.parametrize(
    ("found", "said"), [(None, "nothing"), ("a", 'str "a"'), ([1, "b"], "list"), ({}, "an empty")]
)
def test_options_are_a_list_of_texts(found, said):
    with pytest.raises(SampleError, match=rf"^field options: found {said}.*; expected a list of texts$"):
        options_of({"options": found}, "options")


def test_options_stand_under_the_first_name_a_row_has():
    assert options_of({"candidates": ["x"]}, "options", "candidates") == ["x"]


def test_a_question_is_a_text_which_may_be_empty():
    assert question_text({"question": ""}) == ""
    with pytest.raises(SampleError, match=r"^field question: found int 3; expected text$"):
        question_text({"question": 3})


def test_a_row_that_is_no_object_is_refused():
    with pytest.raises(SampleError, match=r"^found list .*; expected an object$"):
        question_text(["question"])


@pytest.mark.parametrize(("start", "end"), [(2, 1), (-1, 2), ("nan", 1), (None, 1), ("x", 1)])
def test_a_stretch_that_is_none_is_refused(start, end):
    with pytest.raises(SampleError, match=rf"^{start!r} to {end!r} is no stretch of seconds$"):
        stretch(start, end)


def test_a_stretch_may_be_given_as_text():
    assert stretch("1.5", 2) == Span(1.5, 2.0)
