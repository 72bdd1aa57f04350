"""Datasets a user can name: `--dataset.type videollava`; and mixtures of them.

To add one, write a reader in `merv.data.formats` and register a config whose `load(stage)` gives a `Source`.
"""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import torch
from draccus import ChoiceRegistry

from merv.data.dataset import Source
from merv.data.formats import synthetic, video_llava
from merv.data.limits import Limits
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.registry import Registry

T = TypeVar("T")

Mixing = Literal["draw", "first"]
APART = 1_000_003
"""Between the seeds of a mixture's sources."""

VIDEOLLAVA_TREE = """\
data/download/videollava
├── valley_llavaimage.json
├── videochatgpt_llavaimage_tune.json
├── valley
│   ├── 000001_000050
│   └── ...
├── llava_image_tune
│   ├── coco
│   ├── gqa
│   ├── ocr_vqa
│   ├── textvqa
│   └── vg
└── videochatgpt_tune
    ├── v_---9CpRcKoU.mp4
    └── ..."""


@dataclass
class DatasetConfig(Registry, ChoiceRegistry, kind="dataset"):
    """Options every dataset has."""

    dataset_id: str = ""
    """Name in reports and in the ledger of bad samples; empty means the registered name."""

    @property
    def name(self) -> str:
        """`dataset_id`, or the registered name."""
        return self.dataset_id or self.type_name

    def make(self) -> None:
        """Create what can be created; called on one process before `load`.  Downloads are not."""

    def load(self, stage: str) -> Source:
        """Read the rows of a training stage: align, full-align, finetune or full-finetune."""
        raise TypeError(f"{type(self).__name__} does not define load()")

    def load_rows(self, stage: str) -> Source:
        """The same for those who open no media: folders of media need not be there yet, where a set can do without."""
        return self.load(stage)


@DatasetConfig.register_subclass("videollava")
@dataclass
class VideoLlavaConfig(Limits, DatasetConfig):
    """Valley and LLaVA images for align, VideoChatGPT and LLaVA images for finetune, as Video-LLaVA mixes them."""

    dataset_root_dir: Path = Path("data")
    """Folder the other paths start from."""
    align_stage_components: tuple[Path, Path] = (
        Path("download/videollava/valley_llavaimage.json"),
        Path("download/videollava"),
    )
    """Annotation file and media folder of align and full-align."""
    finetune_stage_components: tuple[Path, Path] = (
        Path("download/videollava/videochatgpt_llavaimage_tune.json"),
        Path("download/videollava"),
    )
    """Annotation file and media folder of finetune and full-finetune."""
    keep_video_token: bool = False
    """Leave `<video>` in the prompts; the MERV authors' trainer did, and removed `<image>` only."""
    follow_links: bool = False
    """Accept symbolic links that lead out of the media folder."""

    def load(self, stage: str) -> Source:
        """Read the annotation file of `stage`.

        Raises:
            ConfigError: there is no such stage, a file or folder is missing, or the file is not a list of rows.
        """
        components = {"align": self.align_stage_components, "finetune": self.finetune_stage_components}
        annotations, media_root = (self.dataset_root_dir / part for part in _of_stage(components, stage, self.name))
        reading = video_llava.read(
            annotations,
            media_root,
            dataset=self.name,
            expected=VIDEOLLAVA_TREE,
            keep_video_token=self.keep_video_token,
            follow_links=self.follow_links,
        )
        return self.within(reading, name=self.name, files=[annotations])


@DatasetConfig.register_subclass("synthetic")
@dataclass
class SyntheticConfig(DatasetConfig):
    """Clips of moving shapes with questions about shape, colour, direction and order; drawn where they are needed."""

    dataset_root_dir: Path = Path("data")
    """The drawn files are in download/synthetic below it."""
    num_train: int = 2400
    """Rows of the training list."""
    num_eval: int = 400
    """Questions of the held-out list, each about a clip of its own."""
    seed: int = 7
    """Decides what is drawn."""

    @property
    def root(self) -> Path:
        """Folder of the drawn files."""
        return self.dataset_root_dir / "download" / "synthetic"

    def make(self) -> None:
        """Draw the clips when they are absent; about ten seconds for 2400 rows.

        Raises:
            ConfigError: the folder holds another drawing.
        """
        synthetic.write_synthetic(self.root, num_train=self.num_train, num_eval=self.num_eval, seed=self.seed)

    def load(self, stage: str) -> Source:
        """Read the rows: the first question about each clip for align, all of them for finetune.

        Raises:
            ConfigError: there is no such stage, or the clips are not drawn or drawn otherwise.
        """
        file = _of_stage({"align": "align.json", "finetune": "train.json"}, stage, self.name)
        if not synthetic.is_drawn(self.root, synthetic.Drawing(self.num_train, self.num_eval, self.seed)):
            raise ConfigError(f"dataset `{self.name}`: {self.root} is not drawn yet; training draws it, or make()")
        reading = video_llava.read(self.root / file, self.root, dataset=self.name)
        return Source(self.name, reading.samples, reading.bad_rows, files=[self.root / file])


