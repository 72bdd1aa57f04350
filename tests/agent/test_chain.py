import json
import math

import pytest

from merv.agent.chain import Chain, ChainConfig
from merv.errors import ConfigError, SampleError
from merv.evaluation.tasks.protocols import ask_merv, ask_videomind
from merv.models.reply import Reply
from merv.video.media import Span

from .fakes import OPTIONS, SPANS, ScriptedRoles, both, choice, moment

ALL = ("planner", "grounder", "verifier", "answerer")
RANKED = ((10.0, 16.0, 0.8), (2.0, 4.0, 0.3), (6.0, 7.0, 0.3))


def chain(words=ALL, config=None, *, model=None, **script):
    model = model or ScriptedRoles(**script)
    return Chain(model, words, config, max_new_tokens=8), model


def test_the_four_roles_are_asked_in_order_and_all_candidates_at_once():
    asking, model = chain()

    reply = asking.answer(both())

    assert [[role for role, _ in call] for call in model.calls] == [
        ["planner"],
        ["grounder"],
        ["verifier"] * 3,
        ["answerer"],
    ]
    assert (reply.text, reply.spans, reply.score) == ("(B) cross", RANKED, None)
    assert model.asked("planner")[0].meta == {"question": "What is red?", "duration": 40.0}
    assert model.asked("grounder")[0].meta == {"query": "the red ring", "duration": 40.0}
    assert [sample.meta["candidate"] for sample in model.asked("verifier")] == [span[:2] for span in SPANS]
    assert {sample.meta["query"] for sample in model.asked("verifier")} == {
        "What is red?"
    }  # the question, as published
    assert model.asked("answerer")[0].media[0].span == Span(0.0, 32.0)


def test_the_record_holds_every_step_and_is_the_same_each_time():
    asking, _ = chain()

    record = asking.answer(both()).record

    assert record == {
        "question": "What is red?",
        "options": OPTIONS,
        "duration": 40.0,
        "shown": [0.0, 40.0],
        "planner": {
            "text": record["planner"]["text"],
            "plan": [{"type": "grounder", "value": "the red ring"}, {"type": "verifier"}, {"type": "answerer"}],
            "fallback": None,
        },
        "grounder": {"query": "the red ring", "text": "It happens in <|reg|>.", "found": True},
        "verifier": {"query": "What is red?", "texts": ["Yes."] * 3},
        "candidates": [
            {"start": 2.0, "end": 4.0, "grounder": 0.9, "verifier": 0.3},
            {"start": 10.0, "end": 16.0, "grounder": 0.5, "verifier": 0.8},
            {"start": 6.0, "end": 7.0, "grounder": 0.4, "verifier": 0.3},
        ],
        "chosen": [10.0, 16.0],
        "answerer": {"prompt": record["answerer"]["prompt"], "shown": [0.0, 32.0], "text": "(B) cross"},
    }
    assert json.dumps(record) == json.dumps(chain()[0].answer(both()).record)


def test_the_task_s_own_prompt_is_asked_unless_it_asks_for_the_moment_too():
    own, model = chain()
    own.answer(choice())
    assert model.asked("answerer")[0].turns[0].text == "What is red? Pick a letter."

    for name, ask in (("videomind", ask_videomind), ("merv", ask_merv)):
        asking, model = chain(config=ChainConfig(options_prompt=name))
        asking.answer(both())
        assert model.asked("answerer")[0].turns[0].text == ask("What is red?", OPTIONS, "")


def test_a_sample_that_asks_when_is_grounded_and_verified_alone():
    asking, model = chain()

    reply = asking.answer(moment())

    assert [call[0][0] for call in model.calls] == ["grounder", "verifier"]
    assert model.asked("grounder")[0].meta["query"] == "a ring turns red"
    assert (reply.text, reply.spans) == ("10.0 - 16.0 seconds", RANKED)
    assert not {"planner", "answerer"} & set(reply.record)


def test_without_a_verifier_the_grounder_s_order_stands():
    asking, _ = chain(("grounder", "answerer"))

    reply = asking.answer(both())

    assert reply.spans == SPANS
    assert reply.record["chosen"] == [2.0, 4.0]
    assert all(each["verifier"] is None for each in reply.record["candidates"])


def test_answerer_alone_sees_the_whole_video_which_is_the_moment():
    asking, model = chain(planner=Reply('[{"type": "answerer"}]'))

    reply = asking.answer(both())

    assert [call[0][0] for call in model.calls] == ["planner", "answerer"]
    assert model.asked("answerer")[0].media[0].span is None
    assert (reply.spans, reply.record["chosen"]) == (((0.0, 40.0, 0.0),), [0.0, 40.0])
    assert chain(("answerer",))[0].answer(both()).spans == reply.spans


