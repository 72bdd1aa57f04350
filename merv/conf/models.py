"""Named models: sizes and stages under the names people type.

Class defaults are plain; published values stand here.
"""

from dataclasses import replace

from merv.models.fusion import FusionConfig
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.models.projectors import ProjectorConfig
from merv.models.stage import StageConfig

ALIGN = StageConfig(
    global_batch_size=256,
    per_device_batch_size=16,
    learning_rate=1e-3,
    weight_decay=0.0,
    train_strategy="fsdp-shard-grad-op",
)
"""Align stage of MERV and Prismatic VLMs (https://arxiv.org/abs/2402.07865, appendix B)."""

FINETUNE = StageConfig(
    global_batch_size=128,
    per_device_batch_size=8,
    learning_rate=2e-5,
    weight_decay=0.1,
    train_strategy="fsdp-full-shard",
)
"""Finetune stage of MERV (https://arxiv.org/abs/2501.01426)."""

MERV_BASE = MultiEncoderConfig.preset(
    "merv-base",
    video_backbone_ids=[
        "languagebind-video-noclass",
        "dinov2-video-all-tokens",
        "vivit-google-b-all-no-cls-16frames",
        "siglip-vit-b16-224px-all-no-cls",
    ],
    num_frames=[16, 16, 32, 16],
    llm_backbone_id="llama2-7b-pure",
    projector=ProjectorConfig.new("avg3d"),
    fusion=FusionConfig.new("cross_attention"),
    projector_token_length=64,
    visual_feature_length=1024,
    align=ALIGN,
    full_align=ALIGN,
    finetune=FINETUNE,
    full_finetune=FINETUNE,
)
MERV_BASE.__doc__ = "MERV (frozen): LanguageBind, DINOv2, ViViT and SigLIP, 16 time steps of 64 tokens each."

FULL_ALIGN = replace(ALIGN, learning_rate=1e-4, train_strategy="fsdp-full-shard")
"""Align stage of MERV (full): a tenth of the rate, all shards."""

MERV_BASE.preset(
    "merv-full", align=FULL_ALIGN, full_align=FULL_ALIGN
).__doc__ = "MERV (full): as merv-base, aligned before it is fine-tuned."

SINGLE = {
    "languagebind": ("languagebind-video-noclass", 16),
    "dinov2": ("dinov2-video-all-tokens", 16),
    "vivit": ("vivit-google-b-all-no-cls-16frames", 32),
    "siglip": ("siglip-vit-b16-224px-all-no-cls", 16),
    "hiera": ("hiera-base-plus-video", 32),
}
"""Models with one of the encoders, and the frames it sees."""

for _family, (_encoder, _frames) in SINGLE.items():
    MERV_BASE.preset(
        f"{_family}-single", video_backbone_ids=[_encoder], num_frames=[_frames]
    ).__doc__ = f"As merv-base, with {_encoder} alone."

MERV_BASE.preset(
    "reproduction-llava-v15+13b", llm_backbone_id="vicuna-v15-13b"
).__doc__ = "As merv-base, with the LLM of LLaVA-v1.5-13B."

TINY_STAGE = StageConfig(
    global_batch_size=32,
    per_device_batch_size=16,
    learning_rate=1e-3,
    weight_decay=0.01,
    warmup_ratio=0.05,
    train_strategy="fsdp-full-shard",
)

MultiEncoderConfig.preset(
    "merv-tiny",
    video_backbone_ids=["tiny-frames", "tiny-coarse", "tiny-motion"],
    num_frames=[4, 8, 8],
    llm_backbone_id="tiny-llama",
    projector=ProjectorConfig.new("avg3d"),
    fusion=FusionConfig.new("cross_attention", embed_dim=64),
    projector_token_length=4,
    visual_feature_length=16,
    llm_max_length=512,
    align=TINY_STAGE,
    full_align=TINY_STAGE,
    finetune=TINY_STAGE,
    full_finetune=TINY_STAGE,
    enable_gradient_checkpointing=False,
).__doc__ = "Three tiny encoders and a tiny LLM with random weights: the demo, the tests and CI."
