"""A run's folder: where its weights came from, what identifies it, and the files it leaves."""

import json
import logging
import platform
import subprocess
from collections.abc import Collection
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

import merv
from merv.conf import files
from merv.data.dataset import Source
from merv.errors import CheckpointError, ConfigError, MervError
from merv.filters.lineage import filters_above, hash_of_file
from merv.models.base import VideoLM
from merv.models.hf_vlm.net import HfVlm
from merv.models.hf_vlm.run_folder import is_vlm_folder, start_from, write_run
from merv.models.lora import is_adapter
from merv.models.published import CHECKPOINT, MODELS, find_run, load_checkpoint
from merv.models.qwen2_vl.config import Qwen2VLConfig
from merv.models.qwen2_vl.going_on import check_adapter_learns, check_same_base, lay_role, names_roles
from merv.models.qwen2_vl.net import RoleLM
from merv.models.stage import StageConfig
from merv.models.weights import FILE, load_parts, save_parts
from merv.runs.pretrain_config import PretrainConfig
from merv.runs.run_config import config_class
from merv.training.world import World

logger = logging.getLogger(__name__)

STARTS_FROM = {"align": (), "full-align": (), "finetune": ("full-align", "align")}
STARTS_FROM["full-finetune"] = ("finetune", *STARTS_FROM["finetune"])
"""Stages a stage looks for among earlier runs of the same model."""
MEDIA_LOOKED_AT = 1000
"""Samples whose media are asked which filter chose them."""
MAY_CHANGE = (
    "enable_gradient_checkpointing",
    "enable_mixed_precision_training",
    "reduce_in_full_precision",
    "compile_blocks",
    "llm_path",
    "video_backbone_paths",
)
"""Fields of a model that a resumed run may have otherwise: how it computes, and where its weights lie."""


def find_parent(config: PretrainConfig, model: VideoLM) -> tuple[list[str], list[str]]:
    """Load the weights the stage starts from into `model`; gives the runs they came from and the parts they filled.

    Raises:
        ConfigError: `pretrained_checkpoint` names nothing, or the stage cannot go on from an adapter.
        CheckpointError: its weights are of another model.
    """
    named = config.pretrained_checkpoint
    if isinstance(model, HfVlm):
        return _find_vlm_parent(config, model)
    if named is not None and isinstance(model, RoleLM) and names_roles(named):
        parts = lay_role(named, model)
        _check_role(config, model)
        logger.info("starting from %s (%s)", named, ", ".join(parts))
        return [str(named)], parts
    path = _weights_of(named) if named is not None else _latest_run(config)
    if path is None:
        if STARTS_FROM[config.stage] and "projectors" in model.parts():
            logger.info(
                "no finished %s run of model_id `%s` in %s: projectors start from random weights",
                " or ".join(STARTS_FROM[config.stage]),
                config.model.model_id,
                config.run_root_dir,
            )
        return [], []
    try:
        _check_base(config, path)
        parts = load_checkpoint(model, path) if path.suffix == ".pt" else load_parts(model, path)
    except CheckpointError as error:
        if named is not None:
            raise
        remedy = f"it was taken for its model_id `{config.model.model_id}`; give this model another --model.model_id"
        raise CheckpointError(f"{error}; {remedy}, or name --pretrained_checkpoint") from error
    _check_role(config, model)
    logger.info("starting from %s (%s)", path, ", ".join(parts))
    return [str(path.parent.parent if path.match(str(CHECKPOINT)) else path.parent)], parts


def _find_vlm_parent(config: PretrainConfig, model: HfVlm) -> tuple[list[str], list[str]]:
    """The same for models of transformers, whose runs are Hugging Face folders."""
    if config.model.adapter is not None and config.stage_config.lora.rank:  # type: ignore[attr-defined]
        raise ConfigError(
            "model.adapter becomes part of the weights, and new adapters would belong to no published base; let it "
            "learn on with --pretrained_checkpoint DIR, or merge it: merv export merge --adapter DIR --out DIR"
        )
    named = config.pretrained_checkpoint
    if named is None:
        return [], []
    if not is_vlm_folder(named):
        raise ConfigError(
            f"pretrained_checkpoint: {named} holds neither a model of transformers nor an adapter; name a finished "
            "run's folder, or leave it out to begin with model.path"
        )
    start_from(model, named, config.stage_config.lora)
    logger.info("starting from %s", named)
    return [str(named)], []


def _check_base(config: PretrainConfig, path: Path) -> None:
    """Refuse the run of a role model on another base: adapters would fit, and mean nothing."""
    file = path.parent / "config.yaml"
    if isinstance(config.model, Qwen2VLConfig) and file.is_file():
        other = files.load(config_class(file), file).model
        if isinstance(other, Qwen2VLConfig):
            check_same_base(other, config.model, path.parent)


def _check_role(config: PretrainConfig, model: VideoLM) -> None:
    if isinstance(model, RoleLM):
        check_adapter_learns(model, config.stage_config.lora, config.stage)


def _weights_of(path: Path) -> Path:
    """The file with the weights of a run: ours, or of the original's layout.

    Raises:
        ConfigError: there is none.
    """
    if str(path) in MODELS and not path.exists():
        return find_run(str(path)).checkpoint
    candidates = [path] if path.suffix in (".safetensors", ".pt") else [path / FILE, path / CHECKPOINT]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    names = " nor ".join(map(str, candidates))
    raise ConfigError(f"pretrained_checkpoint: there is no {names}; name a finished run's folder")


