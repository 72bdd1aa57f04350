"""The role model's loss: what it depends on, and what it does not."""

import pytest
import torch
from torch.testing import assert_close

from merv.errors import ConfigError
from merv.models.freeze import set_stage
from merv.models.qwen2_vl.batch import PATCHES
from merv.models.stage import StageConfig

from .role_rows import LORA, WORDS, choosing, grounding, judging, role_model, sample, stir, talk

PLAN = [{"type": "grounder", "value": "a ring"}, {"type": "answerer"}]


def rows_of(role, clips):
    """Three rows of a role, of different clips and lengths; the last of a planner or an answerer shows nothing."""
    wide, tall, long = clips["wide"], clips["tall"], clips["long"]
    if role == "grounder":
        return [grounding(wide, (1, 2)), grounding(tall, (0.5, 1), (2, 2.5), query="a"), grounding(long, (3, 9))]
    if role == "gqa":
        return [choosing(clip, window, answer=0) for clip, window in ((wide, (1, 2)), (tall, (0, 1)), (long, (3, 9)))]
    if role == "verifier":
        return [
            judging(wide, (1, 2), 4.0, True),
            judging(long, (3, 7), 16.0, False),
            judging(tall, (0, 2), 2.6, True),
        ]
    if role == "planner":
        asked = [((wide,), "What?", PLAN), ((tall,), "Which of them?", []), ((), "Is it?", PLAN)]
        return [sample(*media, question=question, plan=plan) for media, question, plan in asked]
    return [talk(wide), talk(clips["still"], answer="a yellow star"), talk(question="What colour is snow?")]


ROLES = ["grounder", "gqa", "verifier", "planner", "answerer"]


@pytest.fixture(scope="module")
def models():
    """A model for each role, with large random adapters and head."""
    made = {}
    for role in ROLES:
        model = role_model(role)
        model.add_adapters(WORDS)
        stir(model.llm, of="lora_")
        stir(model.heads, 3)
        made[role] = model.eval()
    return made


def batch_of(model, rows, pad="right", answer=True):
    return model.processor.collate([model.processor.prepare(row, answer=answer) for row in rows], pad=pad)


def losses(model, batch):
    with torch.no_grad():
        output = model(batch)
    return torch.stack([output.loss_sum, output.row_loss_sum if output.row_loss_sum is not None else torch.zeros(())])


