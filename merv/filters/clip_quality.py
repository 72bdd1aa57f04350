"""How well pictures are taken, by CLIP: nearer to sentences about good ones than to sentences about bad ones.

Follows clipfilter1 of VaseVQA-3D (https://github.com/AIGeeksGroup/VaseVQA-3D, Train/filter); the report has its keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from merv.filters.clip import Clip
from merv.filters.images import Unreadable
from merv.filters.prompt_sets import PromptSets
from merv.filters.reports import below
from merv.filters.threshold import DIGITS


@dataclass(frozen=True)
class Quality:
    """What CLIP says about one image."""

    high: float
    """Cosine with what is wanted."""
    low: float
    """Cosine with what is not."""

    @property
    def score(self) -> float:
        """The larger, the better; seldom beyond 0.1 either way."""
        return round(self.high - self.low, DIGITS)


def directions(clip: Clip, prompts: PromptSets, *, normalize_first: bool = False) -> Tensor:
    """Of good pictures and of bad ones.  -> (2, D)"""
    lists = (prompts.positive, prompts.negative)
    return torch.stack([clip.direction(sentences, normalize_first=normalize_first) for sentences in lists])


def similarities(features: Tensor, directions: Tensor) -> list[float]:
    """Cosines of one image with each direction.  (D,), (K, D) -> K numbers"""
    cosines = directions.double() @ features.double()
    return [round(float(cosine), DIGITS) for cosine in cosines]


def judge(clip: Clip, paths: Sequence[Path], directions: Tensor, num_workers: int) -> list[Quality | Unreadable]:
    """The quality of each image, in the order of the paths; nothing is said about one that cannot be read.

    Args:
        clip: the model.
        paths: the images.
        directions: (2, D), good and bad.
        num_workers: threads that decode.
    """
    found = clip.look(paths, num_workers)
    return [one if isinstance(one, Unreadable) else Quality(*similarities(one, directions)) for one in found]


def result_row(path: Path, root: Path, quality: Quality, threshold: float) -> dict[str, Any]:
    """One image of filtering_report.json."""
    return {
        "filename": below(path, root),
        "quality_score": quality.score,
        "high_quality_similarity": quality.high,
        "low_quality_similarity": quality.low,
        "accepted": quality.score >= threshold,
    }
