"""Small random weights of timm transformers, saved in the layouts in which the full-size ones are published."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from merv.backbones.video.base import VideoBackboneConfig

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
STATISTICS = {
    "dinov2": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "siglip": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


def small_vit(architecture, **args):
    """timm's own model with every tensor random: timm starts biases and prefix tokens at (nearly) zero."""
    vit = timm.create_model(architecture, pretrained=False, num_classes=0, **args).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return vit


def save_folder(folder: Path, tensors, architecture, model_args, file="model.safetensors"):
    """config.json and weights as timm's hub repositories hold them."""
    statistics = STATISTICS["siglip" if "siglip" in architecture else "dinov2"]
    config = {
        "architecture": architecture,
        "num_classes": 0,
        "pretrained_cfg": {"interpolation": "bicubic", "crop_pct": 1.0, **statistics},
        "model_args": model_args,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_tensors(folder / file, tensors)
    return folder


def save_tensors(path: Path, tensors):
    """A weight file whose layout follows from its suffix."""
    if path.suffix == ".safetensors":
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path


def load(name, folder=None, **options):
    """The encoder `name` with the weights of `folder`."""
    return VideoBackboneConfig.new(name, path=str(folder), **options).build().eval()


def clips(size, frames=2, rows=2):
    return torch.randn(rows, frames, 3, size, size, generator=torch.Generator().manual_seed(1))


def before_last_block(vit, frames):
    """Prefix tokens and patches as timm itself takes them.  (F, 3, S, S) -> (F, P, D), (F, N, D)."""
    (found,) = vit.get_intermediate_layers(frames, n={len(vit.blocks) - 2}, return_prefix_tokens=True)
    return (found[1], found[0]) if isinstance(found, tuple) else (None, found)


def recorded(case):
    """Weights, clips and features of the original, or a skipped test."""
    path = SHARED / f"{case}.safetensors"
    if not path.exists():
        pytest.skip("recorded tensors of the original are not beside this checkout")
    tensors = load_file(path)
    weights = {key.removeprefix("param."): tensor for key, tensor in tensors.items() if key.startswith("param.")}
    return weights, tensors["in.video"], tensors["out.features"]