@pytest.mark.parametrize("role", ROLES)
def test_rows_add_up_to_the_loss_of_a_batch(models, clips, role):
    model, rows = models[role], rows_of(role, clips)

    together = losses(model, batch_of(model, rows))

    assert_close(together, sum(losses(model, batch_of(model, [row])) for row in rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("role", ROLES)
def test_tokens_and_rows_are_counted(models, clips, role):
    model, rows = models[role], rows_of(role, clips)
    batch = batch_of(model, rows)

    output = model(batch)

    assert output.num_tokens == batch.num_target_tokens() > 0
    assert batch.num_target_rows() == (3 if role in ("grounder", "gqa") else 0)
    assert (output.row_loss_sum is not None) == (role in ("grounder", "gqa"))


@pytest.mark.parametrize("role", ROLES)
def test_other_pixels_are_another_loss(models, clips, role):
    model, rows = models[role], rows_of(role, clips)
    batch = batch_of(model, rows)
    before = losses(model, batch)
    batch.frames[PATCHES] = 255 - batch.frames[PATCHES]

    change = (losses(model, batch) - before).abs()

    assert change[0] > 1e-3
    assert role not in ("grounder", "gqa") or change[1] > 1e-3


@pytest.mark.parametrize("role", ["grounder", "gqa"])
def test_where_a_row_is_to_be_found_changes_the_row_loss_alone(models, clips, role):
    model, make = models[role], {"grounder": grounding, "gqa": choosing}[role]
    more = {} if role == "grounder" else {"answer": 0}

    here, there = (
        losses(model, batch_of(model, [make(clips["wide"], window, **more)])) for window in ((0, 1), (3, 4))
    )

    assert here[0] == there[0]
    assert (here[1] - there[1]).abs() > 1e-2


def test_a_row_that_calls_twice_counts_once(models, clips):
    model = models["grounder"]
    batch = batch_of(model, [grounding(clips["wide"], (1, 2))])
    [[place]] = batch.calls
    found = []
    for calls in ((place,), (place - 3,), (place, place - 3)):
        batch.calls = (calls,)
        found.append(losses(model, batch)[1])

    assert found[0] != found[1]
    assert_close(found[2], (found[0] + found[1]) / 2)


def test_rows_of_one_clip_share_it_and_lose_what_they_lose_alone(models, clips):
    model = models["grounder"]
    rows = [grounding(clips[name], window) for name, window in (("wide", (1, 2)), ("tall", (0, 1)), ("wide", (3, 4)))]

    batch = model.processor.collate(model.processor.prepare_all(rows))

    assert batch.shows.tolist() == [0, 1, 0]
    assert_close(losses(model, batch), losses(model, batch_of(model, rows)))


@pytest.mark.parametrize("name", ["one clip", "none"])
def test_a_batch_with_and_without_videos_trains_the_same_parameters(clips, name):
    """DDP waits for every gradient: a process that draws texts alone runs the same modules."""
    model = role_model("grounder")
    set_stage(model, "full-finetune", StageConfig())
    model.train()
    texts = [model.processor.for_role("planner").prepare(sample(question=q, plan=PLAN)) for q in ("What?", "Is it?")]
    shown = [model.processor.prepare(grounding(clips["wide"], (1, 2)))] if name == "one clip" else []

    output = model(model.processor.collate([*texts, *shown]))
    (output.loss_sum + output.row_loss_sum).backward()

    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
    zero = all(not parameter.grad.any() for parameter in [*model.vision.parameters(), *model.heads.parameters()])
    assert zero == (name == "none")
    assert (output.row_loss_sum == 0) == (name == "none")


@pytest.mark.parametrize("role", ["grounder", "planner"])
def test_texts_alone_lose_the_same_in_training_and_in_evaluation(models, role):
    model = models[role]
    planner = model.processor.for_role("planner")
    batch = model.processor.collate([planner.prepare(sample(question="What?", plan=PLAN))])
    expected = losses(model, batch)

    found = losses(model.train(), batch)

    model.eval()
    assert_close(found, expected)


@pytest.mark.parametrize(
    ("role", "stage", "expected"),
    [
        ("grounder", "align", ["heads"]),
        ("grounder", "finetune", ["llm", "heads"]),
        ("grounder", "full-align", ["llm", "heads"]),
        ("grounder", "full-finetune", ["vision", "llm", "heads"]),
        ("planner", "finetune", ["llm"]),
        ("planner", "full-finetune", ["vision", "llm"]),
    ],
)
def test_a_stage_trains_its_parts(models, role, stage, expected):
    assert models[role].learning_parts(stage) == expected


def test_a_stage_of_heads_alone_is_refused_where_there_is_none(models):
    with pytest.raises(ConfigError, match="stage align trains the grounding head alone, and role planner has none"):
        models["planner"].learning_parts("align")


def test_adapters_for_a_stage_without_llm_are_refused():
    with pytest.raises(ConfigError, match=r"lora.rank is 2, but stage align does not train the llm; set it to 0"):
        set_stage(role_model("grounder"), "align", StageConfig(lora=LORA))


def test_what_learns_is_the_adapter_its_words_and_the_head():
    model = role_model("grounder")

    set_stage(model, "finetune", StageConfig(lora=WORDS))

    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"llm", "heads"}
    llm = {name for name in learning if name.startswith("llm.")}
    assert all(".grounder." in name for name in llm)
    assert sum("modules_to_save" in name for name in llm) == 2


def test_another_rank_than_the_one_loaded_is_refused(models):
    with pytest.raises(ConfigError, match=r"lora.rank is 3, but the adapter of role grounder to start from has 2"):
        models["grounder"].add_adapters(type(WORDS)(**{**vars(WORDS), "rank": 3}))


def test_a_module_to_save_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"lora.modules_to_save names lm_heads, which the model does not have"):
        role_model("planner").add_adapters(type(WORDS)(**{**vars(WORDS), "modules_to_save": ["lm_heads"]}))


def test_adapters_stay_when_they_are_settled(models):
    model = models["verifier"]
    names = list(model.state_dict())

    model.settle_adapters()

    assert list(model.state_dict()) == names


def test_only_heads_are_nobody_elses(models):
    assert models["grounder"].unpublished_parts() == {"heads"}
    assert models["planner"].unpublished_parts() == set()


def test_a_changed_base_has_to_be_kept():
    model = role_model("planner")
    model.base_changed = True

    assert model.unpublished_parts() == {"vision", "llm"}


def test_stations_count_what_they_work_on(models, clips):
    batch = batch_of(models["grounder"], rows_of("grounder", clips))

    found = models["grounder"].station_tokens(batch)

    assert found == {
        "vision": len(batch.frames[PATCHES]),
        "llm": int(batch.attention_mask.sum()),
        "heads": sum(grid[0] for grid in batch.grids),
    }
