import pytest

from merv.endpoint.cache import ReplyCache
from merv.endpoint.chat import ChatReply, Prompt
from merv.endpoint.kept import KeptReplies
from merv.endpoint.usage import Usage
from merv.errors import RunStopped

from .repliers import RuleReplier


def prompts(*texts):
    return {text: Prompt("", text) for text in texts}


def test_each_prompt_gets_its_reply_and_is_asked_once(tmp_path):
    replier = RuleReplier(lambda text: text.upper(), concurrency=3, batch_size=2)
    kept = KeptReplies(ReplyCache(tmp_path))

    assert kept.ask(replier, prompts("a", "b", "c")) == {name: ChatReply(name.upper()) for name in "abc"}
    again = KeptReplies(ReplyCache(tmp_path)).ask(replier, prompts("c", "a", "d"))

    assert again == {name: ChatReply(name.upper()) for name in "cad"}
    assert sorted(replier.texts) == ["a", "b", "c", "d"]


def test_another_identity_asks_again(tmp_path):
    cache = ReplyCache(tmp_path)
    KeptReplies(cache).ask(RuleReplier(lambda text: "1"), prompts("a"))

    found = KeptReplies(cache).ask(RuleReplier(lambda text: "2", name="other"), prompts("a"))

    assert found == {"a": ChatReply("2")}


def test_equal_prompts_are_asked_and_paid_for_once(tmp_path):
    replier = RuleReplier(lambda text: ChatReply("x", Usage(10, 1)))
    kept = KeptReplies(ReplyCache(tmp_path))

    kept.ask(replier, {number: Prompt("", "same") for number in range(5)})

    assert len(replier.texts) == 1
    assert (kept.tally.usage, kept.tally.num_asked, kept.tally.num_uncounted) == (Usage(10, 1), 1, 0)


def test_tokens_of_replies_from_the_disk_count_and_are_not_asked_for(tmp_path):
    KeptReplies(ReplyCache(tmp_path)).ask(RuleReplier(lambda text: ChatReply("x", Usage(10, 1))), prompts("a"))
    kept = KeptReplies(ReplyCache(tmp_path))

    kept.ask(RuleReplier(lambda text: "uncounted"), prompts("a", "b"))

    assert (kept.tally.usage, kept.tally.num_asked, kept.tally.num_uncounted) == (Usage(10, 1), 1, 1)


def test_what_is_no_reply_is_asked_again_another_time(tmp_path):
    cache = ReplyCache(tmp_path)

    assert KeptReplies(cache).ask(RuleReplier(lambda text: None), prompts("a")) == {"a": None}
    assert KeptReplies(cache).ask(RuleReplier(lambda text: "x"), prompts("a")) == {"a": ChatReply("x")}


def test_a_model_that_goes_away_leaves_what_it_said(tmp_path):
    def until_c(text):
        if text == "c":
            raise RunStopped("model is gone")
        return text

    with pytest.raises(RunStopped, match=r"model is gone; 2 replies are kept in .*, and the same command goes on"):
        KeptReplies(ReplyCache(tmp_path)).ask(RuleReplier(until_c), prompts("a", "b", "c", "d"))
    later = RuleReplier(lambda text: text)
    KeptReplies(ReplyCache(tmp_path)).ask(later, prompts("a", "b", "c", "d"))

    assert later.texts == ["c", "d"]
