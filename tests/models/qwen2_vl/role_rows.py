"""Tiny role models, and rows for every role about clips of noise."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

import merv.conf.roles  # noqa: F401 - registers role-tiny-...
from merv.data.sample import Sample, Turn
from merv.models.base import ModelConfig
from merv.models.qwen2_vl.config import Qwen2VLConfig
from merv.models.qwen2_vl.grounding_head import GroundingHeadConfig
from merv.models.qwen2_vl.net import RoleLM
from merv.models.qwen2_vl.roles import ROLES
from merv.models.qwen2_vl.tiny import TinyBaseConfig
from merv.models.stage import LoraConfig
from merv.video.media import MediaRef

LORA = LoraConfig(rank=2, alpha=8.0, dropout=0.0, target_modules=["q_proj", "up_proj"])
WORDS = LoraConfig(**{**vars(LORA), "modules_to_save": ["embed_tokens", "lm_head"]})
SIZES = {"wide": (12, 40, 64), "tall": (8, 80, 44), "short": (3, 30, 30), "long": (48, 24, 24)}
"""Frames, height and width; three frames a second."""
OPTIONS = ["a ring", "a cross"]


def draw_clips(folder: Path) -> dict[str, MediaRef]:
    """Folders of frames of noise, and a still."""
    generator = np.random.default_rng(0)
    clips = {}
    for name, (count, height, width) in SIZES.items():
        (folder / name).mkdir()
        for number in range(count):
            pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03d}.png")
        clips[name] = MediaRef(folder / name)
    Image.fromarray(generator.integers(0, 256, (50, 40, 3), dtype=np.uint8)).save(folder / "still.png")
    return {**clips, "still": MediaRef(folder / "still.png", kind="image")}


def role_config(role: str, **options) -> Qwen2VLConfig:
    """role-tiny-..., smaller still."""
    tiny = TinyBaseConfig(
        hidden_size=32, intermediate_size=48, num_layers=2, num_heads=2, vision_dim=16, vision_depth=1
    )
    head = GroundingHeadConfig(dims=16, num_heads=2, drop_path=0.0)
    return ModelConfig.new(f"role-tiny-{role}", **{"tiny": tiny, "head": head, **options})


def role_model(role: str, seed: int = 0, **options) -> RoleLM:
    return role_config(role, **options).build(seed=seed).eval()


def stir(module, seed: int = 0, *, of: str = "") -> None:
    """Parameters whose name holds `of` become large random numbers: adapters begin as zeros, and would do nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if of in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)


def all_roles() -> RoleLM:
    """One base with a stirred adapter for every role, of different places, and the heads of two."""
    model = role_model("grounder")
    model.processor.budgets = dict.fromkeys(ROLES, model.processor.budgets["grounder"])
    for seed, role in enumerate(ROLES):
        lora = WORDS if ROLES[role].keeps_words else LORA
        model.add_role(role, lora, model.config.head if role == "gqa" else None)
        stir(model.llm, seed, of=f".{role}.")
    stir(model.heads, 9)
    for head in model.heads.values():
        head.coef.scale.data.fill_(1.0)
    return model.eval().requires_grad_(False)


def sample(*media: MediaRef, name: str = "row", **meta) -> Sample:
    """A row that says what it asks in `meta`."""
    return Sample(name, (), media, meta=meta)


def talk(*media: MediaRef, question: str = "What is it?", answer: str = "a ring", name: str = "talk") -> Sample:
    return Sample(name, (Turn("user", question), Turn("assistant", answer)), media)


def grounding(ref: MediaRef, *windows, query: str = "the screen shows a ring", name: str = "moment") -> Sample:
    return sample(ref, name=name, query=query, windows=list(windows))


def judging(ref: MediaRef, candidate, duration: float, positive: bool | None = None) -> Sample:
    meta = {} if positive is None else {"positive": positive}
    return sample(ref, name="verdict", query="a ring", candidate=candidate, duration=duration, **meta)


def choosing(ref: MediaRef, *windows, answer: int | None = None) -> Sample:
    meta = {} if answer is None else {"answer": answer, "windows": list(windows)}
    return sample(ref, name="choice", question="What is seen?", options=OPTIONS, **meta)
