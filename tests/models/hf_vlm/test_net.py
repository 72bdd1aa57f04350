from dataclasses import replace

import pytest
import torch
from tiny_vlms import KINDS
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from merv.errors import ConfigError
from merv.models.freeze import cast_frozen, checkpoint_activations, set_stage
from merv.models.stage import LoraConfig, StageConfig

from .rows import film, picture, sample, vlm_config

LORA = StageConfig(lora=LoraConfig(rank=4, alpha=8.0, dropout=0.0))


@pytest.fixture
def model_of(vlm_folder):
    return lambda name, **options: vlm_config(vlm_folder(name), name, **options).build()


@pytest.fixture
def rows(tmp_path):
    return [
        sample("What is it?", "red circle", image=picture(tmp_path, 1), name="image"),
        sample("What happens?", "blue", video=film(tmp_path, 2), name="video"),
        sample("Which?", "star left right", name="words"),
    ]


def batch_of(model, rows, **options):
    return model.processor.collate([model.processor.prepare(row) for row in rows], **options)


def prompts_batch(model, rows):
    return model.processor.collate([model.processor.prepare(row, answer=False) for row in rows], pad="left")


@pytest.mark.parametrize("name", KINDS)
def test_the_loss_is_that_of_transformers_own_forward(name, model_of, rows):
    model = model_of(name).eval()
    batch = batch_of(model, rows)

    output = model(batch)

    mask = batch.attention_mask.long()
    logits = model.model(**batch.inputs(), attention_mask=mask).logits
    wanted = cross_entropy(logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), reduction="sum")
    assert_close(output.loss_sum, wanted, rtol=1e-4, atol=1e-4)
    assert int(output.num_tokens) == int((batch.labels[:, 1:] != -100).sum())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("kind", ["image", "video"])
def test_other_pixels_give_another_loss(name, kind, model_of, tmp_path):
    model = model_of(name).eval()
    shown = [
        {"image": picture(tmp_path, seed)} if kind == "image" else {"video": film(tmp_path, seed)} for seed in (1, 2)
    ]

    losses = [model(batch_of(model, [sample("What is it?", "red", **media)])).loss_sum for media in shown]

    assert abs((losses[0] - losses[1]).item()) > 1e-4


@pytest.mark.parametrize("name", KINDS)
def test_answers_do_not_hang_on_the_other_rows_of_a_batch(name, model_of, rows):
    model = model_of(name).eval()

    together = model.respond(prompts_batch(model, rows), max_new_tokens=6)
    alone = [model.respond(prompts_batch(model, [row]), max_new_tokens=6)[0] for row in rows]

    assert together == alone


@pytest.mark.parametrize("name", KINDS)
def test_a_stream_says_what_the_answer_says(name, model_of, rows):
    model = model_of(name).eval()
    batch = prompts_batch(model, rows[:1])

    assert "".join(model.stream(batch, max_new_tokens=6)).strip() == model.respond(batch, max_new_tokens=6)[0]


@pytest.mark.parametrize("name", KINDS)
def test_prompts_drive_the_language_model_to_the_same_logits(name, model_of, rows):
    model = model_of(name).eval()
    batch = prompts_batch(model, rows)

    prompts = model.prompts(batch)
    hidden = model.language(prompts.embeds, prompts.mask, prompts.positions)

    wanted = model.model(**batch.inputs(), attention_mask=batch.attention_mask.long()).logits[:, -1]
    assert_close(model.language.logits(hidden[:, -1]), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_prompts_can_be_answered_from_embeddings(name, model_of, rows):
    model = model_of(name).eval()
    batch = prompts_batch(model, rows)
    prompts = model.prompts(batch)
    positions = {}
    if prompts.positions is not None:
        counted = (prompts.mask.long().cumsum(-1) - 1).clamp(min=0)
        positions = {"position_ids": torch.cat([counted[None], prompts.positions])}

    ids = model.language.generate(prompts.embeds, prompts.mask, max_new_tokens=6, **positions)

    texts = [text.strip() for text in model.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)]
    assert texts == model.respond(batch, max_new_tokens=6)


