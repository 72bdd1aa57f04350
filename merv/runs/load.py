"""`merv.load`: a run's folder, one of roles, or the name of a published model -> a model that answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from merv import runtime
from merv.conf import files
from merv.conf.parse import parse
from merv.errors import CheckpointError, ConfigError
from merv.models import published
from merv.models.base import ModelConfig, VideoLM
from merv.models.freeze import cast_frozen
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.models.qwen2_vl import published as roles
from merv.models.qwen2_vl.config import Qwen2VLConfig
from merv.models.weights import FILE, load_parts, read_header
from merv.runs.load_vlm import is_hub_name, is_vlm_folder, load_vlm, with_options
from merv.runs.run_config import config_class


def load(
    path: str | Path,
    /,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    **options: Any,
) -> VideoLM:
    """Load a model, ready to generate.  Each weight is read once, into memory it stays in.

    Args:
        path: a run's folder, of merv or in the original's layout (config.json, checkpoints/latest-checkpoint.pt); a
            folder of roles as VideoMind publishes them; an image-text model of transformers or an adapter for one, as
            a folder or, on this disk already or not, by the hub's name; or the name of a published model, such as
            "merv-full" or "yeliudev/VideoMind-2B".
        device: where to put it; None means the accelerator if there is one.
        dtype: type of the weights; None means bfloat16 on an accelerator, float32 on a CPU.
            Role models overflow in float16.
        options: fields of the model's config in place of what the run says, such as `llm_path="llama-2-7b"`,
            `video_backbone_paths={"dinov2": "dinov2-large"}` or `protocol="merv"`; of role models and adapters `path`
            is the base, and `adapter` one to put onto a model of transformers.

    Raises:
        MervError: there is no such run or model, it is not finished, or weights are missing or of another model.
    """
    folder = Path(path)
    device = runtime.device() if device is None else torch.device(device)
    if dtype is None:
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    if folder.is_dir() and is_vlm_folder(folder):
        model: VideoLM = load_vlm(folder, options, dtype)
    elif folder.is_dir() and (folder / FILE).is_file():
        model = _load_own(folder, options)
    elif folder.is_dir() and roles.is_roles(folder):
        model = _load_roles(folder, options)
    elif folder.is_dir() and published.is_published(folder):
        run = published.PublishedRun(folder / published.CONFIG, folder / published.CHECKPOINT)
        model = _load_published(run, options)
    elif str(path) in published.MODELS:
        model = _load_published(published.find_run(str(path)), options)
    elif str(path) in roles.ROLE_MODELS:
        model = _load_roles(roles.find_roles(str(path)), options)
    elif is_hub_name(str(path)):
        model = load_vlm(str(path), options, dtype)
    else:
        raise CheckpointError(_no_model(folder))
    if dtype is torch.float16 and isinstance(model.config, Qwen2VLConfig):
        raise ConfigError(f"{path}: dtype is float16, in which role models overflow; use bfloat16 or float32")
    model.requires_grad_(False)
    cast_frozen(model, dtype)
    model.computes_in(dtype)
    return model.eval().to(device)


def paths_of(config: Any) -> dict[str, Any]:
    """What a command says about a model beside its name, as options of `load`."""
    named = {
        "llm_path": config.llm_path,
        "video_backbone_paths": config.video_backbone_paths,
        "adapter": config.adapter,
    }
    return {**config.model_options, **{name: value for name, value in named.items() if value}}


def _load_own(folder: Path, options: dict[str, Any]) -> VideoLM:
    if not (folder / "config.yaml").is_file():
        raise CheckpointError(f"{folder} is no run: it has no config.yaml; name a folder such as runs/<run_id>")
    file = folder / "config.yaml"
    config = parse(config_class(file), ["--config_path", str(file)])  # imports the run's plugins, too
    parts, lora = read_header(folder / FILE)
    held = [part for part in parts if part != "llm" or not lora.rank]
    model = _with(config.model, options).build(seed=config.seed, without=held)
    load_parts(model, folder / FILE)
    return model


def _load_published(run: published.PublishedRun, options: dict[str, Any]) -> VideoLM:
    said = {"type": "merv-base", **published.model_options(run.config)}
    config = files.from_mapping(ModelConfig, said, run.config)
    assert isinstance(config, MultiEncoderConfig), "the original has one family"
    config = _with(config, options)
    if len(config.video_backbone_ids) == 1:
        config = published.with_single_length(config, run.config)
    states = published.read_states(run.checkpoint)  # an align stage leaves none of the LLM
    model = config.build(without={"projectors", "fusion", *states})
    published.lay_states(model, states, run.checkpoint)
    return model


LOOKS = ("fps", "max_frames", "min_pixels", "max_pixels", "timestamps")
"""Options that are about one role, the one that is asked when none is named."""


def _load_roles(folder: Path, options: dict[str, Any]) -> VideoLM:
    said = _of_base(options)
    found = roles.read_roles(folder, Path(said["path"]) if said.get("path") else None)
    own = str(said.pop("role", found.own_role))
    if own not in found.configs:
        raise ConfigError(f"{folder} has no role `{own}`; it has {', '.join(found.configs)}")
    for_all = {name: value for name, value in said.items() if name not in LOOKS}
    configs: dict[str, Qwen2VLConfig] = {
        role: _with(config, said if role == own else for_all) for role, config in found.configs.items()
    }
    if "protocol" in said:
        configs = {role: replace(c, head=replace(c.head, protocol=c.protocol)) for role, c in configs.items()}
    return roles.load_roles(found, configs, own)


def _of_base(options: dict[str, Any]) -> dict[str, Any]:
    """Options for a role model: what commands call the folder of the LLM is its base."""
    return {"path" if name == "llm_path" else name: value for name, value in options.items()}


def _with(config: ModelConfig, options: dict[str, Any]) -> Any:
    """The config with some fields replaced.

    Raises:
        ConfigError: there is no such field, or a value does not fit.
    """
    if not options:
        return config
    if isinstance(config, Qwen2VLConfig):
        options = _of_base(options)
    return with_options(config, options)


def _no_model(folder: Path) -> str:
    if not folder.is_dir():
        names = ", ".join([*published.MODELS, *roles.ROLE_MODELS])
        return f"there is no folder {folder}; name one of a finished run, such as runs/<run_id>, or one of {names}"
    if (folder / "config.yaml").is_file():
        return f"{folder} has no {FILE}: the run has not finished; resume it with its --run_id"
    return (
        f"{folder} is no run: it has neither config.yaml and {FILE} nor config.json with {published.CHECKPOINT} or "
        "adapters of roles"
    )
