"""Config of the family `hf-vlm`.  Published recipes are presets of it, in merv/conf/vlm.py."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch

from merv.backbones.llm.loading import check_attention
from merv.backbones.llm.zoo import OPTION, folder_of, missing_line
from merv.errors import ConfigError
from merv.models.base import ModelConfig
from merv.models.hf_vlm import loading
from merv.models.hf_vlm.look import LookConfig
from merv.models.hf_vlm.net import HfVlm
from merv.models.hf_vlm.processor import HfProcessor
from merv.models.hf_vlm.tiny import DRAWN, drawn
from merv.models.system_message import message_of


@ModelConfig.register_subclass("hf-vlm")
@dataclass
class HfVlmConfig(LookConfig, ModelConfig):
    """Any image-text-to-text model of transformers: `--model.path Qwen/Qwen2.5-VL-7B-Instruct`, or a folder."""

    path: str = ""
    """The hub's name of the model, or a folder with its files; merv/tiny-qwen2.5-vl and merv/tiny-aria are drawn."""
    adapter: Path | None = None
    """Folder of an adapter, of merv or of peft, that becomes part of the weights first; None for none."""
    freeze_vision: bool | None = None
    """Whether the vision tower is frozen; None: it learns in full-finetune alone."""
    freeze_projector: bool | None = None
    """Whether what stands between tower and language model is frozen; None: it learns in every stage."""
    freeze_llm: bool | None = None
    """Whether the language model is frozen; None: it learns in every stage but align."""
    freeze_llm_layers: list[int] = field(default_factory=list)
    """Layers of the language model, from 0, that stay as they are and get no adapters."""
    expert_balance_weight: float = 0.0
    """Weight of the loss that spreads tokens over experts; for mixtures of experts."""
    expert_z_weight: float = 0.0
    """Weight of the loss that keeps a router's logits small; for mixtures of experts."""
    system: str = ""
    """System message of rows that bring none, or the path of a file with it, whose words the run then keeps; empty
    leaves it to the chat template."""
    learn_newline: bool = False
    """Whether white space a chat template writes behind the end of an answer is learned, as Aria's recipe has it."""
    max_length: int = 4096
    """Longest row in tokens, visual ones included."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the weights; what learns is float32."""
    save_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type in which a finished run keeps what learnt; what was frozen keeps its own."""
    attention: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"
    """sdpa is PyTorch's own; flash_attention_2 needs the package flash-attn and an accelerator."""

    def __post_init__(self) -> None:
        """Read the system message; check the numbers."""
        LookConfig.__post_init__(self)
        self.system = message_of(self.system)
        if self.max_length < 64:
            raise ConfigError(f"max_length is {self.max_length} tokens; it must be at least 64")
        if self.expert_balance_weight < 0 or self.expert_z_weight < 0:
            raise ConfigError(
                f"expert_balance_weight {self.expert_balance_weight:g} and expert_z_weight {self.expert_z_weight:g} "
                "must not be negative"
            )

    @property
    def expert_weights(self) -> dict[str, float]:
        """Weights of the experts' losses; empty where none is wanted."""
        weights = {"balance": self.expert_balance_weight, "z": self.expert_z_weight}
        return weights if any(weights.values()) else {}

    @property
    def local(self) -> Path | None:
        """The folder `path` names; None when it is a hub's name."""
        folder = Path(self.path)
        is_folder = folder.is_dir() or self.path.startswith((".", "/", "~")) or self.path.count("/") != 1
        return folder.expanduser() if is_folder else None

    def folder(self, *, weights: bool = True) -> Path:
        """The folder with the model's files; fetched from the hub if it is not on this disk.

        Raises:
            ConfigError: nothing is named, or a file is not to be had.
        """
        if not self.path:
            raise ConfigError(f"model.path is empty; name a hub repository or a folder: {OPTION}")
        if self.path in DRAWN:
            return drawn(self.path)
        return folder_of(self.path, self.local, weights=weights)

    def fetch(self) -> None:
        """Bring the model to this disk.

        Raises:
            ConfigError: it is not to be had; the message says how to get it.
        """
        self.folder(weights=self.init == "pretrained")

    def missing_weights(self) -> list[str]:
        """The line about a model that is not on this disk."""
        if not self.path:
            return [f"model.path is empty; name a hub repository or a folder: {OPTION}"]
        if self.path in DRAWN or self.init == "random":
            return []
        line = missing_line(self.path, self.local)
        return [] if line is None else [line]

    def build(self, *, seed: int = 0, without: Collection[str] = ()) -> HfVlm:
        """Make the model with its weights.

        Raises:
            ConfigError: it is not to be had, transformers does not know it, or an option is not for it.
            CheckpointError: its weights are damaged.
        """
        return self._build(loading.published if self.init == "pretrained" else loading.random, seed)

    def build_late(self, *, seed: int = 0) -> HfVlm:
        """The same without memory for weights, for a process that gets its shards from another."""
        return self._build(loading.empty, seed)

    def _build(self, make: Callable[..., Any], seed: int) -> HfVlm:
        folder = self.folder(weights=self.init == "pretrained")
        what = f"model `{self.path}`"
        check_attention(self.attention, what)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = make(folder, dtype=self.dtype, attention=self.attention, what=what)
        if self.expert_weights and not loading.has_experts(model):
            raise ConfigError(f"{what} has no experts; set expert_balance_weight and expert_z_weight to 0")
        made = HfVlm(self, model, self.processor(folder), folder)
        if self.adapter is not None:
            from merv.models.hf_vlm.run_folder import wear

            wear(made, self.adapter)
        return made

    def processor(self, folder: Path) -> HfProcessor:
        """What turns samples into the model's inputs.

        Raises:
            ConfigError: it cannot be loaded, or does not know an option.
        """
        return HfProcessor(
            processor=loading.processor(folder, f"model `{self.path}`"),
            look=self.look,
            system=self.system,
            max_length=self.max_length,
            learn_newline=self.learn_newline,
            rows_learn=bool(self.expert_weights),
        )

    @property
    def look(self) -> LookConfig:
        """What is shown of videos and images."""
        return LookConfig(**{each.name: getattr(self, each.name) for each in fields(LookConfig)})
