"""A checkpoint written as the finished run would have been: one folder that `merv.load` and transformers open.

`merv export consolidate runs/x/checkpoints/step-000100`
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from merv.conf import files
from merv.conf.options import with_value, words_apart
from merv.conf.parse import parse
from merv.errors import CheckpointError, ConfigError
from merv.export.consolidate import find_checkpoint, read_trained, turn
from merv.models.base import VideoLM
from merv.models.freeze import set_stage
from merv.models.hf_vlm.net import HfVlm
from merv.models.hf_vlm.whole import num_bytes
from merv.runs.folder import export_model, find_parent, kept_names
from merv.runs.pretrain_config import PretrainConfig
from merv.runs.run_config import config_class
from merv.space import check_apart, check_free, check_space, replaced
from merv.training.world import World

logger = logging.getLogger(__name__)

USAGE = "merv export consolidate CHECKPOINT [--out DIR]"


@dataclass
class ExportConsolidateConfig:
    """Write a checkpoint as a finished run: `merv export consolidate runs/x/checkpoints/step-000100`."""

    checkpoint: Path
    """Folder of a checkpoint, or of a run, whose newest one is taken."""
    out: Path | None = None
    """Folder to write; None means consolidated-<step> in the run's."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Type of the weights; None keeps what the finished run would have."""
    overwrite: bool = False
    """Replace a folder that is there."""

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """Of the weights."""
        return None if self.dtype is None else getattr(torch, self.dtype)


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line, `consolidate CHECKPOINT` among them, as options.

    Raises:
        ConfigError: no checkpoint is named, or several.
    """
    words, options = words_apart(with_value("--overwrite", args))
    if "-h" in options or "--help" in options:
        return options
    found = words[1:]
    is_named = any(option.startswith("--checkpoint") for option in options)
    if len(found) + is_named != 1:
        raise ConfigError(f"found {len(found) + is_named} checkpoints; name one: {USAGE}")
    return [f"--checkpoint={found[0]}", *options] if found else options


def export_consolidate(config: ExportConsolidateConfig) -> int:
    """Write the folder, by one rename; gives the exit status.

    Raises:
        ConfigError: `out` is there, the base is not to be had, a plugin is missing, or the disk is too small.
        CheckpointError: the checkpoint is incomplete, damaged, or of another model than its config says.
    """
    folder, checkpoint = find_checkpoint(config.checkpoint)
    out = config.out or folder / f"consolidated-{checkpoint.name}"
    check_free(out, config.overwrite)
    check_apart(out, checkpoint)
    run = _run(folder)
    model, parts, inherited = _model_of(run, folder)
    read_trained(checkpoint, model)
    _turn(model, config.torch_dtype)
    state = model.state_dict()
    check_space(out, num_bytes({name: state[name] for name in kept_names(run, model, state, parts, inherited)}))
    said = replace(run, run_id=out.name, run_root_dir=out.parent)
    world = World(0, 1, torch.device("cpu"), None)
    with replaced(out, config.overwrite) as partial:
        export_model(said, model, parts, world, inherited=inherited, folder=partial)
        files.save(said, partial / "config.yaml")
        lineage = {**_lineage(folder), "checkpoint": str(checkpoint)}
        (partial / "lineage.json").write_text(json.dumps(lineage, indent=1))
    logger.info("%s holds %s", out, checkpoint)
    return 0


def _run(folder: Path) -> PretrainConfig:
    file = folder / "config.yaml"
    return parse(config_class(file), ["--config_path", str(file)])  # imports the run's plugins, too


def _model_of(run: PretrainConfig, folder: Path) -> tuple[VideoLM, list[str], list[str]]:
    """The model laid out as the run's stage had it, and the parts that are saved and inherited."""
    model = run.model.build(seed=run.seed)
    parents = _lineage(folder).get("parents", [] if run.pretrained_checkpoint is None else [run.pretrained_checkpoint])
    inherited: list[str] = []
    if parents:  # what it began with, not what a search would find today
        _, inherited = find_parent(replace(run, pretrained_checkpoint=Path(parents[0])), model)
    learning = set_stage(model, run.stage, run.stage_config)
    return model, sorted({*learning, *inherited, *model.unpublished_parts()}), inherited


def _lineage(folder: Path) -> dict[str, Any]:
    file = folder / "lineage.json"
    try:
        return json.loads(file.read_text()) if file.is_file() else {}
    except ValueError as error:
        raise CheckpointError(f"{file} is no JSON: {error}; copy it again") from error


def _turn(model: VideoLM, dtype: torch.dtype | None) -> None:
    turn(model, dtype)
    if dtype is not None and isinstance(model, HfVlm):
        model.config = replace(model.config, save_dtype="float32")  # whatever is left in it was asked for
