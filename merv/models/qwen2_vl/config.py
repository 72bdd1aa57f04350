"""Config of the role models.  Published sizes and stages are presets of it, in merv/conf/roles.py."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from merv.backbones.llm.base import LLM
from merv.backbones.llm.templates import TEMPLATES
from merv.backbones.llm.zoo import folder_of, missing_line
from merv.errors import ConfigError
from merv.models.base import ModelConfig
from merv.models.qwen2_vl import base as bases
from merv.models.qwen2_vl.grounding_head import GroundingHeadConfig
from merv.models.qwen2_vl.net import RoleLM
from merv.models.qwen2_vl.processor import Geometry, RoleProcessor
from merv.models.qwen2_vl.prompts import Wording
from merv.models.qwen2_vl.roles import ROLES, RoleName
from merv.models.qwen2_vl.tiny import TINY_BUDGETS, TinyBaseConfig, tiny_base, tiny_tokenizer
from merv.models.qwen2_vl.tokens import TokenIds
from merv.video.budget import VisualBudget

TINY = "tiny"
SYSTEM = "You are a helpful assistant."
"""System message of Qwen2-VL, and of VideoMind's training."""


@ModelConfig.register_subclass("qwen2-vl")
@dataclass
class Qwen2VLConfig(ModelConfig):
    """A Qwen2-VL with an adapter for each role (VideoMind, https://arxiv.org/abs/2503.13444)."""

    role: RoleName = "answerer"
    """The role that is trained: planner | grounder | verifier | answerer | gqa."""
    base: str = "Qwen/Qwen2-VL-2B-Instruct"
    """The hub's name of the base; `tiny` draws a small one."""
    path: Path | None = None
    """Local folder with the base; None looks into model_zoo and the hub's cache."""
    tiny: TinyBaseConfig = field(default_factory=TinyBaseConfig)
    """Sizes of the base `tiny`."""
    head: GroundingHeadConfig = field(default_factory=GroundingHeadConfig)
    """The grounding head of roles that find moments."""
    wording: Wording = "videomind"
    """What roles are told: the words the published adapters were trained with, or our own short ones."""
    protocol: Literal["merv", "videomind"] = "merv"
    """merv: arithmetic as it should be; videomind: to the letter as the published weights were trained and used."""
    fps: float | None = None
    """Frames a second the role looks at; None means the role's number."""
    max_frames: int | None = None
    """Most frames the role looks at; None means the role's number."""
    min_pixels: int | None = None
    """Fewest pixels of a frame after resizing; None means the role's number."""
    max_pixels: int | None = None
    """Most pixels of a frame after resizing; None means the role's number."""
    timestamps: bool = False
    """Tell the role in words when each time step was taken; MUPA's joint role is told."""
    max_length: int = 32768
    """Longest row in tokens, visual ones included."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the base's weights; what learns is float32."""
    attention: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"
    """sdpa is PyTorch's own; flash_attention_2 needs the package flash-attn and an accelerator."""

    def __post_init__(self) -> None:
        """Check the numbers: a budget refuses what makes no sense."""
        self.budgets()
        if self.max_length < 64:
            raise ConfigError(f"max_length is {self.max_length} tokens; it must be at least 64")

    def budgets(self) -> dict[str, VisualBudget]:
        """What each role is shown: as published, or by the tiny base; the own role as the config says.

        Raises:
            ConfigError: a number makes no sense.
        """
        names = ("fps", "max_frames", "min_pixels", "max_pixels")
        changed = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        published = {name: role.budget for name, role in ROLES.items()}
        found = TINY_BUDGETS if self.base == TINY else published
        return {**found, self.role: replace(found[self.role], **changed)}

    def is_published(self) -> bool:
        """Whether anybody can have the base again: published weights, or the tiny one drawn from its seed."""
        return self.base == TINY or self.init == "pretrained"

    def fetch(self) -> None:
        """Bring the base to this disk.

        Raises:
            ConfigError: it is not to be had; the message says how to get it.
        """
        if self.base != TINY and self.init == "pretrained":
            folder_of(self.base, self.path)

    def missing_weights(self) -> list[str]:
        """The line about a base that is not on this disk."""
        if self.base == TINY or self.init == "random":
            return []
        line = missing_line(self.base, self.path)
        return [] if line is None else [line]

    def build(self, *, seed: int = 0, without: Collection[str] = ()) -> RoleLM:
        """Make the model; the grounding head is drawn from `seed`.

        Raises:
            ConfigError: the base is not to be had, or is no Qwen2-VL.
            CheckpointError: its weights are damaged.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            base, tokenizer = self._base()
            bases.with_tokens(base, tokenizer)
            tower = bases.take_vision(base)
            # The tiny tokenizer keeps words whole behind a space.
            template = replace(TEMPLATES["qwen2"], system=SYSTEM, before_answer=" " if self.base == TINY else "")
            llm = LLM(base, tokenizer, template, max_length=self.max_length)
            return RoleLM(self, tower, llm, self._processor(tokenizer, template, tower.config, seed))

    def _base(self) -> tuple[Any, Any]:
        if self.base == TINY:
            tokenizer = tiny_tokenizer()
            return tiny_base(self.tiny, tokenizer), tokenizer
        options: dict[str, Any] = {"dtype": self.dtype, "attention": self.attention}
        if self.init == "random":
            return bases.random_base(self.base, self.path, stand_in=tiny_tokenizer(), **options)
        return bases.published_base(self.base, self.path, **options)

    def _processor(self, tokenizer: Any, template: Any, vision: Any, seed: int) -> RoleProcessor:
        return RoleProcessor(
            role=self.role,
            tokenizer=tokenizer,
            ids=TokenIds.of(tokenizer, template.before_answer),
            template=template,
            geometry=Geometry(vision.patch_size, vision.temporal_patch_size, vision.spatial_merge_size),
            budgets=self.budgets(),
            wording=self.wording,
            protocol=self.protocol,
            timestamps=(self.role,) if self.timestamps else (),
            max_length=self.max_length,
            seed=seed,
        )
