"""What people read before a transfer: size, licence, room on the disk; and the list of recipes."""

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from merv.data.download.listing import Listing
from merv.data.download.recipe import Recipe, available, find_recipe
from merv.space import nearest_existing

LONG = 20
"""Letters of a licence that stands in each row."""
UNTOLD = "?"
"""A size that is not known before the server is asked."""


def plan_text(
    recipe: Recipe, folder: Path, listing: Listing | None = None, *, num_left: int = 0, room: int = 0
) -> str:
    """What would be fetched into `folder`.

    Args:
        recipe: what is asked for.
        folder: where it goes.
        listing: what the server has; None where it could not be asked.
        num_left: bytes still to transfer.
        room: bytes of disk that takes, with what is unpacked.
    """
    parent = nearest_existing(folder)
    lines = [
        f"{recipe.name}: {recipe.what}",
        f"  licence    {recipe.licence}; read {' and '.join(recipe.pages)}",
        f"  into       {folder}",
    ]
    if listing is None:
        lines.append(f"  size       {amount(recipe.size)}")
    else:
        unknown = sum(file.size is None for file in listing.files)
        more = f", and {unknown} of unknown size" if unknown else ""
        lines += [f"  from       {repo} at {commit}" for repo, commit in listing.revisions.items()]
        lines.append(f"  size       {amount(listing.size)} in {len(listing.files)} files{more}")
        lines.append(f"  to fetch   {amount(num_left)}")
        about = " or so" if recipe.archives and recipe.unpacked is None else ""
        lines.append(f"  room       {amount(room)}{about} with what is unpacked")
    lines.append(f"  free       {amount(shutil.disk_usage(parent).free)} at {parent}")
    if recipe.needs:
        lines.append(f"  needs      {', '.join(recipe.needs)}, too: merv data download {' '.join(recipe.needs)}")
    return "\n".join(lines) + "\n"


def names_text() -> str:
    """All recipes with sizes and licences; a long licence that many have stands once, below."""
    recipes = [find_recipe(name) for name in available()]
    counts = Counter(recipe.licence for recipe in recipes)
    repeated = [licence for licence, count in counts.items() if count > 1 and len(licence) > LONG]
    notes = {licence: f"[{number}]" for number, licence in enumerate(repeated, start=1)}
    rows = [_row(recipe, notes) for recipe in recipes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    below = [f"{note} {licence}" for licence, note in notes.items()]
    return "\n".join([*table, *below, f"{UNTOLD} no page tells; --dry_run asks the server"]) + "\n"


def amount(num_bytes: int | None) -> str:
    """Bytes in gigabytes of 10^9, or smaller units."""
    if num_bytes is None:
        return "unknown"
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.2f} {unit}"
    return f"{num_bytes} bytes"


def _row(recipe: Recipe, notes: Mapping[str, str]) -> tuple[str, str, str, str]:
    size = UNTOLD if recipe.size is None else amount(recipe.size)
    size = f"{len(recipe.includes)} recipes" if recipe.includes else size
    short = recipe.licence.partition(";")[0]
    if recipe.licence in notes:
        short = f"{short.partition(' ')[0]} {notes[recipe.licence]}"
    return recipe.name, size, short, recipe.what