def test_a_plan_without_an_answerer_leaves_it_out_only_where_no_answer_is_scored():
    plan = Reply('[{"type": "grounder"}, {"type": "verifier"}]')

    asking, model = chain(planner=plan)
    assert asking.answer(both()).text == "(B) cross"
    free = choice(options=None)
    del free.meta["answer"]
    assert asking.answer(free).text == "10.0 - 16.0 seconds"
    assert len(model.asked("answerer")) == 1


def test_a_reply_that_is_no_plan_is_recorded_and_the_usual_plan_followed():
    asking, model = chain(planner=Reply("I do not know."))

    record = asking.answer(both()).record

    assert record["planner"]["text"] == "I do not know."
    assert record["planner"]["fallback"] == "there is no list in the reply"
    assert [step["type"] for step in record["planner"]["plan"]] == ["grounder", "verifier", "answerer"]
    assert model.asked("grounder")[0].meta["query"] == "What is red?"


def test_a_plan_s_roles_that_were_not_asked_for_are_left_out():
    asking, model = chain(("planner", "grounder", "answerer"))

    asking.answer(both())

    assert [call[0][0] for call in model.calls] == ["planner", "grounder", "answerer"]


@pytest.mark.parametrize("spans", [None, (), ((math.nan, 1.0, 0.5),)])
def test_where_nothing_is_found_five_windows_are_verified(spans):
    asking, model = chain(grounder=Reply("Nowhere.", spans))

    reply = asking.answer(both())

    tried = [sample.meta["candidate"] for sample in model.asked("verifier")]
    assert tried == [(i * 40 / 6, (i + 2) * 40 / 6) for i in range(5)]
    assert reply.record["grounder"]["found"] is False
    assert [span[:2] for span in reply.spans] == tried  # all alike: the order they were tried in


def test_where_nothing_is_found_and_nobody_verifies_it_is_the_whole_video():
    asking, _ = chain(("grounder",), grounder=Reply("Nowhere."))

    assert asking.answer(moment()).spans == ((0.0, 40.0, 0.0),)


def test_the_best_candidates_alone_are_verified_and_stay_within_the_video():
    spans = ((39.0, 45.0, 0.9), (-3.0, 2.0, 0.8), (4.0, 3.0, 0.7))
    asking, model = chain(config=ChainConfig(candidates=2), grounder=Reply("", spans))

    reply = asking.answer(both())

    assert [sample.meta["candidate"] for sample in model.asked("verifier")] == [(39.0, 40.0), (0.0, 2.0)]
    assert len(reply.spans) == 2


def test_a_candidate_the_verifier_cannot_be_shown_comes_last():
    def verify(sample):
        broken = sample.meta["candidate"] == (2.0, 4.0)
        return SampleError("damaged") if broken else Reply("No.", score=0.1)

    asking, _ = chain(verifier=verify)

    reply = asking.answer(both())

    assert [span[:2] for span in reply.spans] == [(10.0, 16.0), (6.0, 7.0), (2.0, 4.0)]
    assert reply.record["verifier"]["failed"] == {"0": "damaged"}
    assert reply.record["candidates"][0]["verifier"] is None


def test_a_verdict_that_is_no_number_counts_as_none():
    asking, _ = chain(verifier=Reply("Yes.", score=math.nan))

    assert asking.answer(both()).spans == SPANS


@pytest.mark.parametrize("role", ALL)
def test_a_video_no_role_can_be_shown_fails_the_sample(role):
    asking, _ = chain(**{role: SampleError("cannot be read")})

    with pytest.raises(SampleError, match="cannot be read"):
        asking.answer(both())


@pytest.mark.parametrize(("seconds", "shown"), [(None, (0.0, 32.0)), (8.0, (9.0, 17.0)), (0.0, (10.0, 16.0))])
def test_the_answerer_is_shown_at_least_so_many_seconds(seconds, shown):
    asking, model = chain(config=ChainConfig(answer_min_seconds=seconds))

    asking.answer(both())

    assert model.asked("answerer")[0].media[0].span == Span(*shown)


def test_plans_may_be_longer_than_answers():
    asking, model = chain()

    asking.answer(both())

    tokens = {call[0][0]: options["max_new_tokens"] for call, options in zip(model.calls, model.options, strict=True)}
    assert (tokens["planner"], tokens["grounder"], tokens["answerer"]) == (256, 256, 8)
    assert all(options["do_sample"] is False for options in model.options)


def test_a_sample_that_asks_when_needs_a_grounder():
    asking, _ = chain(("answerer",))

    with pytest.raises(SampleError, match="sample `m` asks when something happens; add grounder to --agent"):
        asking.answer(moment())


def test_a_task_of_which_nothing_can_be_asked_is_refused_with_the_first_reason():
    asking, _ = chain(("answerer",))

    with pytest.raises(ConfigError, match=r"none of the 2 samples of task `t` will do: sample `m` asks when"):
        asking.check([moment(), moment()], "t")
    asking.check([moment(), both()], "t")
