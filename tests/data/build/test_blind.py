import re
from collections import Counter

import pytest
from endpoint.repliers import RuleReplier

from merv.data.build.blind import Blind, ask_blind, orders
from merv.data.build.validate import Question
from merv.endpoint.cache import ReplyCache
from merv.endpoint.kept import KeptReplies
from merv.evaluation.parsing import parse_option


def question(number, num_options=4):
    return Question(f"What is done in {number}?", "right", tuple(f"wrong {n}" for n in range(num_options - 1)))


def ask(tmp_path, rule, questions, rounds=range(4)):
    replier = RuleReplier(rule)
    kept = KeptReplies(ReplyCache(tmp_path))
    return ask_blind(questions, replier, kept, parse_option, rounds=rounds, seed=7), replier.texts


def knows(text):
    return re.search(r"\(([A-F])\) right", text)[1]


def test_the_right_option_stands_at_every_place_once_before_it_returns():
    for number in range(20):
        found = orders(question(number, 5), 10, seed=7)

        assert [options[place] for options, place in found] == ["right"] * 10
        assert Counter(place for _, place in found[:5]) == dict.fromkeys(range(5), 1)


def test_orders_depend_on_question_round_and_seed_alone():
    first = orders(question(1), 6, seed=7)

    assert orders(question(1), 4, seed=7) == first[:4]
    assert orders(question(1), 6, seed=8) != first
    assert orders(question(2), 6, seed=7) != first


@pytest.mark.parametrize("num", [5, 9, 24])
def test_no_order_comes_twice_while_there_are_others(num):
    for number in range(20):
        found = orders(question(number, 4), num, seed=7)

        assert len({tuple(options) for options, _ in found}) == num


def test_a_model_that_knows_is_right_in_every_round_and_is_asked_each(tmp_path):
    blind, texts = ask(tmp_path, knows, [question(0), question(1)])

    assert blind == [Blind(4, 4), Blind(4, 4)]
    assert len(texts) == 8
    assert len(set(texts)) == 8


def test_a_model_with_a_favourite_letter_is_right_as_often_as_by_chance(tmp_path):
    blind, _ = ask(tmp_path, lambda text: "(B)", [question(number, 4) for number in range(5)])

    assert [found.right for found in blind] == [1] * 5


def test_replies_that_name_no_option_are_wrong_and_shown(tmp_path):
    def rule(text):
        return None if "in 1?" in text else "I cannot see a video."

    blind, _ = ask(tmp_path, rule, [question(0), question(1)], rounds=range(2))

    assert blind == [Blind(0, 2, ("I cannot see a video.",) * 2), Blind(0, 2, ("", ""))]


def test_what_was_answered_is_not_asked_again_and_more_rounds_ask_only_those(tmp_path):
    ask(tmp_path, knows, [question(0)], rounds=range(2))

    _, texts = ask(tmp_path, knows, [question(0)], rounds=range(3))

    assert len(texts) == 1


def test_thoughts_before_an_answer_are_no_answer(tmp_path):
    [found], _ = ask(tmp_path, lambda text: f"It is (A), or (B).\n</think>\n({knows(text)})", [question(1)])

    assert (found.right, found.unparsed) == (4, ())
