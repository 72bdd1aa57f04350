"""Rows for the tests of models: clips and stills of noise as folders and files of pictures, and text."""

from pathlib import Path

import numpy as np
from PIL import Image

import merv.conf.models  # noqa: F401 - registers merv-tiny
from merv.data.sample import Sample, Turn
from merv.models.base import ModelConfig
from merv.models.multi_encoder.net import MultiEncoderLM
from merv.video.media import MediaRef

QUESTION, ANSWER = "Which shape moves left in the clip?", "the red circle"


def tiny_config(**options):
    """merv-tiny with sizes the tests can count on: 4 time steps of 4 visual tokens."""
    sizes = {
        "video_backbone_ids": ["tiny-frames", "tiny-coarse", "tiny-motion"],
        "num_frames": [4, 8, 8],
        "projector_token_length": 4,
        "visual_feature_length": 16,
        "llm_max_length": 256,
    }
    return ModelConfig.new("merv-tiny", **{**sizes, **options})


def tiny_model(seed: int = 0, **options) -> MultiEncoderLM:
    return tiny_config(**options).build(seed=seed).eval()


def clip(folder: Path, name: str = "clip", frames: int = 12, seed: int = 0) -> MediaRef:
    """A folder of `frames` pictures of noise."""
    (folder / name).mkdir(exist_ok=True)
    for number, pixels in enumerate(_noise(frames, seed)):
        Image.fromarray(pixels).save(folder / name / f"{number:03d}.png")
    return MediaRef(folder / name)


def still(folder: Path, name: str = "still.png", seed: int = 1) -> MediaRef:
    """A picture of noise."""
    Image.fromarray(_noise(1, seed)[0]).save(folder / name)
    return MediaRef(folder / name, kind="image")


def row(*media: MediaRef, question: str = QUESTION, answer: str = ANSWER, name: str = "row") -> Sample:
    return Sample(name, (Turn("user", question), Turn("assistant", answer)), media)


def mixed_rows(folder: Path) -> list[Sample]:
    """Text, a clip, a still, a longer text, another clip with a long answer: no modality stands together."""
    return [
        row(name="text"),
        row(clip(folder, "one", seed=2), name="clip"),
        row(still(folder, seed=3), question="What is it?", answer="a star", name="still"),
        row(question="Which of the many sides of a square are there? " * 3, answer="four", name="long"),
        row(clip(folder, "two", frames=5, seed=4), answer="up, then down, and then left", name="short clip"),
    ]


def _noise(frames: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 24, 30, 3), dtype=np.uint8)
