"""Named recipes of the family hf-vlm, with their published hyper-parameters."""

from dataclasses import replace

from merv.models.hf_vlm.config import HfVlmConfig
from merv.models.stage import LoraConfig, StageConfig

ARIA = StageConfig(
    epochs=1,
    global_batch_size=16,
    per_device_batch_size=4,
    learning_rate=5e-5,
    weight_decay=0.1,
    adam_beta2=0.95,
    warmup_ratio=0.01,
    train_strategy="fsdp-full-shard",
    lora=LoraConfig(
        rank=8,
        alpha=32.0,
        dropout=0.05,
        target_modules=[
            *("fc1", "fc2", "q_proj", "k_proj", "v_proj", "o_proj", "linear", "up_proj", "down_proj", "gate_proj"),
            *("gate_up_proj", "out_proj", "lm_head"),
        ],
    ),
)
"""Aria on NExT-QA (https://github.com/rhymes-ai/Aria, examples/nextqa/config_lora.yaml): one device of 4 rows x 4.

The experts' fc1 and fc2 of that list are gate_up_proj and down_proj in transformers.
"""
ARIA_FULL = replace(ARIA, learning_rate=5e-6, lora=LoraConfig(), train_strategy="fsdp-full-shard-offload")
"""examples/nextqa/config_full.yaml, run on 8 devices with ZeRO-3 and offloaded parameters: 4 rows x 4 on each."""

ARIA_NEXTQA = HfVlmConfig.preset(
    "aria-nextqa-lora",
    path="rhymes-ai/Aria",
    freeze_vision=True,
    freeze_projector=True,
    max_image_size=490,
    video_as="frames",
    frame_choice="left",
    num_frames=8,
    learn_newline=True,
    expert_balance_weight=1e-4,
    expert_z_weight=1e-5,
    max_length=4096,
    finetune=ARIA,
    full_align=ARIA,
    align=replace(ARIA, lora=LoraConfig()),
    full_finetune=ARIA_FULL,
)
ARIA_NEXTQA.__doc__ = "Aria with adapters in its language model, experts included, as tuned on NExT-QA."

_FULL = replace(ARIA_FULL, global_batch_size=128)
ARIA_NEXTQA.preset(
    "aria-nextqa-full", freeze_projector=False, finetune=_FULL, full_align=_FULL, align=_FULL, full_finetune=_FULL
).__doc__ = "Aria with its whole language model and projector learning, as tuned on NExT-QA."

VASE = StageConfig(
    epochs=2,
    global_batch_size=16,
    per_device_batch_size=1,
    learning_rate=1e-4,
    weight_decay=0.1,
    adam_beta2=0.95,
    warmup_ratio=0.05,
    train_strategy="fsdp-shard-grad-op",
    lora=LoraConfig(rank=8, alpha=32.0, dropout=0.05),
)
"""VaseVQA-3D's first stage (https://github.com/AIGeeksGroup/VaseVQA-3D, Train/model/sft.sh): 1 row x 16, all linear
layers; weight decay, beta2 and dropout are the defaults of ms-swift, which it runs."""
VASE_FULL = replace(
    VASE,
    epochs=1,
    global_batch_size=4,
    learning_rate=1e-6,
    warmup_ratio=0.01,
    lora=LoraConfig(),
    train_strategy="fsdp-full-shard-offload",
)
"""Its second stage, where everything but the vision tower learns (Train/model/grpo.sh): 1 row x 4, one epoch."""

VASE_LORA = HfVlmConfig.preset(
    "vase-qwen2.5-vl-7b-lora",
    path="Qwen/Qwen2.5-VL-7B-Instruct",
    freeze_vision=True,
    freeze_projector=True,
    max_pixels=1003520,
    max_length=4096,
    finetune=VASE,
    full_align=VASE,
    align=replace(VASE, lora=LoraConfig()),
    full_finetune=VASE_FULL,
)
VASE_LORA.__doc__ = "Qwen2.5-VL-7B with adapters in its language model, as VaseVQA-3D is fine-tuned."
VASE_LORA.preset(
    "vase-qwen2.5-vl-7b-full", finetune=VASE_FULL, full_align=VASE_FULL, align=VASE_FULL
).__doc__ = "Qwen2.5-VL-7B with its whole language model learning: the start of VaseVQA-3D's GRPO."

_TINY = StageConfig(
    epochs=3,
    global_batch_size=16,
    per_device_batch_size=8,
    learning_rate=2e-3,
    weight_decay=0.0,
    warmup_ratio=0.05,
    train_strategy="single",
)
for _name, _path, _more in (
    ("vlm-tiny", "merv/tiny-qwen2.5-vl", {"num_frames": 4}),
    (
        "vlm-tiny-experts",
        "merv/tiny-aria",
        {"num_frames": 2, "max_image_size": 490, "expert_balance_weight": 1e-4, "expert_z_weight": 1e-5},
    ),
):
    HfVlmConfig.preset(
        _name,
        path=_path,
        dtype="float32",
        max_length=1024,
        align=_TINY,
        full_align=_TINY,
        finetune=_TINY,
        full_finetune=_TINY,
        enable_gradient_checkpointing=False,
        **_more,
    ).__doc__ = f"{_path}, an image-text model with random weights drawn on the spot: to try things out, and for CI."