@DatasetConfig.register_subclass("mixture")
@dataclass
class MixtureConfig(DatasetConfig):
    """Several datasets read as one: `{type: mixture, datasets: [{type: videollava}, ...], weights: [1, 0.5]}`."""

    datasets: list[DatasetConfig] = field(default_factory=list)
    """What is mixed."""
    weights: list[float] = field(default_factory=list)
    """How often a row of each dataset occurs in an epoch; 0.5 takes half of them.  Empty means 1 for all."""
    mixing: Mixing = "draw"
    """`draw` draws the rows of a fraction; `first` takes the first ones and drops the fraction of weights above 1, as
    Aria's dataset_mixer does (https://github.com/rhymes-ai/Aria, aria/data.py)."""
    seed: int = 7
    """Decides which rows a fraction draws."""

    def make(self) -> None:
        """Create what each dataset can create."""
        for dataset in self.datasets:
            dataset.make()

    def load(self, stage: str) -> Source:
        """Read every dataset and join them."""
        return self._mixed([dataset.load(stage) for dataset in self.datasets])

    def load_rows(self, stage: str) -> Source:
        """The same, of datasets whose media need not be there."""
        return self._mixed([dataset.load_rows(stage) for dataset in self.datasets])

    def _mixed(self, sources: list[Source]) -> Source:
        return Mixture(sources, self.weights or None, mixing=self.mixing, seed=self.seed, name=self.name)


class Mixture(Source):
    """Sources joined by weight, each a block of rows; samplers shuffle.

    A source of n rows with weight w gives round(w * n) rows: every row floor(w) times, and the rest drawn without
    repetition from a generator seeded by `seed` and the source's place.  With `mixing="first"` see `first_rows`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        weights: Sequence[float] | None = None,
        *,
        mixing: Mixing = "draw",
        seed: int = 7,
        name: str = "mixture",
    ) -> None:
        """Draw the rows.

        Raises:
            ConfigError: no sources, another number of weights, or a weight that is not a number >= 0.
        """
        weights = [1.0] * len(sources) if weights is None else weights
        if not sources:
            raise ConfigError("mixture: datasets is empty; name at least one")
        if len(weights) != len(sources):
            raise ConfigError(f"mixture: {len(weights)} weights for {len(sources)} datasets; give one each")
        self.sources = list(sources)
        self._places = array("i")
        self._indices = array("q")
        for place, (source, weight) in enumerate(zip(sources, weights, strict=True)):
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"mixture: weight {weight} of dataset `{source.name}` must be a number >= 0")
            size, own_seed = len(source), seed + APART * place
            drawn = first_rows(size, weight) if mixing == "first" else draw_rows(size, weight, seed=own_seed)
            self._indices.extend(drawn)
            self._places.extend([place] * len(drawn))
        bad_rows = [row for source in sources for row in source.bad_rows]
        super().__init__(name, (), bad_rows, files=[file for source in sources for file in source.files])
        self.left_out = dict(sum((Counter(source.left_out) for source in sources), Counter()))
        self.num_cut = sum(source.num_cut for source in sources)

    def __len__(self) -> int:
        """Number of rows drawn."""
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """The sample at `index`."""
        return self.sources[self._places[index]][self._indices[index]]

    def ready(self, index: int) -> Sample:
        """The sample at `index`, once its source has fetched what it needs."""
        return self.sources[self._places[index]].ready(self._indices[index])

    def origin(self, index: int) -> tuple[str, int]:
        """Dataset name and row number where the sample came from."""
        return self.sources[self._places[index]].origin(self._indices[index])


def draw_rows(num_rows: int, weight: float, *, seed: int) -> list[int]:
    """Indices of a source of `num_rows` in a mixture, ascending within each copy."""
    if num_rows == 0:
        return []
    copies, rest = divmod(int(weight * num_rows + 0.5), num_rows)
    order = torch.randperm(num_rows, generator=torch.Generator().manual_seed(seed))
    return list(range(num_rows)) * copies + sorted(order[:rest].tolist())


def first_rows(num_rows: int, weight: float) -> list[int]:
    """The same by Aria's rule, without a draw: a weight above 1 repeats all rows int(weight) times, so 1.9 is 1.

    Up to 1 it takes the first int(weight * num_rows) rows, always the same ones.
    """
    return list(range(num_rows)) * int(weight) if weight > 1 else list(range(int(weight * num_rows)))


def _of_stage(components: Mapping[str, T], stage: str, dataset: str) -> T:
    """What a dataset has for align, full-align (align's), finetune or full-finetune (finetune's)."""
    if stage.removeprefix("full-") not in components:
        raise ConfigError(
            f"dataset `{dataset}` has no stage `{stage}`; it has {' and '.join(components)}, full- or not"
        )
    return components[stage.removeprefix("full-")]
