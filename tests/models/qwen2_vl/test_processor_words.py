"""Which words stand where: before and behind the video, and where a model begins to speak."""

from dataclasses import replace

import pytest
import torch

from merv.chat import IGNORE_INDEX, Turn
from merv.data.sample import Sample
from merv.models.qwen2_vl.prompts import WORDINGS, WORDS_BEFORE_VERDICT
from merv.models.qwen2_vl.roles import ROLES, role_called
from merv.models.qwen2_vl.tokens import VISION_END, VISION_START

from .role_rows import choosing, grounding, judging, role_config, sample, talk

ROWS = {
    "planner": lambda ref: sample(ref, question="What is it?"),
    "grounder": grounding,
    "verifier": lambda ref: judging(ref, (1.0, 2.0), 4.0),
    "answerer": talk,
    "gqa": choosing,
}


@pytest.fixture(scope="module")
def processor():
    return role_config("grounder").build().processor


def text_of(processor, example):
    return processor.tokenizer.decode(example.input_ids)


def learned(processor, example):
    return processor.tokenizer.decode(example.labels[example.labels != IGNORE_INDEX])


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("wording", WORDINGS)
def test_a_verdict_is_read_where_it_is_learned(processor, clips, wording, positive):
    judge = replace(processor.for_role("verifier"), wording=wording)

    asked = judge.prepare(judging(clips["long"], (6.0, 10.0), 16.0), answer=False).input_ids
    found = judge.prepare(judging(clips["long"], (6.0, 10.0), 16.0, positive=positive))

    torch.testing.assert_close(found.input_ids[: len(asked)], asked)
    verdict = judge.ids.yes if positive else judge.ids.no
    place = len(asked) + WORDS_BEFORE_VERDICT[wording]
    assert found.input_ids[place] == found.labels[place] == verdict
    assert text_of(judge, judge.prepare(judging(clips["long"], (6.0, 10.0), 16.0), answer=False)).endswith(
        "assistant\n"
    )


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("wording", WORDINGS)
def test_the_video_stands_before_the_words_whatever_they_are(processor, clips, wording, role):
    own, row = replace(processor.for_role(role), wording=wording), ROWS[role](clips["wide"])

    text = text_of(own, own.prepare(row, answer=False)).partition("<|im_start|>user\n")[2]

    before, _, rest = text.partition("<|im_end|>")[0].partition(VISION_START)
    assert before == ""
    assert rest.partition(VISION_END)[2] == role_called(role).request(row, wording).turns[0].text


def test_a_role_trained_with_other_words_has_its_own(processor, clips):
    mixed = replace(processor, wordings={"grounder": "videomind"})

    published = text_of(mixed, mixed.prepare(grounding(clips["wide"]), answer=False))
    short = text_of(mixed, mixed.for_role("verifier").prepare(judging(clips["wide"], (1.0, 2.0), 4.0), answer=False))

    assert "You are acting as the grounder" in published
    assert "Is it: a ring" in short
    assert short.endswith("assistant\n")


@pytest.mark.parametrize("wording", WORDINGS)
def test_a_conversation_shows_the_video_with_its_first_question(processor, clips, wording):
    turns = tuple(
        Turn(role, text) for role, text in zip(["user", "assistant"] * 2, ["A?", "a", "B?", "b"], strict=True)
    )

    own = replace(processor.for_role("answerer"), wording=wording)

    found = own.prepare(Sample("a", turns, (clips["wide"],)))

    text = text_of(own, found)
    first, second = text.index("A?"), text.index("B?")
    assert text.index(VISION_END) < first < second
    assert text.count(VISION_START) == 1
    assert learned(own, found) == " a<|im_end|> b<|im_end|>"
