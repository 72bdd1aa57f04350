"""What a training leaves to look at: training_results.json, training_history.png and the split."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from merv.filters.classifier_data import LABELS
from merv.filters.classifier_metrics import Measured
from merv.filters.classifier_training import Course
from merv.filters.images import Unreadable
from merv.filters.reports import unreadable_rows, write_json

RESULTS = "training_results.json"
HISTORY = "training_history.png"
SPLIT = "split.json"


def write_results(
    out: Path,
    course: Course,
    test: Measured,
    *,
    counts: Mapping[str, Any],
    unreadable: Sequence[Unreadable],
    root: Path,
) -> None:
    """Write training_results.json: the keys of VaseVQA-3D first, then ours.

    Losses are means over images, accuracies of epochs percent, test metrics 0..1; `root` is the folder that was read.
    """
    names = ("accuracy", "precision", "recall", "f1")
    results = {
        "test_metrics": {name: getattr(test, name) for name in names},
        "train_losses": course.train_losses,
        "val_losses": course.val_losses,
        "train_accs": course.train_accs,
        "val_accs": course.val_accs,
        "test_loss": test.loss,
        "test_confusion_matrix": {"labels": list(LABELS), "rows_are_folders": test.confusion},
        "best_epoch": course.best_epoch,
        "best_validation": None if course.best is None else asdict(course.best),
        "counts": dict(counts),
        "unreadable": unreadable_rows(unreadable, root),
    }
    write_json(out / RESULTS, results)


def draw_history(out: Path, course: Course, title: str) -> None:
    """Draw training_history.png: losses on the left, accuracies on the right, the best epoch marked."""
    from matplotlib.figure import Figure  # draws without a display, unlike pyplot
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.8), dpi=120, layout="constrained")
    epochs = range(1, len(course.train_losses) + 1)
    curves = (
        ("loss (mean over images)", course.train_losses, course.val_losses),
        ("images classified rightly, %", course.train_accs, course.val_accs),
    )
    for axes, (label, train, val) in zip(figure.subplots(1, 2), curves, strict=True):
        marker = "o" if len(train) < 30 else None
        axes.plot(epochs, train, color="tab:blue", marker=marker, markersize=3, label="training, augmented")
        axes.plot(epochs, val, color="tab:orange", marker=marker, markersize=3, label="validation")
        axes.axvline(course.best_epoch, color="grey", linestyle=":", label=f"kept: epoch {course.best_epoch}")
        axes.set(xlabel="epoch", ylabel=label, ylim=(0, None) if train is course.train_losses else (None, 101))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize="small")
    figure.suptitle(title)
    figure.savefig(out / HISTORY, format="png")
