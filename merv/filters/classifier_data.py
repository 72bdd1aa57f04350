"""Images with labels out of folders 0/ and 1/, their split, and how they become what the net sees."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from merv.errors import ConfigError
from merv.filters.images import ImageBatches, Unreadable, find_images

LABELS = ("low_quality", "high_quality")
"""Of folder 0 and folder 1."""
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet, as the published weights want them."""
PARTS = ("train", "val", "test")
TREE = """\
expected: DIR/
├── 0/   images of low quality, in folders below it, too
└── 1/   images of high quality"""
Resize = Literal["stretch", "pad"]


@dataclass(frozen=True)
class View:
    """What the net sees of a picture."""

    image_size: int
    """Pixels of a side."""
    resize: Resize
    """stretch: to a square, whatever the picture's shape, as the original does.  pad: whole on grey, shape kept."""
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    @property
    def at_least(self) -> int:
        """Pixels decoding has to keep of each side: twice what is seen, so that nothing seen changes much."""
        return 2 * self.image_size

    def __call__(self, image: Image.Image) -> Tensor:
        """Picture in RGB -> float (3, S, S), normalised."""
        return self.normalised(self.resized(image))

    def resized(self, image: Image.Image) -> Image.Image:
        """The square picture."""
        side = self.image_size
        if self.resize == "stretch":
            return image.resize((side, side), Image.Resampling.BILINEAR)
        scale = side / max(image.size)
        width, height = (max(1, round(length * scale)) for length in image.size)
        square = Image.new("RGB", (side, side), (128, 128, 128))
        square.paste(
            image.resize((width, height), Image.Resampling.BILINEAR), ((side - width) // 2, (side - height) // 2)
        )
        return square

    def normalised(self, image: Image.Image) -> Tensor:
        """Picture -> float (3, S, S)."""
        import torchvision.transforms.v2.functional as vision

        pixels = vision.pil_to_tensor(image).float() / 255
        return vision.normalize(pixels, list(self.mean), list(self.std))


class AugmentedBatches(ImageBatches):
    """Training images, each changed by chance: what chance says depends on seed, epoch and place alone."""

    def __init__(
        self,
        paths: Sequence[Path],
        keys: Sequence[int],
        view: View,
        batch_size: int,
        num_workers: int,
        *,
        seed: tuple[int, int],
    ) -> None:
        """Read `paths`; `keys` are their places in the whole list, `seed` is the run's with the epoch."""
        super().__init__(paths, view, batch_size, num_workers, at_least=view.at_least)
        self._keys = keys
        self._view = view
        self._seed = seed

    def transformed(self, image: Image.Image, place: int) -> Tensor:
        """Flip, turn, change colours; the picture is square by then.  -> (3, S, S)."""
        generator = torch.Generator().manual_seed(_number((*self._seed, self._keys[place])))
        return self._view.normalised(augment(self._view.resized(image), generator))


def augment(image: Image.Image, generator: torch.Generator) -> Image.Image:
    """Flip half of them, turn by up to 10 degrees, change brightness, contrast and saturation by 0.2, hue by 0.1."""
    import torchvision.transforms.v2.functional as vision

    flip, angle, *colours = torch.rand(6, generator=generator).mul(2).sub(1).tolist()
    if flip > 0:
        image = vision.horizontal_flip(image)
    image = vision.rotate(image, 10 * angle)
    changes = (vision.adjust_brightness, vision.adjust_contrast, vision.adjust_saturation, vision.adjust_hue)
    factors = [1 + 0.2 * colour for colour in colours[:3]] + [0.1 * colours[3]]
    for number in torch.randperm(4, generator=generator).tolist():
        image = changes[number](image, factors[number])
    return image


def find_labelled(folder: Path) -> tuple[list[Path], list[int]]:
    """The images of folders 0/ and 1/, and which of the two each lies in.

    Raises:
        ConfigError: a folder is missing or empty; shows what was expected.
    """
    if not folder.is_dir():
        raise ConfigError(f"folder {folder} is not there; name one with folders 0 and 1", below=TREE)
    missing = [str(label) for label in range(len(LABELS)) if not (folder / str(label)).is_dir()]
    if missing:
        raise ConfigError(f"{folder} has no folder {' and no folder '.join(missing)}; sort the images", below=TREE)
    paths: list[Path] = []
    labels: list[int] = []
    for label in range(len(LABELS)):
        found = find_images(folder / str(label))
        paths += found
        labels += [label] * len(found)
    return paths, labels


def find_unreadable(paths: Sequence[Path], num_workers: int) -> list[Unreadable | None]:
    """What is wrong with each file, None for those that can be read; decodes all of them."""
    rows = ImageBatches(paths, lambda image: torch.empty(0), num_workers=num_workers).rows()
    return [row if isinstance(row, Unreadable) else None for row in rows]


def split(labels: Sequence[int], seed: int, val_share: float, test_share: float) -> dict[str, list[int]]:
    """Places of each part: of both classes the same share, drawn by seed, at least one image each.

    Raises:
        ConfigError: a class is missing, or has too few images.
    """
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    generator = torch.Generator().manual_seed(seed)
    for label in range(len(LABELS)):
        places = [place for place, found in enumerate(labels) if found == label]
        if len(places) < len(PARTS):
            raise ConfigError(
                f"folder {label} has {len(places)} readable images; training, validation and test need one each at "
                f"least, 3 in all: add images of {LABELS[label].replace('_', ' ')}"
            )
        drawn = [places[number] for number in torch.randperm(len(places), generator=generator).tolist()]
        num_val, num_test = (max(1, round(share * len(places))) for share in (val_share, test_share))
        if num_val + num_test >= len(places):
            raise ConfigError(
                f"folder {label} has {len(places)} readable images, of which val_share {val_share:g} and test_share "
                f"{test_share:g} leave none to train on; lower them"
            )
        parts["val"] += drawn[:num_val]
        parts["test"] += drawn[num_val : num_val + num_test]
        parts["train"] += drawn[num_val + num_test :]
    return {part: sorted(places) for part, places in parts.items()}


def names_of(parts: Mapping[str, Sequence[int]], paths: Sequence[Path], folder: Path) -> dict[str, list[str]]:
    """Paths of each part below the folder, to be written."""
    return {part: [paths[place].relative_to(folder).as_posix() for place in places] for part, places in parts.items()}


def hash_of_split(names: Mapping[str, Sequence[str]]) -> str:
    """SHA-256 that tells whether two nets were trained and tested on the same images."""
    return sha256(json.dumps(names, sort_keys=True).encode(errors="surrogateescape")).hexdigest()


def _number(parts: Sequence[int]) -> int:
    """A seed made of several, far from those of others."""
    return int.from_bytes(sha256(repr(tuple(parts)).encode()).digest()[:8], "big") >> 1
