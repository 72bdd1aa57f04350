"""Compare merv's LanguageBind tower with the `languagebind` package on the same random weights; exit 1 if they differ.

`make parity` installs the package into a side folder, without the old libraries it pins, and runs

    PYTHONPATH=.parity python scripts/parity_languagebind.py
"""

import importlib.util
import itertools
import json
import sys
import types
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor, nn

from merv.backbones.video.languagebind import LanguageBindConfig

TOLERANCE = 1e-5
"""Largest absolute difference; features are of order 1, in float32."""
SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 56,
}
TOWERS = {
    "small, gelu": SMALL | {"patch_size": 14, "num_frames": 8, "hidden_act": "gelu"},
    "small, quick_gelu, groups of 4": SMALL | {"patch_size": 14, "num_frames": 4, "hidden_act": "quick_gelu"},
    "published width, 3 layers": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 3,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "num_frames": 8,
        "hidden_act": "gelu",
    },
}


def main() -> int:
    """Print the largest difference for every tower and shape of clips; gives the exit status."""
    original = import_original()
    worst = 0.0
    for name, numbers in TOWERS.items():
        torch.manual_seed(0)
        theirs = build_original(original, numbers)
        side, frames = numbers["image_size"], numbers["num_frames"]
        shapes = [(1, frames)] if side == 224 else itertools.product((1, 3), (frames, 2 * frames))
        for batch_size, num_frames in shapes:
            pixels = torch.randn(batch_size, num_frames, 3, side, side)
            gap, size = compare(theirs, numbers, pixels)
            worst = max(worst, gap)
            print(
                f"{name:32}  {batch_size} x {num_frames:2} frames  difference {gap:.1e}  (features up to {size:.1f})"
            )
    print(f"largest difference {worst:.1e}, allowed {TOLERANCE:.0e}: {'equal' if worst <= TOLERANCE else 'DIFFERENT'}")
    return int(not worst <= TOLERANCE)


def import_original() -> types.ModuleType:
    """The package's video model; what the package itself imports (every modality, OpenCV) is left aside."""
    spec = importlib.util.find_spec("languagebind")
    if spec is None or spec.submodule_search_locations is None:
        sys.exit("the `languagebind` package is not on PYTHONPATH; run `make parity`")
    package = types.ModuleType("languagebind")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["languagebind"] = package
    return importlib.import_module("languagebind.video.modeling_video")


def build_original(original: types.ModuleType, numbers: dict[str, object]) -> nn.Module:
    """Their tower with random weights, norms and biases as well."""
    config = original.CLIPVisionConfig(**numbers, add_time_attn=True, lora_r=0)
    config._attn_implementation = "eager"
    tower = original.CLIPVisionTransformer(config).eval().requires_grad_(False)
    for name, parameter in tower.named_parameters():
        parameter.normal_(
            1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.5 * parameter.shape[-1] ** -0.5
        )
    return tower


@torch.no_grad()
def compare(theirs: nn.Module, numbers: dict[str, object], pixels: Tensor) -> tuple[float, float]:
    """Largest difference and largest feature, with their weights read from the published layout.

    pixels: (B, T, 3, S, S).
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        weights = {f"vision_model.{key}": tensor for key, tensor in theirs.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"vision_config": numbers}))
        ours = LanguageBindConfig(path=folder, num_frames=pixels.shape[1]).build().eval()
        found = ours(pixels)
    states = theirs(rearrange(pixels, "b t c h w -> b c t h w"), output_hidden_states=True).hidden_states
    expected = states[-2].reshape(found.shape)
    return float((found - expected).abs().max()), float(expected.abs().max())


if __name__ == "__main__":
    sys.exit(main())
