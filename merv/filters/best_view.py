"""The best picture of each object: the one nearest to sentences about good ones.

Follows clipfilter2 of VaseVQA-3D (https://github.com/AIGeeksGroup/VaseVQA-3D, Train/filter); both reports
have its keys.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from merv.errors import ConfigError
from merv.filters.reports import below
from merv.filters.threshold import DIGITS

VASES = r"^([A-F0-9-]+)_(\d+)_ac001001\.(?:png|jpe?g|bmp|tiff?|webp)$"
"""File names of VaseVQA-3D, object and view; there with .jpg alone."""


@dataclass(frozen=True)
class View:
    """One picture of an object."""

    path: Path
    object: str
    """Which object, as the file name or the path says."""
    number: int | str
    """Which view; text where it is not digits alone."""

    @property
    def order(self) -> tuple[bool, int, str, str]:
        """Views by number, then those with names, then by path."""
        named = isinstance(self.number, str)
        return named, 0 if named else int(self.number), str(self.number) if named else "", self.path.as_posix()


def name_pattern(text: str) -> re.Pattern[str]:
    """A pattern of file names or paths, of capital and small letters alike.

    Raises:
        ConfigError: it is no regular expression, or has no group that names the object.
    """
    try:
        pattern = re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise ConfigError(f"group_regex `{text}` is no regular expression: {error}") from error
    if not pattern.groups:
        raise ConfigError(
            f"group_regex `{text}` has no group; put what names the object in brackets, and the view, as in "
            r"'^(.+)_(\d+)\.jpg$'"
        )
    if set(pattern.groupindex) == {"view"} and pattern.groups == 1:
        raise ConfigError(f"group_regex `{text}` names a view and no object; put what names the object in brackets")
    odd = [name for name in pattern.groupindex if name not in ("object", "view")]
    if odd:
        raise ConfigError(
            f"group_regex `{text}` names a group `{odd[0]}`; groups are called object and view, or nothing"
        )
    return pattern


def views_of(paths: Sequence[Path], pattern: re.Pattern[str], root: Path) -> tuple[list[View], list[Path]]:
    """Pictures whose file name says what they show, or else their path below `root`, and the others.

    The groups `object` and `view` count, or the first two.  Without a view, pictures are numbered by path from 1.
    """
    views: list[View] = []
    others: list[Path] = []
    seen: Counter[str] = Counter()
    which, view_group = _groups(pattern)
    for path in paths:
        said_by = (pattern.match(text) for text in (path.name, below(path, root)))
        match = next((found for found in said_by if found is not None and found[which]), None)
        if match is None:
            others.append(path)
            continue
        seen[match[which]] += 1
        said = match[view_group] if view_group else None
        number = seen[match[which]] if said is None else int(said) if said.isdecimal() else said
        views.append(View(path, match[which], number))
    return views, others


def _groups(pattern: re.Pattern[str]) -> tuple[int, int]:
    """Numbers of the groups of object and view; 0 for a view there is none of."""
    named = pattern.groupindex
    free = [number for number in range(1, pattern.groups + 1) if number not in named.values()]
    which = named.get("object") or free.pop(0)
    return which, named.get("view") or (free[0] if free else 0)


def grouped(views: Sequence[View]) -> dict[str, list[View]]:
    """Views by object, both in order."""
    groups: dict[str, list[View]] = {}
    for view in sorted(views, key=lambda view: view.order):
        groups.setdefault(view.object, []).append(view)
    return dict(sorted(groups.items()))


def choose(views: Sequence[View], scores: Mapping[Path, float], root: Path) -> tuple[View, dict[str, Any]]:
    """The best view of an object, of equal ones the first, and its row of best_views_report.json."""
    best = max(views, key=lambda view: scores[view.path])  # max takes the first of equals
    row: dict[str, Any] = {
        "vase_id": best.object,
        "selected_view": best.number,
        "selected_filename": below(best.path, root),
        "clip_score": scores[best.path],
        "total_views": len(views),
        "reason": "only_one_view" if len(views) == 1 else "best_clip_score",
    }
    if len(views) > 1:
        row["all_view_scores"] = [
            {"view_number": view.number, "filename": below(view.path, root), "clip_score": scores[view.path]}
            for view in views
        ]
    return best, row


def totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers of best_views_report.json."""
    images = sum(row["total_views"] for row in rows)
    return {
        "total_vases": len(rows),
        "total_original_images": images,
        "total_selected_images": len(rows),
        "reduction_rate": 1 - len(rows) / images,
        "average_clip_score": round(float(np.mean([row["clip_score"] for row in rows])), DIGITS),
    }


def statistics(rows: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """filtering_stats.json: the same numbers as text, and how views and scores are spread."""
    said = totals(rows)
    scores = np.asarray([row["clip_score"] for row in rows])
    views = Counter(row["total_views"] for row in rows)
    return {
        "summary": {
            "total_vases": said["total_vases"],
            "original_images": said["total_original_images"],
            "selected_images": said["total_selected_images"],
            "reduction_rate": f"{said['reduction_rate']:.1%}",
            "average_clip_score": f"{said['average_clip_score']:.4f}",
            "processing_time_minutes": f"{seconds / 60:.1f}",
        },
        "view_distribution": {str(count): number for count, number in sorted(views.items())},
        "clip_score_stats": {
            name: round(float(getattr(scores, name)()), DIGITS) for name in ("min", "max", "mean", "std")
        },
    }
