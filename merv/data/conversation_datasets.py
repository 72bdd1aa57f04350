"""Conversations with media in them, for fine-tuning any vision-language model: own lists, and Aria's NExT-QA."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.formats import captioned, messages
from merv.data.formats.role_rows import Reading
from merv.data.limits import Limits
from merv.data.role_files import brought_by, missing_line
from merv.errors import ConfigError

NEXTQA_TREE = """\
data/nextqa
├── train.jsonl
├── test.jsonl             (only for split test)
└── NExTVideo
    ├── 0000
    │   ├── 2440175990.mp4
    │   └── ...
    └── ..."""


@dataclass
class ConversationDatasetConfig(Limits, DatasetConfig):
    """What datasets of conversations share: one list, one folder of media, the same rows for every stage."""

    follow_links: bool = False
    """Accept symbolic links that lead out of the media folder."""

    def files(self) -> tuple[Path, Path]:
        """The list, and the folder its media paths start from."""
        raise TypeError(f"{type(self).__name__} does not define files()")

    def read(self) -> Reading:
        """All rows of the list."""
        raise TypeError(f"{type(self).__name__} does not define read()")

    def needed(self) -> tuple[list[Path], str, str]:
        """Paths that must be there, what to do about a missing one, and a picture of them; empty for none."""
        return list(self.files()), "set --dataset.annotations and --dataset.media_root", ""

    def load(self, stage: str) -> Source:
        """Read the rows.

        Raises:
            ConfigError: the list or the folder is missing, the list cannot be read, or no row can be used.
        """
        paths, remedy, picture = self.needed()
        if missing := [path for path in paths if not path.exists()]:
            raise ConfigError(f"dataset `{self.name}`: {missing_line(missing)}; {remedy}", below=picture)
        return self.within(self.read(), name=self.name, files=[self.files()[0]])


@dataclass
class OwnListConfig(ConversationDatasetConfig):
    """A list of one's own."""

    annotations: Path = Path("data/train.jsonl")
    """The list, `.jsonl` or `.json`."""
    media_root: Path | None = None
    """Folder the media paths of the rows start from; None means the folder of the list."""

    def files(self) -> tuple[Path, Path]:
        """The list and the media folder."""
        return self.annotations, self.media_root or self.annotations.parent


@DatasetConfig.register_subclass("messages")
@dataclass
class MessagesConfig(OwnListConfig):
    """Messages with media in them, one row a line, as Aria or as OpenAI spells them."""

    prompts_only: bool = False
    """Take rows that end with a question too, for GRPO, which samples the answers; rewards get their `solution`."""

    def read(self) -> Reading:
        """All rows of the list."""
        return messages.read(
            *self.files(), dataset=self.name, follow_links=self.follow_links, prompts_only=self.prompts_only
        )


@DatasetConfig.register_subclass("captioned-images")
@dataclass
class CaptionedImagesConfig(OwnListConfig):
    """Images, a caption and a conversation about them, as VaseVQA has them."""

    annotations: Path = Path("data/train.json")
    """The list, `.json` or `.jsonl`."""

    def read(self) -> Reading:
        """All rows of the list."""
        return captioned.read(*self.files(), dataset=self.name, follow_links=self.follow_links)


@DatasetConfig.register_subclass("aria-nextqa")
@dataclass
class AriaNextqaConfig(ConversationDatasetConfig):
    """NExT-QA as messages, which Aria is fine-tuned on (https://huggingface.co/datasets/rhymes-ai/NeXTVideo)."""

    dataset_root_dir: Path = Path("data")
    """The set is in `nextqa` below it."""
    split: Literal["train", "test"] = "train"
    """Which list."""

    def files(self) -> tuple[Path, Path]:
        """The list, and the folder its paths start from."""
        folder = self.dataset_root_dir / "nextqa"
        return folder / f"{self.split}.jsonl", folder

    def needed(self) -> tuple[list[Path], str, str]:
        """The list and the videos, with where to get them."""
        paths = [self.files()[0], self.files()[1] / "NExTVideo"]
        page = "https://huggingface.co/datasets/rhymes-ai/NeXTVideo"
        remedy = f"download it from {page} or set --dataset.dataset_root_dir{brought_by(self.name)}"
        return paths, f"{remedy}; it looks like this:", NEXTQA_TREE

    def read(self) -> Reading:
        """All rows of the list."""
        return messages.read(*self.files(), dataset=self.name, follow_links=self.follow_links)
