import pytest

from merv.agent.chain import Chain, ChainConfig
from merv.agent.paths import moment_query
from merv.errors import ConfigError, SampleError
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


def test_path_2_without_the_line_of_the_choice_leaves_the_whole_text():
    reply, _ = go(2, gqa=Reply("A ring, I think", SPANS))

    assert (reply.text, reply.record["paths"][0]["answer"]) == ("A ring, I think", 0)


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
