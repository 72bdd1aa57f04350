"""What roles say: rows of any roles and clips together say what each says alone."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from merv.errors import ConfigError, RunStopped, SampleError
from merv.models.qwen2_vl.batch import PATCHES
from merv.models.qwen2_vl.roles import ROLES
from merv.video.media import MediaRef, Span

from .role_rows import all_roles, choosing, grounding, judging, role_model, sample, stir, talk

FEW = {"max_new_tokens": 6}


@pytest.fixture(scope="module")
def model():
    return all_roles()


@pytest.fixture(scope="module")
def asked(clips):
    """Rows of every role, of grids and lengths that differ, none in the order of its role."""
    return [
        ("grounder", grounding(clips["wide"])),
        ("planner", sample(question="What is seen first, and what is seen then?")),
        ("verifier", judging(clips["long"], (3.0, 7.0), 16.0)),
        ("answerer", talk(clips["still"])),
        ("gqa", choosing(clips["tall"])),
        ("grounder", grounding(clips["long"], query="a")),
        ("verifier", judging(clips["wide"], (0.0, 2.0), 4.0)),
        ("planner", sample(clips["short"], question="Is it?")),
    ]


@pytest.fixture
def calling(model):
    """Make the roles named say nothing but calls of their head."""
    handles = []

    def call(_module, _given, logits):
        logits[..., model.processor.ids.reg] += 1e6
        return logits

    def make(*roles):
        head = model.llm.model.get_output_embeddings()
        handles.extend(head.modules_to_save[role].register_forward_hook(call) for role in roles)

    yield make
    for handle in handles:
        handle.remove()


def assert_same(found, expected):
    assert [reply.text for reply in found] == [reply.text for reply in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.spans is None, one.score is None) == (other.spans is None, other.score is None)
        if one.spans is not None:
            assert_close(torch.tensor(one.spans), torch.tensor(other.spans), rtol=1e-4, atol=1e-4)
        if one.score is not None:
            assert one.score == pytest.approx(other.score, abs=1e-5)


def test_rows_of_different_roles_reply_together_as_alone(model, asked):
    together = model.ask(asked, **FEW)
    alone = [model.ask([row], **FEW)[0] for row in asked]

    assert_same(together, alone)
    assert len({reply.text for reply in together}) > 4


def test_grounders_called_together_find_what_they_find_alone(model, asked, calling):
    calling("grounder", "gqa")

    together = model.ask(asked, **FEW)
    alone = [model.ask([row], **FEW)[0] for row in asked]

    assert_same(together, alone)
    found = [role for (role, _), reply in zip(asked, together, strict=True) if reply.spans is not None]
    assert found == ["grounder", "gqa", "grounder"]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_the_size_of_batches_changes_no_reply(model, asked, batch_size):
    assert_same(model.ask(asked, batch_size=batch_size, **FEW), model.ask(asked, **FEW))


def test_roles_say_different_things_about_the_same_row(model, clips):
    row = replace(choosing(clips["wide"]), turns=talk().turns)

    said = {reply.text for reply in model.ask([(role, row) for role in ROLES if role != "verifier"], **FEW)}

    assert len(said) == 4


def test_asking_another_role_between_changes_nothing(model, asked):
    before = model.ask(asked[:1], **FEW)
    model.ask(asked[1:], **FEW)

    assert_same(model.ask(asked[:1], **FEW), before)


def test_an_answerer_without_an_adapter_is_the_base(clips):
    bare, model = role_model("answerer"), role_model("grounder")
    model.add_role("planner", type(model.config.finetune.lora)(**vars(model.config.finetune.lora)))
    stir(model.llm, of=".planner.")
    model.processor = replace(model.processor, budgets=bare.processor.budgets)

    row = [("answerer", talk(clips["wide"]))]

    assert_same(model.ask(row, **FEW), bare.ask(row, **FEW))


def test_other_pixels_are_other_words(model, clips):
    examples = [model.processor.prepare(grounding(clips["wide"]), answer=False)]
    batch = model.processor.collate(examples, pad="left")
    with torch.inference_mode():
        before, _ = model.states(model.embed(batch), batch.attention_mask, batch.positions)
        batch.frames[PATCHES] = 255 - batch.frames[PATCHES]
        after, _ = model.states(model.embed(batch), batch.attention_mask, batch.positions)

    assert (model.llm.logits(before[:, -1]) - model.llm.logits(after[:, -1])).abs().max() > 1e-2


def test_other_pixels_are_another_verdict(model, clips):
    judge = model.processor.for_role("verifier")
    batch = judge.collate([judge.prepare(judging(clips["long"], (3.0, 7.0), 16.0), answer=False)], pad="left")
    [before] = model.reply(batch)
    batch.frames[PATCHES] = 255 - batch.frames[PATCHES]

    assert abs(model.reply(batch)[0].score - before.score) > 1e-4


def test_a_call_as_the_first_word_finds_moments(model, clips, calling):
    calling("grounder")

    [reply] = model.ask([("grounder", grounding(clips["wide"]))], max_new_tokens=1)

    assert reply.text == "<|reg|>"
    assert len(reply.spans) > 0
    assert all(0 <= start <= end <= 4.0 and 0 <= score <= 1 for start, end, score in reply.spans)
    assert [score for *_, score in reply.spans] == sorted((score for *_, score in reply.spans), reverse=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["class_head", "coord_head"])
def test_a_head_that_says_no_numbers_stops(model, clips, calling, part, value):
    calling("grounder")
    head = getattr(model.heads["grounder"], part)
    handle = head.register_forward_hook(
        lambda _module, _given, said: said + (value if part == "class_head" else torch.nan)
    )

    with handle, pytest.raises(RunStopped, match=r"^logits and distances of the grounder's head are not finite: .*"):
        model.ask([("grounder", grounding(clips["wide"]))], max_new_tokens=1)


def test_of_several_calls_the_first_counts(model, clips, calling):
    calling("grounder")
    row = [("grounder", grounding(clips["wide"]))]

    [once], [often] = model.ask(row, max_new_tokens=1), model.ask(row, max_new_tokens=4)

    assert often.text == "<|reg|>" * 4
    assert_close(torch.tensor(often.spans), torch.tensor(once.spans))


def test_moments_are_seconds_of_the_video_not_of_the_stretch_that_is_shown(model, clips, calling):
    calling("grounder")
    ref = replace(clips["long"], span=Span(8.0, 12.0))

    [reply] = model.ask([("grounder", grounding(ref))], max_new_tokens=1)

    assert all(8.0 <= start <= end <= 12.0 for start, end, _ in reply.spans)


def test_who_does_not_call_finds_nothing(model, clips):
    [reply] = model.ask([("grounder", grounding(clips["wide"]))], max_new_tokens=1)

    assert "<|reg|>" not in reply.text
    assert reply.spans is None


def test_a_call_without_a_video_finds_nothing(model, calling):
    calling("grounder")

    [reply] = model.ask([("grounder", sample(query="a ring"))], max_new_tokens=1)

    assert (reply.text, reply.spans) == ("<|reg|>", None)


def test_a_verifier_says_what_its_score_says(model, asked):
    replies = [reply for (role, _), reply in zip(asked, model.ask(asked, **FEW), strict=True) if role == "verifier"]

    assert all(0 <= reply.score <= 1 and reply.text == ("Yes." if reply.score >= 0.5 else "No.") for reply in replies)
    assert len({reply.score for reply in replies}) == 2


def test_texts_alone_reply(model):
    rows = [("planner", sample(question="What?")), ("answerer", talk(question="What colour is snow?"))]

    assert_same(model.ask(rows, **FEW), [model.ask([row], **FEW)[0] for row in rows])


def test_a_row_that_cannot_be_used_leaves_the_others(model, asked):
    bad = ("planner", sample(MediaRef(asked[0][1].media[0].path / "missing"), question="What?"))

    found = model.ask([asked[0], bad, asked[1]], **FEW)

    assert isinstance(found[1], SampleError)
    assert_same([found[0], found[2]], model.ask([asked[0], asked[1]], **FEW))


def test_a_model_with_some_roles_names_them_when_it_is_asked_for_another():
    model = role_model("planner")

    assert model.roles == ("planner", "answerer")
    with pytest.raises(ConfigError, match=r"^this model has no role `gqa`; it has planner, answerer$"):
        model.ask([("gqa", sample(question="What?"))])


def test_nothing_asked_is_nothing_said(model):
    assert model.ask([]) == []


@pytest.mark.parametrize("role", ["planner", "grounder", "verifier"])
def test_a_stream_says_what_the_reply_says(model, clips, role):
    row = judging(clips["long"], (3.0, 7.0), 16.0)
    processor = model.processor.for_role(role)
    batch = processor.collate([processor.prepare(row, answer=False)], pad="left")

    pieces = list(model.stream(batch, **FEW))

    assert "".join(pieces).strip() == model.respond(batch, **FEW)[0].replace("<|im_end|>", "").strip()


def test_options_reach_generate(model):
    row = [("planner", sample(question="What?"))]
    [short], [long] = model.ask(row, max_new_tokens=1), model.ask(row, max_new_tokens=6)

    assert len(short.text) < len(long.text)
