import re
import threading
from dataclasses import dataclass

import pytest

from merv.errors import ConfigError, RunStopped
from merv.evaluation.judge.asking import verdicts
from merv.evaluation.judge.config import Judge, JudgeConfig
from merv.evaluation.judge.prompts import Case
from merv.evaluation.judge.replies import Verdict

from .server import NO, YES

RIGHT, WRONG = Verdict(True, 5), Verdict(False, 1)


@dataclass
class RuleJudge(Judge):
    """Replies by `rule(n, text)`; n counts from 0."""

    rule: object
    concurrency: int = 1
    batch_size: int = 1
    name: str = "rule"

    def __post_init__(self):
        self.texts, self.sizes, self.lock = [], [], threading.Lock()

    def identity(self):
        return {"name": self.name}

    def describe(self):
        return {"model": self.name}

    def replies(self, prompts, stop):
        with self.lock:
            self.sizes.append(len(prompts))
            first = len(self.texts)
            self.texts += [prompt.text for prompt in prompts]
        return [self.rule(first + i, prompt.text) for i, prompt in enumerate(prompts)]


def cases(size, prediction="a cat"):
    return [Case(f"what is in {number}?", "a cat", prediction) for number in range(size)]


def config(tmp_path, **options):
    return JudgeConfig(cache_dir=tmp_path, **{"max_attempts": 3, **options})


def even_is_right(number, text):
    return YES if int(re.search(r"is in (\d+)", text)[1]) % 2 == 0 else NO


def test_each_case_gets_its_own_verdict_whatever_the_order(tmp_path):
    judge = RuleJudge(even_is_right, concurrency=4, batch_size=3)

    found = verdicts(judge, config(tmp_path), cases(10))

    assert found == [RIGHT, WRONG] * 5
    assert sorted(judge.sizes) == [1, 3, 3, 3]


def test_equal_cases_are_asked_about_once_and_known_ones_not_at_all(tmp_path):
    judge = RuleJudge(even_is_right)

    assert verdicts(judge, config(tmp_path), cases(2) * 3) == [RIGHT, WRONG] * 3
    assert verdicts(judge, config(tmp_path), cases(3)) == [RIGHT, WRONG, RIGHT]

    assert len(judge.texts) == 3


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"protocol": "video-chatgpt"}, {"prediction": "the cat"}, {"prompt": True}]
)
def test_a_change_of_what_matters_asks_again(tmp_path, change):
    verdicts(RuleJudge(even_is_right), config(tmp_path), cases(2))
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("{question} {answer} {prediction}")
    judge = RuleJudge(even_is_right, name=change.get("name", "rule"))
    options = {"protocol": change.get("protocol", "merv"), "prompt": prompt if "prompt" in change else None}

    verdicts(judge, config(tmp_path, **options), cases(2, change.get("prediction", "a cat")))

    assert len(judge.texts) == 2


def test_the_number_of_attempts_and_of_threads_does_not_matter_to_the_cache(tmp_path):
    verdicts(RuleJudge(even_is_right), config(tmp_path), cases(2))
    judge = RuleJudge(even_is_right, concurrency=5)

    verdicts(judge, config(tmp_path, max_attempts=7), cases(2))

    assert judge.texts == []


@pytest.mark.parametrize("reply", ["I would say so.", "", None])
def test_a_judge_that_never_parses_ends(tmp_path, reply):
    judge = RuleJudge(lambda number, text: reply, concurrency=2)

    found = verdicts(judge, config(tmp_path), cases(4))

    assert found == [None] * 4
    assert len(judge.texts) == 4 * 3


def test_used_up_attempts_are_remembered_and_more_of_them_ask_again(tmp_path):
    verdicts(RuleJudge(lambda number, text: "?"), config(tmp_path), cases(1))
    judge = RuleJudge(lambda number, text: YES)

    assert verdicts(judge, config(tmp_path), cases(1)) == [None]
    assert judge.texts == []
    assert verdicts(judge, config(tmp_path, max_attempts=4), cases(1)) == [RIGHT]
    assert len(judge.texts) == 1


def test_what_was_no_reply_is_forgotten_with_the_run(tmp_path):
    verdicts(RuleJudge(lambda number, text: None), config(tmp_path), cases(1))

    assert verdicts(RuleJudge(lambda number, text: YES), config(tmp_path), cases(1)) == [RIGHT]


def test_a_reply_that_reads_at_a_later_attempt_counts(tmp_path):
    judge = RuleJudge(lambda number, text: "hm" if number < 2 else YES)

    assert verdicts(judge, config(tmp_path), cases(1)) == [RIGHT]
    assert len(judge.texts) == 3


def test_a_judge_that_goes_away_leaves_what_it_said_and_the_next_call_goes_on(tmp_path):
    def until_three(number, text):
        if number == 3:
            raise RunStopped("judge `x` is gone")
        return even_is_right(number, text)

    with pytest.raises(RunStopped, match="judge `x` is gone; 3 of 6 verdicts and all answers are kept, and the same"):
        verdicts(RuleJudge(until_three), config(tmp_path), cases(6))
    judge = RuleJudge(even_is_right)

    assert verdicts(judge, config(tmp_path), cases(6)) == [RIGHT, WRONG] * 3
    assert len(judge.texts) == 3


def test_a_refusal_ends_at_once(tmp_path):
    def refuse(number, text):
        raise ConfigError("judge `x` refuses the key")

    judge = RuleJudge(refuse)
    with pytest.raises(ConfigError, match="refuses the key"):
        verdicts(judge, config(tmp_path), cases(50))

    assert len(judge.texts) == 1


def test_nothing_to_judge_asks_nothing(tmp_path):
    assert verdicts(RuleJudge(even_is_right), config(tmp_path), []) == []


def test_no_attempt_at_all_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="max_attempts is 0"):
        JudgeConfig(max_attempts=0)
