"""How many images a second the filters look at, against one image at a time, in one run and on the same images.

    python benchmarks/filters.py

`one by one` is what the scripts of VaseVQA-3D do (https://github.com/AIGeeksGroup/VaseVQA-3D, Train/filter): open a
file, decode all of it, prepare it, send it through the model alone.  `in batches` shares only the model's passes.
`merv` also decodes ahead in threads, and a large JPEG at a fraction of its size.  Weights are random: they cost the
same.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from common import interleaved, seconds, table
from PIL import Image
from torch import Tensor, nn

from merv import runtime
from merv.conf.parse import parse
from merv.filters.classifier_data import View
from merv.filters.classifier_net import Architecture, build_net
from merv.filters.classifier_scoring import Scorer
from merv.filters.clip import ROOM, Clip, ClipConfig
from merv.filters.images import ImageBatches, default_workers

Score = Callable[[Tensor], Tensor]


@dataclass
class FiltersConfig:
    """What to measure."""

    clip: str = "ViT-B-32"
    """CLIP by open_clip's name."""
    classifier: Architecture = "resnet50"
    """The classifier's net."""
    sizes: list[list[int]] = field(default_factory=lambda: [[640, 480], [1600, 1200]])
    """Width and height of the images, in pixels."""
    num_images: int = 64
    """Of each size."""
    batch_size: int = 32
    """Images of a pass."""
    repeats: int = 4
    """Rounds; each measures every way in turn."""
    quick: bool = False
    """Small models and few images: shows that the program works."""

    def __post_init__(self) -> None:
        """Make it small if so asked."""
        if self.quick:
            self.clip, self.classifier, self.sizes = "tiny", "tiny", [[160, 120]]
            self.num_images, self.batch_size, self.repeats = 6, 4, 1


class Model(NamedTuple):
    """A model, and how pictures reach it."""

    name: str
    transform: Callable[[Image.Image], Tensor]
    score: Score
    """(B, 3, H, W) -> (B,), on the CPU."""
    at_least: int
    """Pixels a JPEG keeps in each direction."""
    score_by_merv: Score | None = None
    """The same as the command makes the model ready; None where it changes nothing."""
    score_in_bfloat16: Score | None = None
    """The same by --dtype bfloat16, where the command has that option."""


def draw(folder: Path, width: int, height: int, count: int) -> list[Path]:
    """JPEGs with large shapes and fine grain, which cost a decoder about what photographs do."""
    random = np.random.default_rng(7)
    paths = [folder / f"{width}x{height}-{number:03d}.jpg" for number in range(count)]
    for path in paths:
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        levels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
        grain = random.normal(0, 6, (height, width, 1))
        Image.fromarray((levels + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def clip_model(config: FiltersConfig) -> Model:
    """The score of clip-quality by two random directions."""
    exact, fast = (_clip_score(config, dtype) for dtype in ("float32", "bfloat16"))
    clip, score = exact
    at_least = ROOM * clip.view_size
    return Model(f"CLIP {config.clip}", clip.transform, score, at_least, score_in_bfloat16=fast[1])


def _clip_score(config: FiltersConfig, dtype: Literal["float32", "bfloat16"]) -> tuple[Clip, Score]:
    clip = ClipConfig(model=config.clip, init="random", batch_size=1, dtype=dtype).build_clip(None)  # 1: no filling up
    good, bad = clip.direction(["an intact vase"]), clip.direction(["a sherd"])
    return clip, lambda images: clip.encode_images(images) @ (good - bad)


def classifier_model(config: FiltersConfig) -> Model:
    """The probability of good quality by the classifier's net."""
    torch.manual_seed(7)
    device = runtime.device()
    net: nn.Module = build_net(config.classifier).eval().to(device)
    view, exact, fast = View(224, "stretch"), Scorer(net, device), Scorer(net, device, "bfloat16")

    @torch.inference_mode()
    def score(images: Tensor) -> Tensor:
        return net(images.to(device)).float().softmax(1)[:, 1].cpu()

    return Model(
        config.classifier,
        view,
        score,
        view.at_least,
        score_by_merv=lambda images: exact(images)[:, 1],
        score_in_bfloat16=lambda images: fast(images)[:, 1],
    )


def one_by_one(model: Model, paths: Sequence[Path]) -> Tensor:
    """Scores, each image for itself."""
    scores = []
    for path in paths:
        with Image.open(path) as image:
            scores.append(model.score(model.transform(image.convert("RGB"))[None]))
    return torch.cat(scores)


def batched(model: Model, paths: Sequence[Path], batch_size: int, *, threads: int, at_least: int | None) -> Tensor:
    """Scores, in batches."""
    batches = ImageBatches(paths, model.transform, batch_size, threads, at_least=at_least)
    return torch.cat([model.score(batch.tensors) for batch in batches])


def measure(config: FiltersConfig, model: Model, paths: Sequence[Path], size: str) -> list[list[str]]:
    """Rows of one model and one size of images."""
    size_of = config.batch_size
    ready = model._replace(score=model.score_by_merv or model.score)
    ways: dict[str, Callable[[], Tensor]] = {
        "one by one": lambda: one_by_one(model, paths),
        "in batches": lambda: batched(model, paths, size_of, threads=0, at_least=None),
        "merv": lambda: batched(ready, paths, size_of, threads=default_workers(), at_least=model.at_least),
    }
    if model.score_in_bfloat16 is not None:
        fast = model._replace(score=model.score_in_bfloat16)
        ways["merv, bfloat16"] = lambda: batched(
            fast, paths, size_of, threads=default_workers(), at_least=model.at_least
        )
    scores = {name: way() for name, way in ways.items()}  # also warms everything up
    check(scores)
    timings = interleaved({name: (lambda way=way: seconds(way)) for name, way in ways.items()}, config.repeats)
    base = timings["one by one"].median
    rows = []
    for name, timing in timings.items():
        apart = float((scores[name] - scores["one by one"]).abs().max())
        against = "" if name == "one by one" else f"{base / timing.median:.1f}x"
        rows.append([model.name, size, name, timing.rate(len(paths)).text(1), against, f"{apart:.0e}"])
    return rows


def check(scores: dict[str, Tensor]) -> None:
    """Refuse to compare ways that do not find the same.

    Raises:
        SystemExit: batches change scores, or a JPEG decoded smaller puts images in another order.
    """
    plain, whole, smaller = (scores[name] for name in ("one by one", "in batches", "merv"))
    if not torch.allclose(plain, whole, atol=1e-5):
        raise SystemExit(f"batches change scores by {float((plain - whole).abs().max())}")
    spread = float(plain.max() - plain.min())
    if float((plain - smaller).abs().max()) > 0.1 * spread:
        raise SystemExit(f"decoding JPEGs smaller changes scores by more than a tenth of their spread, {spread}")


def main(args: Sequence[str] | None = None) -> str:
    """Measure and give the table."""
    config = parse(FiltersConfig, args)
    rows = []
    models = (clip_model(config), classifier_model(config))
    with tempfile.TemporaryDirectory() as folder:
        for width, height in config.sizes:
            paths = draw(Path(folder), width, height, config.num_images)
            for model in models:
                rows += measure(config, model, paths, f"{width}x{height}")
    return table(
        "Filters: images looked at",
        ["model", "JPEG", "way", "images/s: median (range)", "against one by one", "scores differ by"],
        rows,
        [
            f"{config.num_images} images, batches of {config.batch_size}, {config.repeats} rounds; ratios are of "
            f"medians; {torch.get_num_threads()} threads compute, {default_workers()} decode",
        ],
    )


if __name__ == "__main__":
    print(main())
