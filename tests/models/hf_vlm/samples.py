"""Media, rows and processors for tests of models of transformers."""

from functools import lru_cache

import numpy as np
import torch
from PIL import Image

from merv.chat import IGNORE_INDEX, MEDIA, Turn
from merv.data.sample import Sample
from merv.models.hf_vlm.look import LookConfig
from merv.models.hf_vlm.processor import HfProcessor
from merv.video.media import MediaRef

NAMES = ("qwen2-vl", "qwen2.5-vl", "aria", "llava")
QWENS = ("qwen2-vl", "qwen2.5-vl")
SIZES = {"wide": (90, 140), "tall": (120, 60), "square": (70, 70)}


def draw_media(folder):
    """Still images by name, and `clip`: a folder of 18 frames, three a second."""
    generator = np.random.default_rng(0)
    media = {}
    for name, (height, width) in SIZES.items():
        _noise(generator, height, width).save(folder / f"{name}.png")
        media[name] = MediaRef(folder / f"{name}.png", "image")
    (folder / "clip").mkdir()
    for number in range(18):
        _noise(generator, 60, 100).save(folder / "clip" / f"{number:02d}.png")
    return {**media, "clip": MediaRef(folder / "clip")}


def _noise(generator, height, width):
    """Blocks of colour: they survive resizing."""
    blocks = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


@lru_cache
def published(folder):
    """The processor of a folder, as transformers loads it."""
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(folder)


@lru_cache
def model_of(folder):
    """The model of a folder, in float32."""
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()


def processor_of(folder, *, max_length=8192, learn_newline=False, system="", **look):
    """Our processor around that of a folder."""
    if "aria" in str(folder):
        look.setdefault("max_image_size", 490)
    return HfProcessor(
        published(folder), LookConfig(**look), system=system, max_length=max_length, learn_newline=learn_newline
    )


def talk(*words, media=(), name="row", **meta):
    """A sample of questions and answers in turn; a first word that begins with `system:` is the system's."""
    turns = []
    if words[0].startswith("system:"):
        turns.append(Turn("system", words[0].removeprefix("system:")))
        words = words[1:]
    roles = ("user", "assistant")
    turns += [Turn(roles[number % 2], word) for number, word in enumerate(words)]
    return Sample(name, tuple(turns), tuple(media), meta=meta)


def learned(processor, example):
    """The words an example teaches, answers apart."""
    found, before = [], False
    for token in example.labels.tolist():
        if token != IGNORE_INDEX:
            if not before:
                found.append([])
            found[-1].append(token)
        before = token != IGNORE_INDEX
    return [processor.tokenizer.decode(tokens) for tokens in found]


def forward(model, batch):
    """Logits (B, L, V), with the mask."""
    with torch.inference_mode():
        return model(**batch.inputs(), attention_mask=batch.attention_mask.long()).logits


CONVERSATIONS = {
    "one question": lambda m: talk("What happens?", "the ball rolls", media=[m["wide"]]),
    "text alone": lambda m: talk("What is a ball?", "a round thing"),
    "several turns": lambda m: talk("What?", "a ball", "What color?", "red", "Sure?", "yes", media=[m["square"]]),
    "image in the second question": lambda m: talk("Hello?", "yes", f"And{MEDIA}this?", "a ball", media=[m["tall"]]),
    "several images": lambda m: talk(
        f"{MEDIA}\nor {MEDIA}\n?", "the second", f"And {MEDIA}", "the third", media=[m["wide"], m["tall"], m["square"]]
    ),
    "system turn": lambda m: talk("system:be brief", "What?", "a ball", media=[m["wide"]]),
    "answer in the question": lambda m: talk("red ball red ball", "red ball", "red ball", "red", media=[m["wide"]]),
}
ANSWERS = {
    "one question": ["the ball rolls"],
    "text alone": ["a round thing"],
    "several turns": ["a ball", "red", "yes"],
    "image in the second question": ["yes", "a ball"],
    "several images": ["the second", "the third"],
    "system turn": ["a ball"],
    "answer in the question": ["red ball", "red"],
}
