"""Samples, models and batches that tests of the family share."""

from pathlib import Path

import numpy as np
from PIL import Image

from merv.data.sample import Sample, Turn
from merv.models.hf_vlm.config import HfVlmConfig
from merv.video.media import MediaRef

FRAMES = {"aria": {"video_as": "frames", "num_frames": 2}, "llava": {"video_as": "frames", "num_frames": 2}}
SMALL = {**FRAMES, "qwen2-vl": {"num_frames": 4}, "qwen2.5-vl": {"num_frames": 4}}


def vlm_config(folder: Path, name: str, **options) -> HfVlmConfig:
    """Config of a tiny model that sees few frames and computes in float32."""
    return HfVlmConfig(path=str(folder), **{"dtype": "float32", "max_length": 512, **SMALL[name], **options})


def picture(folder: Path, seed: int = 0, size=(64, 48)) -> Path:
    """A still image of noise."""
    path = folder / f"picture-{seed}.png"
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def film(folder: Path, seed: int = 0, frames: int = 6) -> Path:
    """A folder of frames, which stands for a video."""
    path = folder / f"film-{seed}"
    path.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(frames):
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path / f"{number}.png")
    return path


def sample(
    text: str, answer: str, *, image: Path | None = None, video: Path | None = None, name: str = "row"
) -> Sample:
    """A question and its answer, about an image, a video or nothing."""
    media = (MediaRef(image, "image"),) if image else (MediaRef(video),) if video else ()
    return Sample(name, (Turn("user", text), Turn("assistant", answer)), media)
