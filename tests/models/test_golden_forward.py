"""The original's recorded features through our projectors, fusion, splice and LLM give its logits and its loss."""

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

from merv.backbones.llm.base import LLM
from merv.backbones.llm.prompts import PromptTemplate
from merv.backbones.video.base import FeatureGrid, VideoBackbone
from merv.data.sample import Batch
from merv.models.fusion import FusionConfig
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.models.multi_encoder.net import MultiEncoderLM
from merv.models.projectors import ProjectorConfig
from merv.models.published import FUSIONS
from merv.video.transforms import ClipTransform, View

from .recorded import CASES, recorded_run

# 5e-5 on logits of about 10 and 2e-5 on the loss: what another order of float32 sums makes of them.
LOGITS, LOSS = 5e-5, 2e-5


class Replay(VideoBackbone):
    """Gives the recorded features of the row whose number its frames are painted with."""

    def __init__(self, features):
        super().__init__()
        _, frames, tokens, dim = features.shape
        side = math.isqrt(tokens)
        self.features = features
        self.num_frames = frames
        self.grid = FeatureGrid(frames, side, side, dim)
        self.transform = ClipTransform(View(2), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def forward(self, pixels):
        return self.features[(pixels[:, 0, 0, 0, 0] * 255).round().long()]


def build(recorded):
    from transformers import LlamaConfig, LlamaForCausalLM

    spec = recorded.facts["constructor_args"]
    fusion = dict(FUSIONS[spec["feature_fusion"]])
    config = MultiEncoderConfig(
        video_backbone_ids=["tiny-frames"] * recorded.num_encoders,
        num_frames=recorded.facts["temporal"],
        projector=ProjectorConfig.get("avg3d")(),
        fusion=FusionConfig.new(fusion.pop("type"), **fusion),
        projector_token_length=spec["projector_token_length"],
        visual_feature_length=recorded.facts["visual_feature_length"],
    )
    llama = LlamaForCausalLM(LlamaConfig.from_dict(recorded.llm_config))
    tokenizer = SimpleNamespace(pad_token_id=recorded.facts["pad_token_id"], bos_token_id=1)
    kept = [f"mid.features_{index}" in recorded.tensors for index in range(recorded.num_encoders)]
    backbones = [Replay(recorded.features(i) if known else stand_in(recorded, i)) for i, known in enumerate(kept)]
    model = MultiEncoderLM(config, backbones, LLM(llama, tokenizer, PromptTemplate(), max_length=2048))
    model.projectors.load_state_dict(recorded.weights["projectors"], strict=True)
    model.fusion.load_state_dict(recorded.weights.get("feature_fusion", {}), strict=True)
    llama.load_state_dict(recorded.weights_of("llm_backbone", "llm."), strict=True)
    for index in (index for index, known in enumerate(kept) if not known):
        model.projectors[index].register_forward_hook(partial(replay_tokens, recorded.projected(index)))
    return model.eval()


def replay_tokens(tokens, *_):
    return tokens


def stand_in(recorded, index):
    """Features of the shape of those that were too large to keep; its projector's tokens are replayed instead."""
    side = int(recorded.facts["spatial"][index] ** 0.5)
    shape = (len(recorded.tensors["in.labels"]), recorded.facts["temporal"][index], side**2)
    return torch.zeros(*shape, recorded.facts["embed_dims"][index])


def recorded_batch(tensors, num_frames, prefix=""):
    rows = tensors[f"in.{prefix}multimodal_indices"].long()
    painted = rows.to(torch.uint8).repeat_interleave(num_frames)[:, None, None, None].expand(-1, 3, 2, 2)
    return Batch(
        input_ids=tensors[f"in.{prefix}input_ids"],
        labels=tensors[f"in.{prefix}labels"],
        attention_mask=tensors[f"in.{prefix}attention_mask"].bool(),
        visual_rows=rows,
        num_frames=(num_frames,) * len(rows),
        frames={"2-naive-bicubic": painted} if len(rows) else {},
    )


@torch.no_grad()
def compare(model, tensors, prefix=""):
    batch = recorded_batch(tensors, model.max_frames, prefix)

    spliced = model.splice(batch)
    logits = model.llm.logits(model.llm(spliced.embeds, spliced.attention_mask))
    output = model(batch)

    # The original puts rows with frames first; ours stay where they were.
    rows = batch.visual_rows.tolist()
    order = [*rows, *(row for row in range(batch.size) if row not in rows)]
    attended = tensors[f"out.{prefix}fused_attention_mask"].bool()
    width = attended.shape[1]
    assert_close(spliced.attention_mask[order, :width], attended, atol=0, rtol=0)
    assert_close(logits[order, :width][attended], tensors[f"out.{prefix}logits"][attended], atol=LOGITS, rtol=0)
    assert_close((output.loss_sum / output.num_tokens)[None], tensors[f"out.{prefix}loss"], atol=LOSS, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_whole_forward_gives_the_recorded_logits_and_loss(case):
    recorded = recorded_run(case)

    compare(build(recorded), recorded.tensors)


def test_text_alone_gives_the_recorded_logits_and_loss():
    recorded = recorded_run("lq_mixed")

    compare(build(recorded), recorded.tensors, prefix="textonly.")


@pytest.mark.parametrize("case", ["lq_mixed", "lq"])
def test_replayed_features_reach_the_fusion_as_recorded(case):
    recorded = recorded_run(case)
    model = build(recorded)
    seen = []
    model.fusion.register_forward_hook(lambda module, inputs, fused: seen.append((inputs[0], fused)))

    with torch.no_grad():
        model(recorded_batch(recorded.tensors, model.max_frames))

    [(projected, fused)] = seen
    for index, tokens in enumerate(projected):
        assert_close(tokens, recorded.projected(index), atol=1e-5, rtol=0)
    assert_close(fused.tokens, recorded.tensors["mid.fused"], atol=1e-5, rtol=0)
    assert_close(fused.weights, recorded.tensors["mid.mixer_weights"], atol=1e-5, rtol=0)
