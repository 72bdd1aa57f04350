import json

import pytest
from endpoint.repliers import RuleReplier

from merv.data.build.moments import Moment
from merv.data.build.validate import NO_REPLY, NOT_JSON, TWO_RIGHT, Limits
from merv.data.build.write import REPEATED, write_questions
from merv.endpoint.cache import ReplyCache
from merv.endpoint.kept import KeptReplies


def moments(num, vid="v"):
    return [Moment(f"m-{number}", f"{vid}{number}", f"query {number}", ((1.0, 4.0),), 30.0) for number in range(num)]


def good(text, question=None):
    """A reply with as many distractors as the prompt shows places for."""
    number = text.partition('"query ')[2].partition('"')[0]
    wrong = [f"wrong {place}" for place in range(text.partition('"distractors"')[2].count('"..."'))]
    return json.dumps({"question": question or f"What is done in {number}?", "answer": "right", "distractors": wrong})


def write(tmp_path, rule, asked, *, limits=None, max_tries=3, seed=7):
    repliers = {}

    def replier(attempt):
        repliers[attempt] = RuleReplier(rule, name=f"attempt-{attempt}")
        return repliers[attempt]

    kept = KeptReplies(ReplyCache(tmp_path))
    written = write_questions(asked, replier, kept, limits=limits or Limits(), max_tries=max_tries, seed=seed)
    return written, {attempt: found.texts for attempt, found in repliers.items()}


def test_each_moment_gets_its_question_in_the_order_of_the_moments(tmp_path):
    written, texts = write(tmp_path, good, moments(6))

    assert [(moment.id, question.question) for moment, question in written.questions] == [
        (f"m-{number}", f"What is done in {number}?") for number in range(6)
    ]
    assert sorted(question.num_options for _, question in written.questions) == [4, 4, 5, 5, 6, 6]
    assert (len(texts[1]), written.refusals) == (6, [])


def test_a_reply_that_cannot_be_used_is_asked_again_with_the_reason(tmp_path):
    def rule(text):
        return good(text) if "could not be used" in text or '"query 0"' not in text else "hm"

    written, texts = write(tmp_path, rule, moments(3))

    assert len(written.questions) == 3
    assert [(found.id, found.attempt, found.reason, found.reply) for found in written.refusals] == [
        ("m-0", 1, NOT_JSON, "hm")
    ]
    assert (len(texts[1]), len(texts[2])) == (3, 1)
    assert f"could not be used: {NOT_JSON}." in texts[2][0]


def test_attempts_are_bounded_and_reasons_counted(tmp_path):
    def rule(text):
        twice = json.dumps({"question": "Who?", "answer": "x", "distractors": ["x", "y", "z"]})
        return {"0": twice, "1": None, "2": "hm"}[text.partition('"query ')[2][0]]

    written, texts = write(tmp_path, rule, moments(3), max_tries=2)

    assert written.questions == []
    assert written.reasons == {TWO_RIGHT: 2, NO_REPLY: 2, NOT_JSON: 2}
    assert list(texts) == [1, 2]


def test_what_is_on_disk_is_not_asked_again_and_gives_the_same(tmp_path):
    def rule(text):
        return "hm" if '"query 1"' in text and "could not be used" not in text else good(text)

    first, _ = write(tmp_path, rule, moments(4))
    second, texts = write(tmp_path, rule, moments(4))

    assert second == first
    assert sum(map(len, texts.values())) == 0


def test_the_same_question_about_the_same_video_counts_once(tmp_path):
    asked = [Moment(f"m-{number}", "v", f"query {number}", ((1.0, 4.0),), 30.0) for number in range(3)]

    written, _ = write(tmp_path, lambda text: good(text, "Who waves?"), asked)
    apart, _ = write(tmp_path / "apart", lambda text: good(text, "Who waves?"), moments(3))

    assert [moment.id for moment, _ in written.questions] == ["m-0"]
    assert written.reasons == {REPEATED: 2}
    assert len(apart.questions) == 3


@pytest.mark.parametrize("num", [3, 8])
def test_more_moments_do_not_change_what_is_asked_about_the_first(tmp_path, num):
    _, texts = write(tmp_path, good, moments(num))
    _, first = write(tmp_path / "other", good, moments(3))

    assert texts[1][:3] == first[1]
