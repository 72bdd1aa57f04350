import pytest

from merv.agent.chain import Chain, ChainConfig
from merv.agent.paths import moment_query
from merv.errors import ConfigError, SampleError
from merv.models.qwen2_vl.tokens import RESERVED
from merv.models.reply import Reply
from merv.video.media import Span

from .fakes import SPANS, ScriptedRoles, both, choice, moment


def go(*paths, sample=None, **script):
    model = ScriptedRoles(**script)
    reply = Chain(model, ("mupa",), ChainConfig(paths=list(paths))).answer(sample or both())
    return reply, model


def order(model):
    return [call[0][0] for call in model.calls]


@pytest.mark.parametrize(
    ("question", "answer", "query"),
    [
        ("What fruit did she take out?", "Kiwi.", "The moment when fruit did she take out kiwi"),
        ("Why does the person go?", "Because he is late.", "The moment when the person go he is late"),
        ("Who is slicing the leek?", "", "The moment when slicing the leek"),
        ("When DID it rain", "As the sun set!", "The moment when it rain the sun set"),
        ("Why?", "since", "The moment when since"),
        ("What?", "", "The moment when"),
        ("  What is\tit ?  ", "A  cat", "The moment when it a cat"),
    ],
)
def test_question_and_answer_become_a_query(question, answer, query):
    assert moment_query(question, answer) == query


def test_path_1_grounds_answers_on_the_best_moment_and_verifies():
    reply, model = go(1)

    assert order(model) == ["grounder", "answerer", "verifier"]
    assert model.asked("grounder")[0].meta["query"] == "What is red?"
    assert model.asked("answerer")[0].media[0].span == Span(0.0, 32.0)
    assert {sample.meta["query"] for sample in model.asked("verifier")} == {"The moment when red cross"}
    [path] = reply.record["paths"]
    assert path["moments"] == [[10.0, 16.0, 0.4], [2.0, 4.0, 0.27], [6.0, 7.0, pytest.approx(0.12)]]
    assert reply.spans == tuple(map(tuple, path["moments"]))


def test_path_2_finds_and_chooses_in_one_reply():
    reply, model = go(2)

    assert order(model) == ["gqa", "verifier"]
    assert model.asked("gqa")[0].meta == {
        "question": "What is red?",
        "options": ["ring", "cross", "square"],
        "duration": 40.0,
    }
    assert (reply.text, reply.record["paths"][0]["answer"]) == ("(B) cross", 1)


LINE = "2) Best choice: (B) cross"
EXPECTED = "; expected one line `2) Best choice: (letter) option`"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A ring, I think", f"0 lines with a choice{EXPECTED}"),
        ("", f"0 lines with a choice{EXPECTED}"),
        (f"{LINE}\n2) Best choice: (A) ring", f"2 lines with a choice{EXPECTED}"),
        (f"{LINE}\n{LINE}", f"2 lines with a choice{EXPECTED}"),
        (f"{LINE}\n2) Best choice: ring", f"2 lines with a choice{EXPECTED}"),
        (f"So: {LINE}", f"the choice has another form{EXPECTED}"),
        ("2) Best choice: B", f"the choice has another form{EXPECTED}"),
        ("2) Best choice: (b) cross", f"the choice has another form{EXPECTED}"),
        ("2) Best choice: cross (B)", f"the choice has another form{EXPECTED}"),
        ("1) Best choice: (B) cross", f"the choice has another form{EXPECTED}"),
        ("2) Best choice: (D) star", "the choice is (D) of 3 options"),
    ],
)
def test_a_joint_reply_without_one_clear_choice_has_no_vote_and_leaves_the_whole_text(text, reason):
    reply, _ = go(2, gqa=Reply(text, SPANS))

    [path] = reply.record["paths"]
    assert (reply.text, path["answer"], path["no_vote"]) == (text, None, reason)


@pytest.mark.parametrize(
    "text", [LINE, f"1) <|reg|>\n{LINE}  ", f"{LINE}\nas the (A) ring is blue", "2) Best choice: (B)"]
)
def test_a_joint_reply_with_one_clear_choice_votes(text):
    reply, _ = go(2, gqa=Reply(text, SPANS))

    [path] = reply.record["paths"]
    assert path["answer"] == 1
    assert "no_vote" not in path


