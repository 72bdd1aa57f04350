"""What can be chosen about a classifier's training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from merv.errors import ConfigError
from merv.filters.classifier_data import Resize
from merv.filters.classifier_net import Architecture
from merv.filters.images import default_workers

SMALLEST_BATCH = 4
"""Rows of a process that batch statistics can be made of."""


@dataclass
class FilterTrainConfig:
    """Learn good from bad images of folders 0 and 1: `merv filter train-classifier DIR --out DIR`."""

    folder: Path
    """Folder with the folders 0 (low quality) and 1 (high quality); images may lie in folders below them."""
    out: Path
    """Folder to write the classifier into."""
    arch: Architecture = "resnet50"
    """The net: resnet50 as the original, resnet18 or resnet34, or tiny for small pictures on a CPU."""
    init: str = "imagenet"
    """Weights to begin with: imagenet, random, or a file of weights, or the folder of another classifier."""
    image_size: int = 224
    """Pixels of the square the net sees."""
    resize: Resize = "stretch"
    """How a picture becomes a square: stretch, as the original does, or pad, which keeps its shape."""
    epochs: int = 50
    """Times each image is seen, unless `patience` ends it sooner."""
    batch_size: int = 64
    """Images of a step, of all processes together."""
    learning_rate: float = 1e-3
    """Adam's, in the first epoch."""
    weight_decay: float = 1e-4
    """Adam's."""
    schedule: Literal["cosine", "step"] = "cosine"
    """cosine: down to a hundredth in the last epoch.  step: to a tenth every ten epochs, as the original."""
    patience: int | None = 10
    """Epochs without a better one on the validation images after which training ends; None trains them all."""
    val_share: float = 0.1
    """Part of each folder that chooses the best epoch."""
    test_share: float = 0.1
    """Part of each folder that is looked at once, at the end."""
    seed: int = 42
    """Of the split, the order, the augmentation and random weights."""
    num_workers: int | None = None
    """Threads that decode; None means one a core, 16 at most, and 0 decodes without."""
    overwrite: bool = False
    """Replace a folder that is there."""

    def __post_init__(self) -> None:
        """Check what can be checked without images."""
        _at_least(1, epochs=self.epochs, patience=self.patience)
        _at_least(16, image_size=self.image_size)
        _at_least(0, num_workers=self.num_workers)
        _at_least(SMALLEST_BATCH, batch_size=self.batch_size)
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate:g}; it is above 0")
        for name in ("val_share", "test_share"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name):g}; it is a part of the images, between 0 and 1")

    @property
    def workers(self) -> int:
        """Threads that decode."""
        return default_workers() if self.num_workers is None else self.num_workers


def _at_least(smallest: int, **values: int | None) -> None:
    for name, value in values.items():
        if value is not None and value < smallest:
            raise ConfigError(f"{name} is {value}; it is {smallest} or more")
