"""Captions of vases compared with their references, as VaseVQA-3D does (github.com/AIGeeksGroup/VaseVQA-3D, eval/)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from merv.data.sample import Sample, Turn
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import field, find_video, read_rows
from merv.evaluation.metrics.captions import OVERALL, Embed, frechet_distance, lexical_similarity, unit
from merv.evaluation.task import Item, Parsed, Task, TaskConfig
from merv.evaluation.text_embedding import check_folder, check_open_clip, clip_texts, open_clip_texts, sentence_texts
from merv.video.media import MediaRef

RANKS = (1, 5, 10)
CLIP = Path("models/openai/clip-vit-base-patch32")
Protocol = Literal["merv", "official"]

PROMPT = (
    "Write the catalogue line of this ancient Greek vase: its shape, technique, date, decoration and, if you can "
    "tell, where it was found."
)
EXAMPLE = 'Write it like this: "Attic red-figure kylix, c. 490 BCE, depicting a flute player; Vulci."'


@dataclass(frozen=True)
class Embedders:
    """Functions that load what turns texts into vectors."""

    clip: Callable[[], Embed]
    sentence: Callable[[], Embed]


class CaptionTask(Task):
    """Captions scored against one reference each, all by text; embeddings are taken when all captions are there.

    Scores of an item are `clip_score`, the cosine of CLIP's embeddings (-1..1), `r_at_1`, `r_at_5` and `r_at_10`, 1
    where its own reference is among as many most similar ones, and `lexical_similarity` (0..1).  The summary adds
    `fid_score` (0 or more, low is good) over the captions there are, and `overall_score`.  A missing caption scores 0
    in the protocol `merv`; `official` leaves it out of the means, and its reference out of those that are searched.
    """

    parser = "text/1"

    def __init__(self, name: str, samples: Sequence[Sample], options: dict[str, Any], embedders: Embedders) -> None:
        """Ask `samples`, whose `meta` holds the reference; `options` holds the protocol and goes on the card."""
        self.name, self._samples, self._options, self._embedders = name, samples, options, embedders
        self._distance: float | None = None

    def samples(self) -> Sequence[Sample]:
        """What is to be captioned."""
        return self._samples

    def parse(self, sample: Sample, text: str) -> Parsed:
        """The caption without blanks around it."""
        return Parsed(text.strip(), ok=bool(text.strip()))

    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """The words in common; the rest is known at the end."""
        lexical = lexical_similarity([parsed.value], [sample.meta["answer"]]) if parsed.ok else 0.0
        return {"clip_score": 0.0, **{f"r_at_{k}": 0.0 for k in RANKS}, "lexical_similarity": lexical}

    def settle(self, items: Sequence[Item]) -> list[Item]:
        """The items with the scores of their embeddings.

        Raises:
            ConfigError: an embedding model cannot be loaded.
        """
        settled, there = list(items), _captioned(items)
        self._distance = None
        if not there:
            return settled
        searched = there if self._official else list(range(len(items)))
        captions = [items[index].parsed.value for index in there]
        references = [items[index].sample.meta["answer"] for index in searched]
        own = range(len(there)) if self._official else there
        embed = self._embedders.clip()
        scores = _clip_scores(embed(captions), embed(references), own)
        for index, found in zip(there, scores, strict=True):
            settled[index] = replace(items[index], scores={**items[index].scores, **found})
        if len(there) > 1:  # one caption has no covariance
            sentence = self._embedders.sentence()
            true = [items[index].sample.meta["answer"] for index in there]
            self._distance = frechet_distance(sentence(captions), sentence(true))
        return settled

    def describe(self) -> dict[str, Any]:
        """Options and embedding models."""
        return self._options

    def summary(self, items: Sequence[Item]) -> dict[str, float | int]:
        """Means, `semantic_similarity` (`clip_score` under its second name), `overall_score`, and `fid_score`."""
        counted = [items[index] for index in _captioned(items)] if self._official else items
        counts = {name: value for name, value in super().summary(items).items() if isinstance(value, int)}
        rows = {**super().summary(counted or items), **counts}
        rows["semantic_similarity"] = rows["clip_score"]
        rows["overall_score"] = sum(weight * rows[name] for name, weight in OVERALL.items())
        return rows if self._distance is None else {**rows, "fid_score": self._distance}

    @property
    def _official(self) -> bool:
        return bool(self._options["protocol"] == "official")


def _captioned(items: Sequence[Item]) -> list[int]:
    return [index for index, item in enumerate(items) if item.failed is None and item.parsed.ok]


def _clip_scores(captions: np.ndarray, references: np.ndarray, own: Sequence[int]) -> list[dict[str, float]]:
    """Cosine with the own reference and hits among the most similar ones, by caption.  (N, D), (M, D), N numbers < M.

    Of equally similar references the later comes first, as in `merv.evaluation.metrics.captions`.
    """
    similar_NM = unit(captions) @ unit(references).T
    order = np.argsort(similar_NM, axis=1, kind="stable")[:, ::-1]
    return [
        {"clip_score": float(similar[place]), **{f"r_at_{k}": float(place in best[:k]) for k in RANKS}}
        for similar, best, place in zip(similar_NM, order, own, strict=True)
    ]


def _first(images: Any, where: str) -> str:
    if not isinstance(images, list) or not images or not isinstance(images[0], str):
        raise ConfigError(f"{where}: images is {images!r}; expected a list of file names")
    return images[0]


@TaskConfig.register_subclass("vase-captions")
@dataclass
class VaseCaptionsConfig(BenchmarkConfig):
    """VaseVQA-3D captions: rows `{images: [name], caption}`; the first name leads to a picture, views or a video.

    It is looked for below the media folder as a picture, as a folder of views whose name begins like it, and as a
    video.  A row may name a `video` instead.
    """

    folder: ClassVar[str] = "VaseVQA-3D"
    file: ClassVar[str] = "groundTruth.json"
    media: ClassVar[str] = "multiview_images"
    source: ClassVar[str] = "download it from github.com/AIGeeksGroup/VaseVQA-3D"

    protocol: Protocol = "merv"
    """What a missing caption is: merv counts it with 0, official leaves it out."""
    prompt: str = f"{PROMPT} {EXAMPLE}"
    """What is asked."""
    clip: Literal["transformers", "open-clip"] = "transformers"
    """What runs CLIP's text tower; open-clip comes with the extra `filters`."""
    clip_path: Path | None = None
    """Folder of CLIP ViT-B/32 in transformers' layout, or the file of its weights for open-clip; None means
    models/openai/clip-vit-base-patch32, and for open-clip that it fetches them."""
    sentence_path: Path = Path("models/sentence-transformers/all-mpnet-base-v2")
    """Folder of the sentence encoder."""

    def read(self) -> list[Sample]:
        """The captions and what they are about.

        Raises:
            ConfigError: the file is missing or a row lacks something.
        """
        path = self.annotation_path
        folders = sorted(entry.name for entry in self.media_path.glob("*/"))
        samples = []
        for number, row in enumerate(read_rows(path, get=self.source)):
            where = f"{path} row {number}"
            meta = {"answer": str(field(row, "caption", where)), "duration": row.get("duration")}
            if row.get("video"):
                ref = MediaRef(find_video(self.media_path, row["video"]))
            else:
                ref = self._media(_first(field(row, "images", where), where), folders)
            samples.append(Sample(ref.path.stem, (Turn("user", self.prompt),), (ref,), meta=meta))
        return samples

    def task(self, samples: Sequence[Sample]) -> CaptionTask:
        """The task, when its embedding models are there.

        Raises:
            ConfigError: one is missing.
        """
        options = {"condition": self.condition, "protocol": self.protocol}
        clip = self.clip_path or (CLIP if self.clip == "transformers" else "openai")
        about = {"clip": f"{self.clip}: {clip}", "sentence": str(self.sentence_path)}
        return CaptionTask(self.task_name, samples, {**options, **about}, self._embedders())

    def _embedders(self) -> Embedders:
        sentence = partial(sentence_texts, self.sentence_path)
        check_folder(self.sentence_path, "sentence_path")
        if self.clip == "open-clip":
            check_open_clip(self.clip_path, "clip_path")
            return Embedders(partial(open_clip_texts, self.clip_path), sentence)
        folder = self.clip_path or CLIP
        check_folder(folder, "clip_path")
        return Embedders(partial(clip_texts, folder), sentence)

    def _media(self, name: str, folders: Sequence[str]) -> MediaRef:
        picture, stem = self.media_path / name, Path(name).stem
        if picture.is_file() and picture.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"):
            return MediaRef(picture, "image")
        if views := next((folder for folder in folders if folder.startswith(stem)), None):
            return MediaRef(self.media_path / views)
        video = find_video(self.media_path, stem)
        return MediaRef(video) if video.exists() else MediaRef(picture, "image")
