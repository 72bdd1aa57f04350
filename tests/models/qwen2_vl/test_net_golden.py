"""VideoMind's recorded batches through our whole model: states, losses, the words and the moments."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from merv.backbones.llm.base import LLM
from merv.backbones.llm.templates import TEMPLATES
from merv.data.sample import Moments
from merv.models.qwen2_vl import net
from merv.models.qwen2_vl.base import take_vision
from merv.models.qwen2_vl.batch import PATCHES, RoleBatch
from merv.models.qwen2_vl.grounding_head import GroundingHeadConfig
from merv.models.qwen2_vl.net import RoleLM
from merv.models.qwen2_vl.positions import rope_positions
from merv.models.qwen2_vl.processor import Geometry, RoleProcessor
from merv.models.qwen2_vl.tokens import TokenIds
from merv.video.media import Span

from ..recorded import SHARED
from .role_rows import role_config

VIDEO, REG, END, PAD = 312, 314, 315, 316
TRAINING = ["g_train_T37_reg1", "g_train_T5_reg2", "g_dims256_train_T37_reg1"]
ONE_CALL = [TRAINING[0], TRAINING[2]]
ANSWERS = ["g_infer_T37", "g_infer_T5", "g_dims256_infer_T37"]
STATES = {"rtol": 1e-5, "atol": 1e-5}  # the recording's own tolerance
LOSSES = {"rtol": 1e-4, "atol": 1e-6}

pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="recordings of VideoMind are not beside this checkout")


def published_base():
    """transformers' Qwen2-VL of the recorded sizes."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    recorded = json.loads((SHARED / "g_model_config.json").read_text())
    vision = recorded.pop("vision_config")
    for name in ("model_type", "role", "reg_token_id", "transformers_version"):
        recorded.pop(name)
    scaling = recorded.pop("rope_scaling")
    rope = {
        "rope_type": "default",
        "rope_theta": recorded.pop("rope_theta"),
        "mrope_section": scaling["mrope_section"],
    }
    ids = {name: recorded.pop(name) for name in list(recorded) if name.startswith(("vision_", "image_", "video_"))}
    config = Qwen2VLConfig(text_config={**recorded, "rope_parameters": rope}, vision_config=vision, **ids)
    return Qwen2VLForConditionalGeneration(config)


def recorded_weights(tensors, dims):
    """Those of the base by transformers 5's names, and those of the head."""
    found = {**load_file(SHARED / "g_model_params.safetensors"), **tensors}
    found = {key.removeprefix("param."): value for key, value in found.items() if key.startswith("param.")}
    base = {}
    for key in [key for key in found if key.startswith(("model.", "visual.", "lm_head."))]:
        name = key.replace("model.", "model.language_model.", 1) if key.startswith("model.") else key
        base[f"model.{name}" if name.startswith("visual.") else name] = found.pop(key)
    return base, found if dims == 32 else torch.load(SHARED / "g_dims256_head.pt", weights_only=True)


def recorded_model(case, protocol, monkeypatch):
    """The recorded tensors and facts, and our model with the recorded weights; pixels are recorded normalised."""
    monkeypatch.setattr(net, "normalise", lambda pixels, dtype: pixels.to(dtype))
    tensors, facts = load_file(SHARED / f"{case}.safetensors"), json.loads((SHARED / f"{case}.json").read_text())
    weights, head = recorded_weights(tensors, facts["dims"])
    base = published_base()
    base.load_state_dict(weights, strict=True)
    tokenizer = SimpleNamespace(
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
        eos_token="end",
        pad_token="pad",
        get_vocab=dict,
        convert_ids_to_tokens=lambda ids: ["end" if number == END else str(number) for number in ids],
        decode=lambda ids, **_: " ".join(map(str, ids)),
    )
    config = role_config(
        "grounder", head=GroundingHeadConfig(dims=facts["dims"], drop_path=0.0, protocol=protocol), protocol=protocol
    )
    processor = RoleProcessor(
        role="grounder",
        tokenizer=tokenizer,
        ids=TokenIds(VIDEO, REG, 317, 318, 1, 2),
        template=TEMPLATES["qwen2"],
        geometry=Geometry(patch=4),
        budgets=config.budgets(),
        protocol=protocol,
    )
    tower = take_vision(base)
    model = RoleLM(config, tower, LLM(base, tokenizer, TEMPLATES["qwen2"], max_length=4096), processor)
    model.heads["grounder"].load_state_dict(head, strict=True)
    return tensors, facts, model.eval()


