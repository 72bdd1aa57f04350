"""Tiny models with what a table can get wrong: groups of queries, biases, tied and untied heads, and a vocabulary that
no power of two divides."""

import torch

TYPES = ("qwen2", "llama", "qwen2_vl", "qwen2_5_vl")
TEXT = {
    "vocab_size": 151,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
}
"""Two queries in each group, and as many groups as the widest split has ranks."""
IDS = {"image_token_id": 140, "video_token_id": 141, "vision_start_token_id": 142, "vision_end_token_id": 143}


def config_of(model_type, *, tied=False, **changes):
    from transformers import AutoConfig

    text = {**TEXT, **changes}
    if not model_type.endswith("vl"):
        return AutoConfig.for_model(model_type, tie_word_embeddings=tied, **text)
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
    vision = {"depth": 2, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2}
    if model_type == "qwen2_vl":
        vision |= {"embed_dim": 16, "hidden_size": TEXT["hidden_size"], "mlp_ratio": 2}
    else:
        vision |= {"hidden_size": 16, "out_hidden_size": TEXT["hidden_size"], "intermediate_size": 32}
        vision |= {"window_size": 16, "fullatt_block_indexes": [1]}
    parts = {"text_config": text, "vision_config": vision, **IDS}
    return AutoConfig.for_model(model_type, tie_word_embeddings=tied, **parts)


def save_tiny(model_type, folder, *, tied=False, dtype=torch.float32, max_shard_size="50GB", **changes):
    """A model with weights drawn from a seed, saved as people publish theirs; gives its folder."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    config = config_of(model_type, tied=tied, **changes)
    family = AutoModelForImageTextToText if model_type.endswith("vl") else AutoModelForCausalLM
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = family.from_config(config).to(dtype)
        for parameter in model.parameters():  # biases begin as zeros and norms as ones, which hide mistakes
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    (folder / "tokenizer_config.json").write_text('{"name": "tiny"}')
    return folder
