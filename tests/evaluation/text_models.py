"""Small random models that embed texts, in the layout of the published folders."""

import json
from pathlib import Path

import torch

LETTERS = list("abcdefghijklmnopqrstuvwxyz,.-0123456789")


def write_clip(folder: Path) -> Path:
    """A folder like openai/clip-vit-base-patch32: letters as tokens, at most 20 of them, vectors of 6."""
    from transformers import CLIPConfig, CLIPModel

    folder.mkdir(parents=True)
    tokens = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": tokens[-2], "eos_token": tokens[-1], "unk_token": tokens[-1], "pad_token": tokens[-1]}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 20, **special})
    )
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": len(tokens) - 2, "eos_token_id": len(tokens) - 1, "vocab_size": len(tokens)}
    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(
            projection_dim=6,
            text_config={**sizes, **ends, "max_position_embeddings": 20, "projection_dim": 6},
            vision_config={**sizes, "image_size": 8, "patch_size": 4, "projection_dim": 6},
        )
    ).save_pretrained(folder)
    return folder


def write_sentence(folder: Path, *, normalised: bool = True, pooling: str = "mean", length: int | None = None) -> Path:
    """A folder like sentence-transformers/all-mpnet-base-v2, with a BERT: characters as tokens, vectors of 8."""
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    torch.manual_seed(1)
    BertModel(
        BertConfig(
            vocab_size=len(tokens),
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=40,
        )
    ).save_pretrained(folder)
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalised else [])]
    modules = [{"idx": i, "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pools = {f"pooling_mode_{name}": name.startswith(pooling) for name in ("cls_token", "mean_tokens")}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pools))
    if length:
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length}))
    return folder
