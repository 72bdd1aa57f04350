"""Tiny transformers models with adapters that have something to say, and what they answer."""

from pathlib import Path

import torch

from merv.models.hf_vlm.adapter_files import adapter_config_of, save_adapter
from merv.models.lora import add_lora, is_adapter
from merv.models.stage import LoraConfig

EXPERTS = (
    "model.language_model.layers.1.mlp.experts.gate_up_proj",
    "model.language_model.layers.1.mlp.experts.down_proj",
)
WORN = {
    "qwen2-vl": {"targets": ("q_proj", "v_proj", "down_proj", "qkv")},
    "qwen2.5-vl": {"targets": ("q_proj", "o_proj"), "saved": ("embed_tokens", "lm_head")},
    "aria": {"targets": ("q_proj", "fc1", "lm_head"), "experts": EXPERTS},
    "llava": {"targets": ("embed_tokens", "q_proj", "linear_1")},
}
"""Where adapters of each model are put: layers, modules kept whole, experts."""


def load(folder, **options):
    """The model of a folder, quietly."""
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(str(folder), local_files_only=True, **options).eval()


def adapted(folder, *, targets=("q_proj", "v_proj", "down_proj"), saved=(), experts=(), rank=4):
    """The model of a folder with an adapter whose matrices are random."""
    model = load(folder)
    lora = LoraConfig(rank=rank, alpha=8.0, dropout=0.0, target_modules=list(targets), modules_to_save=list(saved))
    add_lora(model, lora, parameters=experts)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        for name, parameter in model.named_parameters():
            if is_adapter(name):
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def expert_paths(model):
    """Paths of the fused weights of experts."""
    return sorted(name for name, _ in model.named_parameters() if ".experts." in name)


def inputs(model):
    """Two rows of words."""
    ids = torch.arange(1, 25).reshape(2, 12) % model.config.get_text_config().vocab_size
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@torch.inference_mode()
def logits(model):
    """What a model says to `inputs`."""
    return model(**inputs(model)).logits


def saved_adapter(model, folder: Path, base):
    """The folder of a model's adapter."""
    save_adapter(folder, model.state_dict(), adapter_config_of(model), base)
    return folder
