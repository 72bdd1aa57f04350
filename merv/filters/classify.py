"""Images sorted by a classifier: what it says of each, and where that puts it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from merv.filters.classifier_data import LABELS
from merv.filters.classifier_files import Classifier
from merv.filters.classifier_scoring import Precision, Scorer
from merv.filters.images import ImageBatches, Unreadable
from merv.filters.reports import below

UNSURE = "unsure"
FOLDERS = (*(str(label) for label in range(len(LABELS))), UNSURE)
DIGITS = 6
"""Of a probability in reports: the rest depends on how images were batched."""


def classify(
    classifier: Classifier,
    paths: Sequence[Path],
    batch_size: int,
    num_workers: int,
    device: torch.device,
    precision: Precision = "float32",
) -> list[list[float] | Unreadable]:
    """Probabilities of low and high quality of each image, in the order of the paths."""
    scores, view = Scorer(classifier.net, device, precision), classifier.view
    by_path: dict[Path, list[float] | Unreadable] = {}
    for batch in ImageBatches(paths, view, batch_size, num_workers, at_least=view.at_least):
        by_path |= {one.path: one for one in batch.unreadable}
        if batch.places:
            rows = scores(batch.tensors).tolist()
            by_path |= {
                paths[place]: [round(value, DIGITS) for value in row]
                for place, row in zip(batch.places, rows, strict=True)
            }
    return [by_path[path] for path in paths]


def result_row(path: Path, root: Path, probabilities: Sequence[float], threshold: float) -> dict[str, Any]:
    """What the report says of an image: the keys of VaseVQA-3D's predictor, and the folder it belongs in."""
    best = max(range(len(LABELS)), key=probabilities.__getitem__)
    confidence = probabilities[best]
    return {
        "image_path": below(path, root),
        "predicted_class": best,
        "quality_label": LABELS[best],
        "confidence": confidence,
        "probabilities": dict(zip(LABELS, probabilities, strict=True)),
        "sorted_to": str(best) if confidence >= threshold else UNSURE,
    }