def _latest_run(config: PretrainConfig) -> Path | None:
    """The newest finished run that this stage of the same model starts from; later stages come first."""
    own = (config.stage,) if config.method == "grpo" else ()  # it goes on where answers were learnt
    for stage in (*own, *STARTS_FROM[config.stage]):
        found = []
        for path in config.run_root_dir.glob(f"*/{FILE}"):
            if path.parent != config.run_dir and _is_run_of(path.parent, config, stage):
                found.append((path.stat().st_mtime, path))
        if found:
            return max(found)[1]
    return None


def _is_run_of(folder: Path, config: PretrainConfig, stage: str) -> bool:
    try:
        other = files.load(PretrainConfig, folder / "config.yaml")
    except (OSError, MervError):  # some other program's folder, or a model of a plugin that is not loaded
        return False
    return other.stage == stage and other.model.model_id == config.model.model_id


def identity(config: PretrainConfig) -> dict[str, Any]:
    """What a checkpoint and the run that resumes it must agree on."""
    model = files.encode(config)["model"]
    stages = {name for name, value in vars(config.model).items() if isinstance(value, StageConfig)}
    wiring = {key: value for key, value in model.items() if key not in stages}
    for key in MAY_CHANGE:
        wiring.pop(key, None)
    stage = files.encode(config.stage_config)
    how = {} if config.method == "train" else {"method": config.method}
    return {"stage": config.stage, "model": wiring, "lora": stage["lora"], "seed": config.seed, **how}


def check_identity(config: PretrainConfig, trainer_state: dict[str, Any], path: Path) -> None:
    """Refuse a checkpoint of another model.

    Raises:
        CheckpointError: the first difference.
    """
    there = _flat(trainer_state.get("identity", {}))
    here = _flat(json.loads(json.dumps(identity(config))))
    for key in sorted({*there, *here}):
        if there.get(key) != here.get(key):
            raise CheckpointError(
                f"{path} is of another model: {key} is {there.get(key)} there, {here.get(key)} here; "
                "choose another --run_id, or the options of the run"
            )


def _flat(tree: dict[str, Any], at: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{at}.{key}".lstrip(".")
        flat.update(_flat(value, name) if isinstance(value, dict) else {name: value})
    return flat


def export_model(
    config: PretrainConfig,
    model: nn.Module,
    parts: list[str],
    world: World,
    *,
    inherited: Collection[str] = (),
    folder: Path | None = None,
) -> None:
    """Write model.safetensors, config.json and the tokenizer into `folder`, the run's unless named; a collective.

    Of an LLM anybody can get, and that no earlier run changed (`inherited`), only the adapters are written.
    """
    folder = folder or config.run_dir
    lora = config.stage_config.lora
    own: Any = getattr(model, "module", model)
    alone = isinstance(own, HfVlm) and bool(lora.rank)  # of a large model nothing is gathered that nobody keeps
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=alone)
    state: dict[str, Any] = get_model_state_dict(model, options=options)
    if world.rank != 0:
        return
    if isinstance(own, HfVlm):
        write_run(folder, own, state)
        return
    kept = kept_names(config, own, state, parts, inherited)
    save_parts(folder / FILE, {name: state[name] for name in kept}, parts, lora)
    (folder / "config.json").write_text(json.dumps(files.encode(config), indent=1))
    processor: Any = own.processor
    if hasattr(processor, "tokenizer"):
        processor.tokenizer.save_pretrained(folder)


def kept_names(
    config: PretrainConfig, model: VideoLM, names: Collection[str], parts: Collection[str], inherited: Collection[str]
) -> list[str]:
    """Which of a model's tensors a finished run keeps; of a model of transformers all, or its adapters."""
    lora = config.stage_config.lora
    if isinstance(model, HfVlm):
        return [name for name in names if not lora.rank or is_adapter(name)]
    changed = "llm" in model.unpublished_parts() or ("llm" in inherited and not model.adapters_stay)
    only_adapters = bool(lora.rank) and not changed
    return [
        name
        for name in names
        if name.split(".", 1)[0] in parts and not (only_adapters and name.startswith("llm.") and not is_adapter(name))
    ]


def write_lineage(config: PretrainConfig, source: Source, world_size: int, parents: list[str]) -> None:
    """What a reader needs to believe the numbers: data with hashes, parents, versions, commit."""
    packages = ("torch", "transformers", "av", "draccus", "peft")
    lineage = {
        "run_id": config.run_id,
        "stage": config.stage,
        "parents": parents,
        "data": {str(path): hash_of_file(path) for path in source.files},
        "filters": filters_of(source),
        "world_size": world_size,
        "merv": merv.__version__,
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
        "commit": _commit(),
    }
    config.run_dir.mkdir(parents=True, exist_ok=True)
    (config.run_dir / "lineage.json").write_text(json.dumps(lineage, indent=1))


def filters_of(source: Source) -> dict[str, Any]:
    """What filters left beside or above a dataset's annotation files and its media, by file.

    Of the media those of `MEDIA_LOOKED_AT` samples, evenly spread: they share folders.
    """
    step = max(1, len(source) // MEDIA_LOOKED_AT)
    media = {ref.path.parent for index in range(0, len(source), step) for ref in source[index].media}
    return filters_above([*source.files, *media])


def _commit() -> str | None:
    """Commit of the checkout merv runs from; None for an installed package."""
    folder = Path(merv.__file__).parent
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
