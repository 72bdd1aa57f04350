"""Requests of lmms-eval put to a model: their prompts, visuals and generation options in merv's own terms.

The shapes are those of lmms_eval/api/task.py and api/instance.py of https://github.com/EvolvingLMMs-Lab/lmms-eval,
version 0.7.  The class lmms-eval loads is in `merv.runs.lmms_eval`.
"""

import functools
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from merv.data.sample import Example, Sample, Turn
from merv.errors import SampleError
from merv.models.answering import device_of, media_ref
from merv.models.base import VideoLM
from merv.video.media import MediaRef

FAILED = "-"
"""Answer to a question whose video cannot be used.  No parser reads an option in it; an empty one would not do, since
some tasks, such as MVBench, leave empty answers out of the number they divide by."""
MAX_NEW_TOKENS = 1024
"""Where a task sets no limit, as lmms-eval's own models have it."""
PLACEHOLDERS = ("<image>", "<video>")
"""Where other models' prompts put their visual tokens; merv's templates place them."""
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
HONOURED = {"until", "max_new_tokens", "temperature", "do_sample", "num_beams", "top_p", "top_k"}

Documents = Mapping[str, Any]
"""Task -> split -> documents."""

log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """The arguments of a `generate_until` request."""

    context: str
    options: Mapping[str, Any]
    doc_to_visual: Callable[[Any], Any]
    doc_id: Any
    task: str
    split: str


def answer(model: VideoLM, asked: Sequence[Asked], documents: Documents) -> list[str]:
    """Answers to one batch of questions with the same options; `FAILED`, with a warning, where a video is no use."""
    options, until = generation_options(asked[0].options)
    answers = [FAILED] * len(asked)
    examples = _prepared(model, asked, documents)
    if examples:
        batch = model.processor.collate(list(examples.values()), pad="left").to(device_of(model))
        with torch.inference_mode():
            texts = model.respond(batch, **options)
        for number, text in zip(examples, texts, strict=True):
            answers[number] = cut(text, until)
    return answers


def _prepared(model: VideoLM, asked: Sequence[Asked], documents: Documents) -> dict[int, Example]:
    """The questions that can be asked, by their number; each clip is decoded once."""
    samples: dict[int, Sample] = {}
    failed: dict[int, SampleError] = {}
    with tempfile.TemporaryDirectory(prefix="merv-lmms-") as folder:
        for number, one in enumerate(asked):
            try:
                samples[number] = _sample(one, documents, Path(folder, str(number)))
            except SampleError as error:
                failed[number] = error
        prepared = dict(zip(samples, model.processor.prepare_all(list(samples.values()), answer=False), strict=True))
    failed |= {number: example for number, example in prepared.items() if isinstance(example, SampleError)}
    for number, reason in failed.items():
        one = asked[number]
        log.warning("%s, document %s: answered with `%s`: %s", one.task, one.doc_id, FAILED, reason)
    return {number: example for number, example in prepared.items() if isinstance(example, Example)}


def _sample(asked: Asked, documents: Documents, folder: Path) -> Sample:
    text = asked.context
    for placeholder in PLACEHOLDERS:
        text = text.replace(placeholder, "")
    visuals = asked.doc_to_visual(documents[asked.task][asked.split][asked.doc_id])
    return Sample(f"{asked.task}/{asked.doc_id}", (Turn("user", text.strip()),), media_of(visuals, folder))


def batches(asked: Sequence[Asked], size: int) -> Iterator[list[int]]:
    """Indices of requests that share their options, in order, so that questions about one video stay together."""
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(asked):
        groups.setdefault(json.dumps(dict(one.options), sort_keys=True, default=str), []).append(index)
    for indices in groups.values():
        yield from (indices[start : start + size] for start in range(0, len(indices), size))


def generation_options(asked: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """lmms-eval's generation options as transformers' generate takes them, and the texts that end an answer.

    Sampling needs a temperature above 0, or `do_sample` without a temperature; a `do_sample` that is false forbids it.
    """
    temperature, do_sample = asked.get("temperature"), asked.get("do_sample")
    if do_sample is None:
        do_sample = bool(temperature)
    elif temperature is not None:
        do_sample = bool(do_sample) and temperature > 0
    options = {
        "max_new_tokens": int(asked.get("max_new_tokens") or MAX_NEW_TOKENS),
        "do_sample": bool(do_sample),
        "num_beams": int(asked.get("num_beams") or 1),
    }
    if do_sample:
        chosen = {name: asked.get(name) for name in ("temperature", "top_p", "top_k")}
        options |= {name: value for name, value in chosen.items() if value is not None}
    _warn_of_options(tuple(sorted(asked.keys() - HONOURED)))
    until = asked.get("until") or ()
    return options, (until,) if isinstance(until, str) else tuple(end for end in until if end)


@functools.cache
def _warn_of_options(names: tuple[str, ...]) -> None:
    """Once for each set of names."""
    if names:
        log.warning("merv has no use for the generation options %s", ", ".join(names))


def cut(text: str, until: Sequence[str]) -> str:
    """The text before the first of the endings, without the space around it."""
    text = text.strip()
    places = [place for end in until if (place := text.find(end)) >= 0]
    return text[: min(places, default=len(text))].strip()


def media_of(visuals: Any, folder: Path) -> tuple[MediaRef, ...]:
    """References to what a document shows: paths as they are, pictures as files in `folder`, several as a video's.

    Args:
        visuals: paths, PIL images or uint8 arrays (H, W, 3) or (T, H, W, 3), in lists or alone; None shows nothing.
        folder: where pictures may be written; it need not exist.

    Raises:
        SampleError: a file is missing, or something is neither.
    """
    media: list[MediaRef] = []
    pictures: list[Image.Image] = []
    for visual in _flat(visuals):
        if isinstance(visual, str | Path):
            media += media_ref(visual)
        else:
            pictures.append(_picture(visual))
    if pictures:
        folder.mkdir(parents=True)
        for number, picture in enumerate(pictures):
            picture.save(folder / f"{number:06d}.png", compress_level=1)
        only = folder / "000000.png"
        media.append(MediaRef(folder) if len(pictures) > 1 else MediaRef(only, "image"))
    return tuple(media)


def _flat(visuals: Any) -> Iterator[Any]:
    if isinstance(visuals, list | tuple) or (isinstance(visuals, np.ndarray) and visuals.ndim == 4):
        for visual in visuals:
            yield from _flat(visual)
    elif visuals is not None:
        yield visuals


def _picture(visual: Any) -> Image.Image:
    if isinstance(visual, np.ndarray) and visual.dtype == np.uint8 and visual.ndim == 3:
        return Image.fromarray(visual)
    if not isinstance(visual, Image.Image):
        kind = type(visual).__name__
        raise SampleError(f"a visual of type {kind}; merv takes paths of videos and images, PIL images and frames")
    return visual if visual.mode in PNG_MODES else visual.convert("RGB")