def batch_of(tensors, facts, protocol):
    ids = tensors["in.input_ids"]
    mask = torch.ones_like(ids).bool()
    grid = tuple(tensors["in.video_grid_thw"][0].tolist())
    positions, _ = rope_positions(ids, mask, [grid], video_id=VIDEO, marks=(-1, -2), protocol=protocol)
    learning = "in.labels" in tensors
    moments = None
    if learning:
        spans = torch.tensor(facts["timestamps"][0][0])
        moments = Moments(spans, tensors["in.saliency0"], int(tensors["in.pos_clip0"]))
    return RoleBatch(
        input_ids=ids,
        labels=tensors["in.labels"] if learning else torch.full_like(ids, -100),
        attention_mask=mask,
        visual_rows=torch.tensor([0]),
        frames={PATCHES: tensors["in.pixel_values_videos"]},
        grids=(grid,),
        positions=positions,
        first_video=(int((ids[0] == VIDEO).int().argmax()),),
        calls=(tuple(facts["reg_positions"][0]) if learning else (),),
        roles=("grounder",),
        moments=(moments,),
        shown=(Span(0.0, 1.0),),
    )


@pytest.mark.parametrize("protocol", ["merv", "videomind"])
@pytest.mark.parametrize("case", TRAINING)
@torch.no_grad()
def test_states_and_logits_are_the_recorded_ones(case, protocol, monkeypatch):
    tensors, facts, model = recorded_model(case, protocol, monkeypatch)
    batch = batch_of(tensors, facts, protocol)

    hidden, states = model.states(model.embed(batch), None, batch.positions)

    assert_close(states, tensors["in.norm_state"], **STATES)
    assert_close(model.llm.logits(hidden[:, -8:]), tensors["out.logits_last8"], **STATES)


@pytest.mark.parametrize("protocol", ["merv", "videomind"])
@pytest.mark.parametrize("case", TRAINING)
@torch.no_grad()
def test_the_loss_of_the_words_is_the_recorded_one(case, protocol, monkeypatch):
    tensors, facts, model = recorded_model(case, protocol, monkeypatch)

    output = model(batch_of(tensors, facts, protocol))

    assert_close(output.loss_sum / output.num_tokens, tensors["out.lm_loss"][0], **LOSSES)


@pytest.mark.parametrize("protocol", ["merv", "videomind"])
@pytest.mark.parametrize("case", ONE_CALL)
@torch.no_grad()
def test_the_loss_of_the_head_is_the_recorded_one(case, protocol, monkeypatch):
    tensors, facts, model = recorded_model(case, protocol, monkeypatch)

    output = model.train()(batch_of(tensors, facts, protocol))

    [expected] = facts["losses_per_row"]
    assert_close(output.row_loss_sum.item(), expected["total"], **LOSSES)
    assert_close(output.loss_sum / output.num_tokens + output.row_loss_sum, tensors["out.loss_total"][0], **LOSSES)


@pytest.mark.parametrize("case", ANSWERS)
def test_the_reply_has_the_recorded_words_and_moments(case, monkeypatch):
    tensors, facts, model = recorded_model(case, "videomind", monkeypatch)

    [reply] = model.reply(batch_of(tensors, facts, "videomind"), max_new_tokens=8)

    prompt = tensors["in.input_ids"].shape[1]
    expected = tensors["out.generated"][0, prompt:]
    assert reply.text.split() == [str(token) for token in expected.tolist() if token != END]
    # Moments are told in seconds of what is shown, here one, and inside it.
    boxes = tensors["out.boxes0"]
    parts = torch.cat([boxes[:, :2].clamp(0, 1), boxes[:, 2:]], 1)
    assert_close(torch.tensor(reply.spans), parts, **STATES)


@pytest.mark.parametrize("case", ["g_infer_T37", "g_dims256_infer_T37"])
def test_the_best_moment_of_a_long_clip_is_the_recorded_one_in_either_protocol(case, monkeypatch):
    tensors, facts, model = recorded_model(case, "merv", monkeypatch)

    [reply] = model.reply(batch_of(tensors, facts, "merv"), max_new_tokens=8)

    best = tensors["out.boxes0"][0]
    assert reply.spans[0] == pytest.approx([*best[:2].clamp(0, 1).tolist(), best[2].item()], abs=1e-5)
