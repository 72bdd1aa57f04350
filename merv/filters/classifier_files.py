"""A classifier on disk: its own folder, the .pth file of VaseVQA-3D, and weights of ImageNet to begin with."""

import json
import pickle
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from merv.errors import CheckpointError, ConfigError
from merv.filters.classifier_data import LABELS, View
from merv.filters.classifier_net import Architecture, build_net
from merv.filters.lineage import hash_of_file
from merv.runtime import share

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PREFIXES = ("module.", "resnet.")
"""What DataParallel, and the original's own module, put before names."""
ORIGINAL: Architecture = "resnet50"
ORIGINAL_SIZE = 224
HEAD = "fc."

# What torch's reader raises on files that lie about themselves: it indexes and unpacks before it checks.
_DAMAGED: tuple[type[Exception], ...]
_DAMAGED = (SafetensorError, pickle.UnpicklingError, struct.error, RuntimeError, EOFError, ValueError, LookupError)
_DAMAGED += (TypeError, AttributeError, AssertionError)


@dataclass
class Classifier:
    """A net, and what it wants to see."""

    net: nn.Module
    view: View
    facts: dict[str, Any]
    """Architecture, file and hash, for reports."""


def save_classifier(folder: Path, state: Mapping[str, Tensor], arch: Architecture, view: View, facts: Any) -> None:
    """Write weights and config.json; `facts` are kept beside what is needed to load it."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / WEIGHTS)
    share(folder / WEIGHTS)
    config = {"arch": arch, "labels": list(LABELS), **asdict(view), **facts}
    (folder / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")


def load_classifier(path: Path) -> Classifier:
    """A classifier on the CPU: a folder that training wrote, or a .pth file of the original.

    Raises:
        CheckpointError: it is neither, a file of such a folder, damaged, or of another shape.
    """
    if path.is_file() and path.name in (WEIGHTS, CONFIG) and (path.parent / CONFIG).is_file():
        raise CheckpointError(f"{path} is one file of a classifier; name its folder, {path.parent}")
    if path.is_dir():
        arch, view = _read_config(path / CONFIG)
        file = path / WEIGHTS
    else:
        arch, view = ORIGINAL, View(ORIGINAL_SIZE, "stretch")
        file = path
    state = read_state(file)
    with torch.device("meta"):
        net = build_net(arch)
    _check_same(file, state, net.state_dict(), arch)
    net.load_state_dict(state, assign=True)
    return Classifier(net.eval(), view, {"path": str(path), "arch": arch, "sha256": hash_of_file(file)})


def start_net(arch: Architecture, init: str, seed: int) -> nn.Module:
    """A net to train, with the weights `init` names; the head's are random unless the file has the same head.

    Raises:
        ConfigError: weights of ImageNet are not to be had.
        CheckpointError: the file is damaged, or of another net.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build_net(arch)
    if init == "random":
        return net
    file = _fetch_imagenet(arch) if init == "imagenet" else Path(init)
    file = file / WEIGHTS if file.is_dir() else file
    state = read_state(file)
    own = net.state_dict()
    if {name: tensor.shape for name, tensor in state.items() if name.startswith(HEAD)} != {
        name: tensor.shape for name, tensor in own.items() if name.startswith(HEAD)
    }:
        state = {name: tensor for name, tensor in state.items() if not name.startswith(HEAD)}
        own = {name: tensor for name, tensor in own.items() if not name.startswith(HEAD)}
    _check_same(file, state, own, arch)
    net.load_state_dict(state, strict=False)
    return net


def read_state(file: Path) -> dict[str, Tensor]:
    """Tensors of a file by the names torchvision has; a .pth file may hold nothing but tensors and plain values.

    Raises:
        CheckpointError: it is not there, damaged, or holds something else.
    """
    if not file.is_file():
        raise CheckpointError(
            f"there is no {file}; name the folder that merv filter train-classifier wrote, or a .pth"
        )
    try:
        if file.suffix == ".safetensors":
            found: Any = load_file(file)
        else:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise CheckpointError(f"{file} is damaged, or holds more than tensors; fetch it again") from error
    if isinstance(found, dict):
        found = next((found[key] for key in ("model_state_dict", "state_dict") if key in found), found)
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"{file} holds no tensors by name; name a file with a net's state dict")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _read_config(file: Path) -> tuple[Architecture, View]:
    if not file.is_file():
        raise CheckpointError(
            f"{file.parent} is no classifier: it has no {file.name}; merv filter train-classifier makes one"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        arch = config["arch"]
        view = View(int(config["image_size"]), config["resize"], tuple(config["mean"]), tuple(config["std"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{file} is not what train-classifier writes: {type(error).__name__} {error}; train again"
        ) from error
    if arch not in get_args(Architecture) or view.resize not in ("stretch", "pad"):
        raise CheckpointError(
            f"{file} has arch {arch} and resize {view.resize}; this version knows no such classifier"
        )
    return arch, view


def _check_same(file: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], arch: str) -> None:
    """Refuse tensors of another net: tells how many differ, and the first.

    Raises:
        CheckpointError: names or shapes differ.
    """
    shapes, expected = ({name: tuple(tensor.shape) for name, tensor in state.items()} for state in (found, wanted))
    odd = sorted(name for name in {*shapes, *expected} if shapes.get(name) != expected.get(name))
    if odd:
        first = odd[0]
        here, there = (str(state.get(first, "nothing")) for state in (shapes, expected))
        raise CheckpointError(
            f"{file} is of another net than {arch}: {len(odd)} tensors differ, such as {first}: {here} in the file, "
            f"{there} in {arch}"
        )


def _fetch_imagenet(arch: Architecture) -> Path:
    """The file with torchvision's weights, downloaded where it is not on the disk.

    Raises:
        ConfigError: there are none of this net, or they cannot be had.
    """
    if arch == "tiny":
        raise ConfigError("arch tiny has no weights of ImageNet; add --init random")
    from torchvision.models import get_model_weights

    url = get_model_weights(arch)["IMAGENET1K_V1"].url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not file.is_file():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            digits = file.stem.rpartition("-")[2]
            torch.hub.download_url_to_file(url, str(file), hash_prefix=digits, progress=False)
        except (URLError, OSError, RuntimeError) as error:
            raise ConfigError(
                f"weights of ImageNet are not at {file}, and {url} cannot be fetched "
                f"({getattr(error, 'reason', error)}); lay the file there, name one with --init FILE, or --init random"
            ) from error
    return file
