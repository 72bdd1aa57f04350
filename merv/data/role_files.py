"""Saying which files of a dataset are missing, and drawing where they belong."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path


def missing_line(paths: Sequence[Path]) -> str:
    """`data/a.json is missing`, or all of several, as the middle of a message."""
    return f"{', '.join(map(str, paths))} {'is' if len(paths) == 1 else 'are'} missing"


def brought_by(name: str) -> str:
    """` (`merv data download NAME` brings it)` for a dataset with a recipe, otherwise nothing; for messages."""
    from merv.data.download.recipe import recipe_for  # looks into the recipes, once something is missing

    recipe = recipe_for(name)
    return "" if recipe is None else f" (`merv data download {recipe}` brings it)"


def tree(paths: Iterable[Path]) -> str:
    """Files and folders below the folder they all share.

    data
    └── didemo
        ├── durations.json
        └── train_data.json
    """
    listed = sorted(set(paths))
    shared = Path(os.path.commonpath([path.parent for path in listed]))
    branches: dict[str, dict] = {}
    for path in listed:
        below = branches
        for part in path.relative_to(shared).parts:
            below = below.setdefault(part, {})
    return "\n".join([str(shared), *_lines(branches, "")])


def _lines(branches: dict[str, dict], lead: str) -> Iterable[str]:
    for place, (name, below) in enumerate(branches.items()):
        is_last = place == len(branches) - 1
        yield f"{lead}{'└──' if is_last else '├──'} {name}"
        yield from _lines(below, lead + ("    " if is_last else "│   "))