@pytest.mark.parametrize(
    ("stage", "options", "learning"),
    [
        ("align", {}, ["projector"]),
        ("finetune", {}, ["projector", "llm"]),
        ("full-finetune", {}, ["vision", "projector", "llm"]),
        ("full-finetune", {"freeze_vision": True}, ["projector", "llm"]),
        ("finetune", {"freeze_projector": True}, ["llm"]),
        ("finetune", {"freeze_vision": False, "freeze_llm": True}, ["vision", "projector"]),
    ],
)
def test_a_stage_trains_its_parts_unless_options_say_otherwise(stage, options, learning, model_of):
    model = model_of("llava", **options)

    assert set_stage(model, stage, StageConfig()) == learning

    learns = {part for part, module in model.parts().items() if any(p.requires_grad for p in module.parameters())}
    assert learns == set(learning)


@pytest.mark.parametrize("name", KINDS)
def test_weights_in_bfloat16_learn_in_float32_and_answer_in_bfloat16(name, model_of, rows):
    model = model_of(name, dtype="bfloat16")
    model.computes_in(torch.bfloat16)
    set_stage(model, "finetune", StageConfig())
    batch = batch_of(model, rows)

    with torch.autocast("cpu", torch.bfloat16):
        model(batch).loss_sum.backward()
    cast_frozen(model.requires_grad_(False), torch.bfloat16)
    said = model.eval().respond(prompts_batch(model, rows), max_new_tokens=3)

    pixels = [t for t in batch.frames.values() if t.is_floating_point() and t.ndim > 1]
    assert pixels
    assert {t.dtype for t in pixels} == {torch.bfloat16}
    assert all(p.grad.dtype == torch.float32 for p in model.parameters() if p.grad is not None)
    assert len(said) == 3


def test_qwens_projector_learns_inside_a_frozen_tower(model_of):
    model = model_of("qwen2.5-vl")

    set_stage(model, "align", StageConfig())

    learns = {path for path, p in model.model.named_parameters() if p.requires_grad}
    assert learns == {path for path, _ in model.model.named_parameters() if path.startswith("model.visual.merger.")}


def test_single_layers_stay_frozen(model_of):
    model = model_of("qwen2-vl", freeze_llm_layers=[1])

    set_stage(model, "finetune", StageConfig())

    layers = model.model.get_decoder().layers
    assert not any(p.requires_grad for p in layers[1].parameters())
    assert all(p.requires_grad for p in layers[0].parameters())


@pytest.mark.parametrize("name", KINDS)
def test_adapters_alone_learn_and_begin_without_an_effect(name, model_of, rows):
    model = model_of(name, freeze_projector=True)
    before = model.eval()(batch_of(model, rows)).loss_sum

    set_stage(model, "finetune", LORA)
    output = model.eval()(batch_of(model, rows))
    output.loss_sum.backward()

    assert_close(output.loss_sum, before)
    learns = {path for path, p in model.named_parameters() if p.requires_grad}
    assert learns
    assert all("lora_" in path and ".language_model." in path for path in learns)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_arias_experts_wear_adapters_without_dropout(model_of, rows):
    model = model_of("aria", freeze_projector=True)
    lora = LoraConfig(
        rank=4, alpha=8.0, dropout=0.05, target_modules=["q_proj", "gate_up_proj", "down_proj", "lm_head"]
    )

    set_stage(model, "finetune", StageConfig(lora=lora))
    model(batch_of(model, rows)).loss_sum.backward()

    learns = {path for path, p in model.named_parameters() if p.requires_grad}
    assert any(".mlp.experts.lora_A" in path for path in learns)
    assert any(".mlp.experts.base_layer.lora_A" in path for path in learns)
    assert any("lm_head.lora_A" in path for path in learns)
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_merged_experts_compute_what_they_did_with_adapters(model_of, rows):
    model = model_of("aria", freeze_projector=True)
    names = ["q_proj", "gate_up_proj", "down_proj", "lm_head"]
    set_stage(model, "finetune", StageConfig(lora=LoraConfig(rank=4, alpha=8.0, dropout=0.0, target_modules=names)))
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if "lora_B" in path:
                parameter.normal_(std=0.1)
    model.eval()
    with_adapters = model(batch_of(model, rows)).loss_sum

    model.settle_adapters()

    assert_close(model(batch_of(model, rows)).loss_sum, with_adapters, rtol=1e-4, atol=1e-4)
    assert not [path for path, _ in model.named_parameters() if "lora" in path or "base_layer" in path]


