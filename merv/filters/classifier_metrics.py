"""What a classifier got right: loss, accuracy, and the weighted numbers VaseVQA-3D publishes."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn, tensor

from merv.filters.classifier_data import LABELS


@dataclass(frozen=True)
class Measured:
    """Of one list of images."""

    loss: float
    """Mean over images."""
    accuracy: float
    """0..1."""
    precision: float
    """Of each class, weighted by its images; 0 for a class that was never named."""
    recall: float
    f1: float
    confusion: list[list[int]]
    """Rows are folders 0 and 1, columns what the net said."""


def measure(logits: Sequence[Sequence[float]], labels: Sequence[int]) -> Measured:
    """Compare logits, (N, 2), with labels."""
    rows: Tensor = tensor(logits)
    loss = nn.functional.cross_entropy(rows, tensor(labels)).item()
    classes = range(len(LABELS))
    confusion = [[0 for _ in classes] for _ in classes]
    for label, said in zip(labels, rows.argmax(1).tolist(), strict=True):
        confusion[label][said] += 1
    precision, recall, f1 = 0.0, 0.0, 0.0
    for own in classes:
        right = confusion[own][own]
        meant = sum(confusion[own])
        named = sum(row[own] for row in confusion)
        precision += meant / len(labels) * (right / named if named else 0.0)
        recall += meant / len(labels) * (right / meant if meant else 0.0)
        f1 += meant / len(labels) * (2 * right / (named + meant) if named + meant else 0.0)
    accuracy = sum(confusion[own][own] for own in classes) / len(labels)
    return Measured(loss, accuracy, precision, recall, f1, confusion)
