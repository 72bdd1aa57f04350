import random

import pytest

from merv.data.build.blind import Blind
from merv.data.build.select import accuracies, by_chance, select, wilson
from merv.data.build.validate import Question


def question(number, num_options=4):
    return Question(f"What is done in {number}?", "right", tuple(f"wrong {n}" for n in range(num_options - 1)))


def planted(num, num_known, num_options=4, rounds=4, seed=0):
    """Questions of which the first are known; the others are guessed."""
    guess = random.Random(seed)
    rights = [
        rounds if place < num_known else sum(guess.random() < 1 / num_options for _ in range(rounds))
        for place in range(num)
    ]
    return [question(place, num_options) for place in range(num)], [Blind(right, rounds) for right in rights]


def mean(blind, places):
    return sum(blind[place].share for place in places) / len(places)


@pytest.mark.parametrize("num_options", [4, 5, 6])
def test_known_questions_go_first_and_the_rest_is_answered_as_by_chance(num_options):
    questions, blind = planted(300, 100, num_options, seed=num_options)

    found = select(questions, blind, target=0.2, alpha=0.1)

    goal = max(0.2, 1 / num_options)
    assert mean(blind, range(300)) > 0.4
    assert goal - 0.02 < mean(blind, found.kept) <= goal
    assert found.above == []
    assert len(set(range(100)) & set(found.dropped)) >= 95
    assert sorted(found.kept + found.dropped) == list(range(300))


def test_the_most_surely_known_go_before_others():
    questions = [question(place) for place in range(10)]
    blind = [Blind(right, 4) for right in (3, 4, 3, 4, 0, 0, 0, 0, 0, 0)]

    assert select(questions, blind, target=0.25, alpha=0.1).dropped == [1, 3]


def test_nothing_goes_when_all_is_guessed():
    questions, blind = planted(200, 0, 4, seed=3)
    below = [Blind(min(found.right, 1), 4) for found in blind]

    assert select(questions, below, target=0.2, alpha=0.1).dropped == []


def test_what_may_be_a_guess_stays_and_the_goal_is_not_met():
    questions = [question(place) for place in range(6)]
    blind = [Blind(2, 4)] * 6

    found = select(questions, blind, target=0.2, alpha=0.1)

    assert (found.dropped, found.above) == ([], [4])


def test_as_many_stay_as_are_to_stay():
    questions, blind = planted(20, 20)

    found = select(questions, blind, target=0.2, alpha=0.1, min_kept=7)

    assert len(found.kept) == 7
    assert found.above == [4]
    assert select(questions, blind, target=0.2, alpha=0.1).kept == []
    assert select(questions, blind, target=0.2, alpha=0.1, min_kept=50).dropped == []


def test_numbers_of_options_have_goals_of_their_own():
    four, known = planted(40, 20, 4)
    six, guessed = [question(100 + place, 6) for place in range(12)], [Blind(place % 6 == 0, 1) for place in range(12)]
    blind = [*known, *(Blind(4 * found.right, 4) for found in guessed)]

    found = select([*four, *six], blind, target=0.1, alpha=0.1)

    assert found.goals == {4: 0.25, 6: 1 / 6}
    assert all(place < 40 for place in found.dropped)


def test_the_choice_does_not_depend_on_the_order_of_the_questions():
    questions, blind = planted(60, 30)
    order = list(range(60))
    random.Random(1).shuffle(order)

    found = select(questions, blind, target=0.2, alpha=0.1)
    mixed = select([questions[i] for i in order], [blind[i] for i in order], target=0.2, alpha=0.1)

    assert {order[place] for place in mixed.dropped} == set(found.dropped)


@pytest.mark.parametrize(
    ("right", "rounds", "num_options", "chance"),
    [(4, 4, 4, 1 / 256), (0, 4, 4, 1), (3, 4, 4, 13 / 256), (1, 1, 5, 0.2)],
)
def test_by_chance_is_the_tail_of_a_binomial(right, rounds, num_options, chance):
    assert by_chance(Blind(right, rounds), num_options) == pytest.approx(chance)


@pytest.mark.parametrize(
    ("accuracy", "num", "low", "high"),
    [(0.5, 100, 0.4038, 0.5962), (0.0, 10, 0.0, 0.2775), (1.0, 10, 0.7225, 1.0), (0.0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilsons(accuracy, num, low, high):
    assert wilson(accuracy, num) == pytest.approx((low, high), abs=1e-4)


def test_accuracies_stand_by_number_of_options_and_together():
    questions = [question(0, 4), question(1, 4), question(2, 5)]
    blind = [Blind(2, 4), Blind(1, 4, ("?",)), Blind(0, 4, ("?", "??"))]

    four, five, both = accuracies(questions, blind)

    assert (four["num_options"], four["num_questions"], four["accuracy"], four["chance"]) == (4, 2, 0.375, 0.25)
    assert (five["num_options"], five["accuracy"], five["num_unparsed"]) == (5, 0.0, 2)
    assert (both["num_options"], both["num_questions"], both["accuracy"]) == ("all", 3, 0.25)
    assert accuracies([], [])[0]["accuracy"] is None