@pytest.fixture
def worn(model_of):
    """A model that wears an adapter of an earlier run."""
    model = model_of("aria", freeze_projector=True)
    lora = LoraConfig(rank=2, dropout=0.1, target_modules=["q_proj", "down_proj"])
    set_stage(model, "finetune", StageConfig(lora=lora))
    return model, lora


def test_an_adapter_learns_on_with_the_dropout_of_the_stage(worn):
    model, lora = worn

    set_stage(model, "finetune", StageConfig(lora=replace(lora, dropout=0.3)))

    layers = model.model.get_decoder().layers
    assert layers[0].self_attn.q_proj.lora_dropout["default"].p == 0.3
    assert {path for path, p in model.named_parameters() if p.requires_grad and "lora_" not in path} == set()


@pytest.mark.parametrize(
    ("targets", "line"),
    [(["q_proj"], "the adapter has"), (["q_proj", "down_proj", "k_proj"], "the adapter does not have")],
)
def test_an_adapter_does_not_learn_on_in_other_places(targets, line, worn):
    model, lora = worn

    with pytest.raises(ConfigError, match=f"is in other places: .*{line}"):
        set_stage(model, "finetune", StageConfig(lora=replace(lora, target_modules=targets)))


def test_an_unknown_target_is_refused_in_one_line(model_of):
    model = model_of("llava")

    with pytest.raises(ConfigError, match=r"lora\.target_modules names `qproj`"):
        set_stage(model, "finetune", StageConfig(lora=replace(LORA.lora, target_modules=["qproj"])))


def test_experts_losses_reach_the_routers_and_vanish_without_a_weight(model_of, rows):
    model = model_of("aria", expert_balance_weight=0.5, expert_z_weight=0.1)
    set_stage(model, "finetune", StageConfig())
    batch = batch_of(model, rows)

    output = model(batch)
    output.row_loss_sum.backward()

    router = model.model.get_decoder().layers[0].mlp.router.weight
    assert float(output.row_loss_sum) > 0
    assert batch.num_target_rows() == 3
    assert router.grad.abs().sum() > 0
    assert model_of("aria")(batch_of(model_of("aria"), rows)).row_loss_sum is None


def test_a_stand_in_is_no_work_for_the_experts(model_of, rows):
    model = model_of("aria", expert_balance_weight=0.5, expert_z_weight=0.1)
    alone = float(model(batch_of(model, rows[2:])).row_loss_sum)

    model.processor.expect({"image"})
    batch = batch_of(model, rows[2:])

    assert batch.stand_in is not None
    assert_close(float(model(batch).row_loss_sum), alone, rtol=1e-4, atol=1e-5)


def test_experts_losses_are_the_same_when_activations_are_made_again(model_of, rows):
    gradients = []
    for again in (False, True):
        model = model_of("aria", expert_balance_weight=0.5, expert_z_weight=0.1)
        set_stage(model, "finetune", StageConfig())
        if again:
            checkpoint_activations(model)
        output = model(batch_of(model, rows))
        (output.loss_sum + output.row_loss_sum).backward()
        gradients.append({n.replace("_checkpoint_wrapped_module.", ""): p.grad for n, p in model.named_parameters()})

    first, second = gradients
    assert first.keys() == second.keys()
    for path, gradient in first.items():
        if gradient is not None:
            assert_close(second[path], gradient, rtol=1e-4, atol=1e-5)


def test_a_dense_model_has_no_experts_to_balance(model_of):
    with pytest.raises(ConfigError, match="has no experts; set expert_balance_weight and expert_z_weight to 0"):
        model_of("llava", expert_balance_weight=0.1)


@pytest.mark.parametrize("name", KINDS)
def test_a_batch_of_words_alone_gives_the_tower_a_gradient_of_zero(name, model_of, rows):
    model = model_of(name)
    set_stage(model, "full-finetune", StageConfig())
    model.processor.expect({"image"})

    output = model(batch_of(model, rows[2:]))
    output.loss_sum.backward()

    tower = [p for p in model.parts()["vision"].parameters() if p.grad is not None]
    assert tower
    assert not any(p.grad.abs().sum() > 0 for p in tower)


@pytest.mark.parametrize("name", KINDS)
def test_tokens_are_counted_by_station(name, model_of, rows):
    model = model_of(name)
    batch = batch_of(model, rows)

    tokens = model.station_tokens(batch)

    assert tokens["llm"] == int(batch.attention_mask.sum())
    assert tokens["vision"] >= tokens["projector"] > 0
