"""The flat spelling of stage options, as published command lines and run configs use it.

One rule: where a node has a config field called like a stage, `<stage>_<field>` means `<stage>.<field>`, so
`--model.finetune_per_device_batch_size 2` is `--model.finetune.per_device_batch_size 2`.  A field that really has the
flat name comes first, and hyphens count as underscores in the names of fields.

A second rule is for folders of weights: where a node has a field `video_backbone_paths`, `<name>_path` is the entry
`<name>` of it, so `--model.dinov2_path DIR` is `--model.video_backbone_paths.dinov2 DIR`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

STAGES = ("align", "full_align", "finetune", "full_finetune")
"""Fields whose own fields may be written flat."""

PATHS = "video_backbone_paths"
"""The field with a folder for each encoder."""


def spell_out(
    path: Iterable[str],
    fields: Mapping[str, Any],
    fields_below: Callable[[str], Collection[str]],
    stages: Collection[str] = STAGES,
) -> list[str] | None:
    """Rewrite the first name of `path` as the fields it means; None when it means nothing.

    Args:
        path: names below one node, as typed.
        fields: the fields of that node.
        fields_below: gives the names of the fields of the config in one of `fields`; none when it is not a config.
        stages: the fields whose own fields may be written flat.
    """
    first, *rest = path
    for name in (first, first.replace("-", "_")):
        if name in fields:
            return [name, *rest]
    for stage in stages:
        field = name.removeprefix(f"{stage}_")
        if stage in fields and field != name and field in fields_below(stage):
            return [stage, field, *rest]
    stem = first.removesuffix("_path")
    if PATHS in fields and stem not in (first, "") and not rest:
        return [PATHS, stem]
    return None
