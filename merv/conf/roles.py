"""Named role models: VideoMind's and MUPA's, with their published hyper-parameters, and tiny ones."""

from dataclasses import replace
from typing import Any

from merv.models.qwen2_vl.config import Qwen2VLConfig
from merv.models.qwen2_vl.grounding_head import GroundingHeadConfig
from merv.models.stage import LoraConfig, StageConfig

BASES = {"2b": "Qwen/Qwen2-VL-2B-Instruct", "7b": "Qwen/Qwen2-VL-7B-Instruct"}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
"""What VideoMind calls qkvo: the LLM's attention."""
WORDS = ["embed_tokens", "lm_head"]
"""Learn whole in roles that meet new tokens."""

LORA = LoraConfig(rank=64, alpha=64.0, dropout=0.1, target_modules=ATTENTION)
STAGE = StageConfig(
    epochs=1,
    global_batch_size=32,
    per_device_batch_size=1,
    learning_rate=1e-4,
    weight_decay=0.0,
    max_grad_norm=1.0,
    warmup_ratio=0.03,
    train_strategy="fsdp-shard-grad-op",
    lora=LORA,
)
"""VideoMind's scripts (https://github.com/yeliudev/VideoMind, scripts/pretrain): 8 devices of 1 x 4 rows, ZeRO-2."""
RATES = {"planner": 2e-5, "grounder": 1e-4, "verifier": 5e-5, "answerer": 5e-5, "gqa": 1e-4}
"""Learning rates (https://arxiv.org/abs/2503.13444, implementation details; MUPA's scripts).  The answerer's is ours:
the publications use the base as it is."""
FULL = {"full_finetune": replace(STAGE, learning_rate=1e-5, lora=LoraConfig(), train_strategy="fsdp-full-shard")}
"""Without adapters, everything learns; not published."""


def stages_of(role: str) -> dict[str, StageConfig]:
    """The stages of a role with its learning rate; roles that meet new tokens keep their words."""
    words = WORDS if role in ("grounder", "verifier", "gqa") else []
    stage = replace(STAGE, learning_rate=RATES[role], lora=replace(LORA, modules_to_save=words))
    return {"full_align": stage, "finetune": stage, **FULL, "align": replace(stage, lora=LoraConfig())}


def _register(name: str, role: str, size: str, what: str, **more: Any) -> None:
    preset = Qwen2VLConfig.preset(f"{name}-{role}-{size}", role=role, base=BASES[size], **stages_of(role), **more)
    preset.__doc__ = f"{what} {role} on Qwen2-VL-{size.upper()}."


for _size in BASES:
    for _role in ("planner", "grounder", "verifier", "answerer"):
        _register("videomind", _role, _size, "VideoMind's")
    for _role in ("grounder", "verifier", "gqa"):
        _register("mupa", _role, _size, "MUPA's", timestamps=_role == "gqa")

TINY = StageConfig(
    learning_rate=1e-3,
    weight_decay=0.0,
    warmup_ratio=0.05,
    train_strategy="single",
    lora=LoraConfig(
        rank=64, alpha=128.0, dropout=0.0, target_modules=[*ATTENTION, "gate_proj", "up_proj", "down_proj"]
    ),
)
"""On random weights more has to learn than on published ones: all linear layers, and the words in every role."""
TINY_BATCHES = {"planner": 16, "grounder": 16, "verifier": 32, "answerer": 32, "gqa": 16}
TINY_HEAD = GroundingHeadConfig(dims=128, class_weight=10.0, saliency_weight=0.5, drop_path=0.0)
"""From scratch, which moment is meant has to weigh more than where it ends: there is no base that knows words."""

for _role, _batch in TINY_BATCHES.items():
    _stage = replace(TINY, global_batch_size=_batch, per_device_batch_size=_batch)
    _stage = replace(_stage, lora=replace(TINY.lora, modules_to_save=WORDS))
    Qwen2VLConfig.preset(
        f"role-tiny-{_role}",
        role=_role,
        base="tiny",
        wording="short",
        dtype="float32",
        head=TINY_HEAD,
        max_length=2048,
        align=_stage,
        full_align=_stage,
        finetune=_stage,
        full_finetune=replace(_stage, lora=LoraConfig()),
        enable_gradient_checkpointing=False,
    ).__doc__ = f"A {_role} on a two-layer Qwen2-VL with random weights: the demo, the tests and CI."
