"""`merv.load`: a finished run's folder -> a model that answers."""

from pathlib import Path

import torch

from merv import runtime
from merv.conf.parse import parse
from merv.errors import CheckpointError
from merv.models.base import VideoLM
from merv.models.weights import FILE, load_parts
from merv.runs.pretrain_config import PretrainConfig


def load(path: str | Path, *, device: str | torch.device | None = None) -> VideoLM:
    """Load the model of a run, ready to generate.

    Args:
        path: the run's folder, with config.yaml and model.safetensors.
        device: where to put it; None means the accelerator if there is one.

    Raises:
        CheckpointError: the folder holds no finished run, or weights of another model.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}; name one of a finished run, such as runs/<run_id>")
    if not (folder / "config.yaml").is_file():
        raise CheckpointError(f"{folder} is no run: it has no config.yaml; name a folder such as runs/<run_id>")
    if not (folder / FILE).is_file():
        raise CheckpointError(f"{folder} has no {FILE}: the run has not finished; resume it with its --run_id")
    config = parse(PretrainConfig, ["--config_path", str(folder / "config.yaml")])  # imports the run's plugins, too
    model = config.model.build(seed=config.seed)
    load_parts(model, folder / FILE)
    model.requires_grad_(False)
    return model.eval().to(runtime.device() if device is None else device)
