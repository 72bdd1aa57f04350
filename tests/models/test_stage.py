import pytest
import torch
from torch.testing import assert_close

from merv.errors import ConfigError
from merv.models.freeze import cast_frozen, checkpoint_activations, compile_blocks, set_stage
from merv.models.stage import TRAINED_PARTS, LoraConfig, StageConfig

from .rows import mixed_rows, tiny_model

EVERYTHING = {"video_backbones", "projectors", "fusion", "llm"}


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    processor = tiny_model().processor
    return processor.collate([processor.prepare(row) for row in mixed_rows(tmp_path_factory.mktemp("media"))])


@pytest.mark.parametrize(
    ("stage", "learns"),
    [
        ("align", {"projectors", "fusion"}),
        ("full-align", {"projectors", "fusion", "llm"}),
        ("finetune", {"projectors", "fusion", "llm"}),
        ("full-finetune", EVERYTHING),
    ],
)
def test_a_stage_trains_its_parts_and_freezes_the_others(batch, stage, learns):
    model = tiny_model()

    named = set_stage(model, stage, StageConfig())
    model(batch).loss_sum.backward()

    assert set(named) == learns
    for name, part in model.parts().items():
        assert all(p.requires_grad == (name in learns) for p in part.parameters())
        assert all((p.grad is not None) == (name in learns) for p in part.parameters())
        assert all(module.training == (name in learns) for module in part.modules())


def test_stages_of_a_model_are_those_it_has_options_for():
    config = tiny_model().config

    assert [config.stage(name) for name in TRAINED_PARTS] == [
        config.align,
        config.full_align,
        config.finetune,
        config.full_finetune,
    ]


def test_a_later_stage_undoes_what_an_earlier_one_froze():
    model = tiny_model()

    set_stage(model, "align", StageConfig())
    set_stage(model, "full-finetune", StageConfig())

    assert all(parameter.requires_grad for parameter in model.parameters())


def test_adapters_learn_in_place_of_the_llm(batch):
    model = tiny_model()

    set_stage(model, "finetune", StageConfig(lora=LoraConfig(rank=2)))
    model(batch).loss_sum.backward()

    llm = dict(model.parts()["llm"].named_parameters())
    assert {name for name, p in llm.items() if p.requires_grad} == {name for name in llm if "lora_" in name}
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert all(p.requires_grad for p in model.projectors.parameters())


@pytest.mark.parametrize("stage", ["align"])
def test_adapters_are_refused_where_the_llm_does_not_learn(stage):
    with pytest.raises(ConfigError, match=rf"lora\.rank is 2, but stage {stage} does not train the llm; set it to 0"):
        set_stage(tiny_model(), stage, StageConfig(lora=LoraConfig(rank=2)))


@pytest.mark.parametrize("stage", ["align", "full-finetune"])
def test_recomputed_activations_change_neither_loss_nor_gradients_nor_names(batch, stage):
    plain, wrapped = tiny_model(), tiny_model()
    for model in (plain, wrapped):
        set_stage(model, stage, StageConfig())
    num_blocks = len(plain.blocks())
    checkpoint_activations(wrapped)

    losses = [model(batch).loss_sum for model in (plain, wrapped)]
    for loss in losses:
        loss.backward()

    assert_close(losses[1], losses[0], atol=1e-5, rtol=1e-6)
    own, others = dict(plain.named_parameters()), list(wrapped.parameters())
    for (name, one), other in zip(own.items(), others, strict=True):
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None:
            assert_close(other.grad, one.grad, atol=1e-5, rtol=1e-5, msg=name)
    assert plain.state_dict().keys() == wrapped.state_dict().keys()
    assert len(wrapped.blocks()) == num_blocks
    # Nothing learns before or inside the encoders of an align stage: they keep no activations to begin with.
    kept = [block for encoder in wrapped.video_backbones for block in encoder.blocks()] if stage == "align" else []
    for block in wrapped.blocks():
        assert hasattr(block, "_checkpoint_wrapped_module") == (not any(block is other for other in kept))


def test_recomputed_blocks_run_again_in_the_backward_pass(batch):
    model = tiny_model()
    set_stage(model, "full-finetune", StageConfig())
    runs = []
    for block in model.blocks():
        block.register_forward_pre_hook(lambda module, *_: runs.append(id(module)))
    checkpoint_activations(model)

    loss = model(batch).loss_sum
    forward = len(runs)
    loss.backward()

    assert forward == len(model.blocks())
    assert len(runs) == 2 * forward


@pytest.mark.parametrize(("total", "at_once", "world", "expected"), [(8, 2, 1, 4), (8, 2, 2, 2), (8, 8, 1, 1)])
def test_accumulation_steps_fill_the_global_batch(total, at_once, world, expected):
    stage = StageConfig(global_batch_size=total, per_device_batch_size=at_once)

    assert stage.accumulation_steps(world) == expected


def test_batch_sizes_that_do_not_divide_are_refused():
    stage = StageConfig(global_batch_size=8, per_device_batch_size=3)

    with pytest.raises(ConfigError, match=r"8 is not a multiple of per_device_batch_size 3 x 2 processes = 6"):
        stage.accumulation_steps(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"global_batch_size": 0}, "global_batch_size is 0"),
        ({"per_device_batch_size": -1}, "per_device_batch_size is -1"),
        ({"max_steps": 0}, "max_steps is 0; give at least 1, or null"),
        ({"warmup_ratio": 1.5}, r"warmup_ratio is 1\.5; it is a share of the steps, 0\.\.1"),
        ({"learning_rate": -1e-3}, r"learning_rate is -0\.001; it must not be negative"),
    ],
)
def test_numbers_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        StageConfig(**options)


def test_frozen_parts_keep_their_weights_through_an_optimiser_step(batch):
    model = tiny_model()
    set_stage(model, "align", StageConfig())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)

    model(batch).loss_sum.backward()
    optimizer.step()

    moved = {
        name.split(".")[0] for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert moved == {"projectors", "fusion"}


@pytest.mark.parametrize("recomputing", [False, True])
def test_compiled_blocks_change_neither_loss_nor_gradients(batch, recomputing):
    plain, compiled = tiny_model(), tiny_model()
    for model in (plain, compiled):
        set_stage(model, "finetune", StageConfig())
    compile_blocks(compiled, backend="aot_eager")
    if recomputing:
        checkpoint_activations(compiled)

    losses = [model(batch).loss_sum for model in (plain, compiled)]
    for loss in losses:
        loss.backward()

    assert all(block._compiled_call_impl is not None for block in tiny_blocks(compiled))
    assert_close(losses[1], losses[0], atol=1e-5, rtol=1e-6)
    for (name, one), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        if one.requires_grad:
            assert_close(other.grad, one.grad, atol=1e-5, rtol=1e-5, msg=name)


def tiny_blocks(model):
    return [getattr(block, "_checkpoint_wrapped_module", block) for block in model.blocks()]


@pytest.mark.parametrize("stage", ["align", "finetune"])
def test_what_does_not_learn_is_kept_in_the_type_it_is_computed_in(stage):
    model = tiny_model()
    learning = set_stage(model, stage, StageConfig())

    cast_frozen(model, torch.bfloat16)

    for name, parameter in model.named_parameters():
        learns = name.split(".", 1)[0] in learning
        assert parameter.dtype == (torch.float32 if learns else torch.bfloat16), name
