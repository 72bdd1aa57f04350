import pytest

from merv.data.formats.question_fields import among, by_words, in_order, number_of, windows_of
from merv.errors import SampleError


@pytest.mark.parametrize(
    ("value", "windows"),
    [
        ([[1, 2.5], [4, 3]], [(1.0, 2.5), (4.0, 3.0)]),
        ([1, 2], [(1.0, 2.0)]),
        ((1, 2), [(1.0, 2.0)]),
        ([[5, 5]], [(5.0, 5.0)]),
    ],
)
def test_windows_are_a_list_or_a_single_one_as_they_stand(value, windows):
    assert windows_of(value) == windows


@pytest.mark.parametrize(
    "value", [None, [], [1], [1, 2, 3], [[1]], [["1", "2"]], [[True, False]], [[0, float("nan")]], "1 2"]
)
def test_what_is_no_window_is_refused(value):
    with pytest.raises(SampleError, match=r"^windows are .* expected .* in seconds$"):
        windows_of(value)


def test_ends_are_put_in_order():
    assert in_order([(4.0, 3.0), (1.0, 2.0)]) == [(3.0, 4.0), (1.0, 2.0)]


def test_a_number_may_be_a_text():
    assert number_of("1.5", "start") == 1.5


@pytest.mark.parametrize("value", [None, "soon", "nan", float("inf"), [1]])
def test_what_is_no_number_is_called_by_its_name(value):
    with pytest.raises(SampleError, match=r"^start is .*; expected a number$"):
        number_of(value, "start")


def test_an_answer_is_the_first_option_of_its_words():
    assert by_words(" On  the mat", ["in the hat", "on the mat", "On the mat"]) == 1


def test_an_answer_that_is_no_option_is_refused():
    with pytest.raises(SampleError, match=r"^answer 'fly' is not one of the options \['sit', 'run'\]$"):
        by_words("fly", ["sit", "run"])


def test_wrong_answers_keep_their_order_around_the_right_one():
    options = among("a", ["b", "c", "d"], "clip_1")

    assert sorted(options) == ["a", "b", "c", "d"]
    assert [option for option in options if option != "a"] == ["b", "c", "d"]
    assert options == among("a", ["b", "c", "d"], "clip_1")


def test_the_places_of_answers_are_spread():
    places = [among("a", ["b", "c", "d"], f"clip_{number}").index("a") for number in range(2000)]

    assert all(400 < places.count(place) < 600 for place in range(4))
