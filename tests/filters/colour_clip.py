"""A CLIP whose answers are known: pictures are their mean colour, sentences the colours they name."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from merv.filters.clip import Clip, ClipConfig

COLOURS = ("red", "green", "blue")


class ColourNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = nn.Module()
        self.visual.image_size = 4

    def encode_image(self, images):
        return images.mean(dim=(2, 3))

    def encode_text(self, rows):
        return rows


def colours_named(sentences):
    """Each mention of a colour counts, so that sentences have vectors of unequal length."""
    return torch.tensor([[float(sentence.count(colour)) for colour in COLOURS] for sentence in sentences])


def tiny_picture(image):
    return torch.from_numpy(np.array(image.resize((4, 4)), dtype=np.float32)).permute(2, 0, 1) / 255


def colour_clip(batch_size=4):
    return Clip(ColourNet(), colours_named, tiny_picture, {"name": "colours"}, batch_size, torch.device("cpu"))


def see_colours(monkeypatch, tmp_path):
    """Commands get this CLIP; gives the words with prompts it can read: red is good, blue is bad."""
    monkeypatch.setattr(ClipConfig, "find_clip", lambda config: None)
    monkeypatch.setattr(ClipConfig, "build_clip", lambda config, weights: colour_clip(config.batch_size))
    monkeypatch.setattr("merv.runtime.setup_logging", lambda: None)
    (tmp_path / "colours.yaml").write_text("positive: [red]\nnegative: [blue]\n")
    return "--prompts", str(tmp_path / "colours.yaml")


def paint(path, colour, size=8):
    """A picture of one colour, such as (255, 0, 0)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), colour).save(path)
    return path
