"""Small configs with the shape of the real ones, for the tests of this folder."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from draccus import ChoiceRegistry

from merv.errors import ConfigError
from merv.registry import Registry


class Precision(Enum):
    """Names differ from values, as they may."""

    HALF = "bf16"
    FULL = "fp32"


@dataclass
class Lora:
    rank: int = 0
    """Rank of the adapters."""
    alpha: float = 32.0
    """Scale times rank."""


@dataclass
class Stage:
    epochs: int = 1
    """Passes over the data."""
    max_steps: int | None = None
    """Steps to stop at; None means whole epochs."""
    per_device_batch_size: int = 8
    """Samples at a time."""
    learning_rate: float = 2e-5
    """Peak learning rate."""
    scheduler: Literal["cosine-decay", "constant"] = "cosine-decay"
    """Course of the learning rate."""
    lora: Lora = field(default_factory=Lora)
    """Adapters."""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ConfigError(f"epochs is {self.epochs}; it must be at least 1")


@dataclass
class Model(Registry, ChoiceRegistry, kind="model"):
    model_id: str = ""
    """Name of the model."""
    align: Stage = field(default_factory=lambda: Stage(learning_rate=1e-3))
    """Projectors learn."""
    full_align: Stage = field(default_factory=Stage)
    """Encoders learn too."""
    finetune: Stage = field(default_factory=lambda: Stage(per_device_batch_size=4, lora=Lora(rank=99)))
    """The LLM learns."""
    full_finetune: Stage = field(default_factory=Stage)
    """Everything learns."""

    @classmethod
    def default_choice_name(cls) -> str:
        return "merv-tiny"


@Model.register_subclass("merv-base")
@dataclass
class MultiEncoder(Model):
    video_backbone_ids: list[str] = field(default_factory=lambda: ["languagebind", "dinov2"])
    """Encoders, in order."""
    num_frames: list[int] = field(default_factory=lambda: [16, 16])
    """Frames each encoder sees."""
    projector_token_length: int = 64
    """Tokens of one frame."""
    visual_feature_length: int = 1024
    """Tokens of one clip."""
    llm_backbone_id: str = "llama2-7b-pure"
    """The language model."""
    llm_max_length: int = 2048
    """Tokens of one row."""
    backbone_options: dict[str, dict[str, Any]] = field(default_factory=lambda: {"tiny": {"depth": 2, "dim": 8}})
    """Further options by encoder."""


MultiEncoder.preset("merv-tiny", num_frames=[4, 4], llm_backbone_id="tiny", projector_token_length=4)


@Model.register_subclass("hf-vlm")
@dataclass
class HfVlm(Model):
    path: Path = Path("weights/here")
    """Where the weights are."""
    size_px: int = 980
    """Side of an image in pixels."""


@dataclass
class Dataset(Registry, ChoiceRegistry, kind="dataset"):
    weight: float = 1.0
    """Share in a mixture."""


@Dataset.register_subclass("videollava")
@dataclass
class VideoLlava(Dataset):
    finetune_stage_components: tuple[str, str] = ("tune.json", "videos")
    """Rows and media of the finetune stage."""


@Dataset.register_subclass("synthetic")
@dataclass
class Synthetic(Dataset):
    num_samples: int = 8
    """Clips drawn."""


@dataclass
class Run:
    """Train a model on a dataset.

    This part is not for the help.
    """

    run_id: str = ""
    """Name of the run's folder."""
    model: Model = field(default_factory=Model.get("merv-tiny"))
    """What is trained."""
    dataset: Dataset = field(default_factory=Synthetic)
    """On what."""
    stage: Literal["align", "full-align", "finetune", "full-finetune"] = "finetune"
    """Which stage runs."""
    seed: int = 7
    """Seed of everything drawn."""
    plan: bool = False
    """Say what would run, and stop."""
    resume_from: Path | None = None
    """Checkpoint to go on from."""
    run_root_dir: Path = Path("runs")
    """Where runs are kept."""
    notes: str | None = None
    """Anything."""
    precision: Precision = Precision.HALF
    """Type computed in."""
    trackers: list[str] = field(default_factory=lambda: ["jsonl"])
    """Where metrics go."""
    frames: int | list[int] = 8
    """One number for all, or one each."""
    pause: float | Literal["never"] = "never"
    """Seconds."""
    teacher: Model | None = None
    """A model to learn from."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Anything else."""
    mixture: list[Dataset] = field(default_factory=list)
    """Several datasets."""
    encoders: dict[str, Dataset] = field(default_factory=lambda: {"first": VideoLlava(weight=3.0)})
    """Configs by name."""


@dataclass
class Texts:
    """Fields that hold text, or may."""

    text: str = ""
    maybe: str | None = None
    many: list[str] = field(default_factory=list)
    either: int | str = 0
    lists: str | list[str] = ""
    anything: Any = None
    by_name: dict[str, str] = field(default_factory=dict)