def test_a_joint_reply_without_a_vote_is_outvoted():
    reply, _ = go(1, 2, gqa=Reply("A ring, I think", ((2.0, 4.0, 1.0),)))

    assert [path["answer"] for path in reply.record["paths"]] == [1, None]
    assert (reply.text, reply.record["winner"]) == ("(B) cross", 1)


@pytest.mark.parametrize("token", RESERVED)
def test_tokens_with_a_meaning_of_their_own_never_become_a_query(token):
    free = choice(options=None)

    _, model = go(3, sample=free, answerer=Reply(f"a {token} kite{token}"))

    asked = [*model.asked("grounder"), *model.asked("verifier")]
    assert {sample.meta["query"] for sample in asked} == {"The moment when red a kite"}


def test_a_call_in_an_unread_joint_reply_does_not_reach_the_verifier():
    _, model = go(2, gqa=Reply("in <|reg|> it is<|re<|reg|>g|>", SPANS))

    assert {sample.meta["query"] for sample in model.asked("verifier")} == {"The moment when red in it is<|re g|>"}


def test_path_3_answers_on_the_whole_video_and_looks_for_question_and_answer():
    reply, model = go(3)

    assert order(model) == ["answerer", "grounder", "verifier"]
    assert model.asked("answerer")[0].media[0].span is None
    assert model.asked("grounder")[0].meta["query"] == "The moment when red cross"
    assert reply.record["winner"] == 3


def test_a_sample_that_asks_when_takes_path_4_whatever_was_chosen():
    for paths in ((1,), (4,), ()):
        reply, model = go(*paths, sample=moment())

        assert order(model) == ["grounder", "verifier"]
        assert reply.spans == ((10.0, 16.0, 0.8), (2.0, 4.0, 0.3), (6.0, 7.0, 0.3))  # by the verifier, as published


def test_three_paths_vote_and_their_moments_are_drawn_together():
    def answer(sample):
        return Reply("(A) ring" if sample.media[0].span else "(B) cross")

    reply, _ = go(1, 2, 3, answerer=answer)

    assert [path["answer"] for path in reply.record["paths"]] == [0, 1, 1]
    assert (reply.text, reply.record["winner"]) == ("(B) cross", 2)
    assert reply.spans == (
        (10.0, 16.0, pytest.approx(0.4)),
        (2.0, 4.0, pytest.approx(0.27)),
        (6.0, 7.0, pytest.approx(0.12)),
    )
    assert reply.record["chosen"] == [10.0, 16.0]
    assert reply == go(1, 2, 3, answerer=answer)[0]


def test_mupa_takes_three_paths_and_path_4_beside_them_answers_nothing():
    reply, _ = go()
    beside, _ = go(1, 2, 3, 4)

    assert [path["path"] for path in reply.record["paths"]] == [1, 2, 3]
    assert beside == reply


def test_the_guesses_of_a_path_do_not_thin_out_what_another_found():
    reply, _ = go(1, 2, grounder=Reply("Nowhere."))

    assert [path.get("grounder", path.get("gqa"))["found"] for path in reply.record["paths"]] == [False, True]
    assert reply.spans == go(2)[0].spans


def test_where_no_path_finds_anything_guesses_are_all_there_is():
    reply, _ = go(1, 3, grounder=Reply("Nowhere."))

    assert len(reply.spans) == 5
    assert {score for _, _, score in reply.spans} == {0.0}


def test_answers_nobody_can_read_leave_the_first_text():
    unread = Reply("no idea")

    reply, _ = go(1, 3, answerer=unread)

    assert (reply.text, reply.record["winner"]) == ("no idea", 1)


def test_free_answers_vote_by_their_words():
    free = choice(options=None)

    reply, _ = go(1, 3, sample=free, answerer=lambda s: Reply("A Kite." if s.media[0].span else "a kite"))

    assert [path["answer"] for path in reply.record["paths"]] == ["a kite", "a kite"]


@pytest.mark.parametrize(
    ("paths", "sample", "message"),
    [
        ([4], both(), "sample `g` asks a question and path 4 answers none; add 1, 2 or 3 to chain.paths"),
        (
            [2, 3],
            choice(options=None),
            "sample `q` has no options and path 2 chooses one; leave it out of chain.paths",
        ),
    ],
)
def test_a_sample_no_path_can_answer_is_refused(paths, sample, message):
    chain = Chain(ScriptedRoles(), ("mupa",), ChainConfig(paths=paths))

    with pytest.raises(SampleError, match=message):
        chain.answer(sample)
    with pytest.raises(ConfigError, match=message):
        chain.check([sample], "t")
