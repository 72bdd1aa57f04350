from collections import Counter

import pytest

from merv.data.build.placing import in_turns, places_of_answers, with_answer_at


@pytest.mark.parametrize("num", [0, 1, 5, 6, 17, 100])
def test_each_choice_comes_as_often_within_one(num):
    counts = Counter(in_turns("abc", num, "7"))

    assert sum(counts.values()) == num
    assert max(counts.values(), default=0) - min((counts[name] for name in "abc"), default=0) <= 1


def test_more_draws_leave_the_first_as_they_are_and_another_seed_does_not():
    assert in_turns(range(5), 30, "7")[:12] == in_turns(range(5), 12, "7")
    assert in_turns(range(5), 30, "8") != in_turns(range(5), 30, "7")


def test_answers_stand_at_every_place_as_often_among_equally_many_options():
    sizes = [4, 5, 6, 4, 4, 6, 5] * 9

    places = places_of_answers(sizes, seed=7)

    for size in (4, 5, 6):
        counts = Counter(place for place, own in zip(places, sizes, strict=True) if own == size)
        assert set(counts) <= set(range(size))
        assert max(counts.values()) - min(counts[place] for place in range(size)) <= 1


def test_the_right_option_stands_where_it_is_put_and_the_wrong_ones_are_mixed():
    mixed = {tuple(with_answer_at(2, "x", "abcd", str(seed))) for seed in range(20)}

    assert all(options[2] == "x" and sorted(options) == list("abcdx") for options in mixed)
    assert len(mixed) > 3
