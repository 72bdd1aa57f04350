"""Loading models of transformers: a run's folder, any Hugging Face folder, an adapter, or a name on the hub."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from merv.backbones.llm.zoo import ZOO
from merv.conf import files
from merv.conf.parse import parse
from merv.errors import ConfigError
from merv.models.base import ModelConfig
from merv.models.hf_vlm.adapter_files import is_adapter_folder, read_adapter
from merv.models.hf_vlm.config import HfVlmConfig
from merv.models.hf_vlm.net import HfVlm
from merv.models.hf_vlm.run_folder import is_vlm_folder
from merv.runs.run_config import config_class

CONFIG = "config.yaml"
__all__ = ["is_hub_name", "is_vlm_folder", "load_vlm", "with_options"]


def is_hub_name(path: str) -> bool:
    """Whether `owner/name` is rather one of the hub than a run that is not there."""
    if path.count("/") != 1 or path.startswith(("runs/", ".", "~")):
        return False
    return not Path(path).parent.is_dir() or (ZOO / path.rpartition("/")[2]).is_dir()


def load_vlm(path: Path | str, options: dict[str, Any], dtype: torch.dtype = torch.float32) -> HfVlm:
    """The model a folder or a hub name stands for; adapters become part of the weights.

    What is shown of a video is what the run said, or the adapter's.

    Args:
        path: a run's folder, any Hugging Face folder, or a name of the hub.
        options: fields of the model's config in place of what the run says.
        dtype: type the weights are read in.

    Raises:
        MervError: weights are missing or of another model, or an option is not for it.
    """
    folder, worn = Path(path), options.get("adapter")
    said = folder if (folder / CONFIG).is_file() or worn is None else Path(worn)
    config = _config_of(said) if said.is_dir() else HfVlmConfig()
    options = {"dtype": "bfloat16" if dtype == torch.bfloat16 else "float32", **options}
    if is_adapter_folder(folder):
        base = str(options.pop("path", None) or _base_of(folder, config))
        if options.get("adapter"):
            raise ConfigError(f"{folder} is an adapter already; name its base in its place: {base}")
        config = replace(config, path=base, adapter=folder)
    else:
        config = replace(config, path=str(path), adapter=None, init="pretrained")
    return with_options(config, options).build()


def _config_of(folder: Path) -> HfVlmConfig:
    """What the run says; defaults for a folder no run of merv left."""
    file = folder / CONFIG
    if not file.is_file():
        return HfVlmConfig()
    config = parse(config_class(file), ["--config_path", str(file)]).model  # imports the run's plugins, too
    if not isinstance(config, HfVlmConfig):
        raise ConfigError(f"{file} is of a {config.type_name}, but {folder} holds a model of transformers; move one")
    return config


def _base_of(folder: Path, config: HfVlmConfig) -> str:
    named = read_adapter(folder).base or config.path
    if not named:
        raise ConfigError(f"adapter {folder} does not say what it was trained on; name the base")
    return named


def with_options(config: ModelConfig, options: dict[str, Any]) -> Any:
    """The config with some fields replaced.

    Raises:
        ConfigError: there is no such field, or a value does not fit.
    """
    if not options:
        return config
    said = {**files.encode(config), **{name: files.encode(value) for name, value in options.items()}}
    return files.from_mapping(ModelConfig, said, "merv.load")
