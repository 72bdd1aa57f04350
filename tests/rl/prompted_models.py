"""Tiny models of every family with prompts for them, and answers to weigh."""

from dataclasses import dataclass
from typing import Any

import torch
from models.hf_vlm.rows import vlm_config
from models.qwen2_vl.role_rows import all_roles, talk
from models.rows import clip, row, still, tiny_model
from tiny_vlms import tiny_vlm

from merv.data.sample import Batch, Sample
from merv.models.base import VideoLM
from merv.rl.batch import RolloutBatch
from merv.rl.loss import denominator, token_weights
from merv.rl.prompting import PromptPreparer

KINDS = ["merv", "role", "qwen2.5-vl", "llava", "aria"]


@dataclass
class Prompted:
    """A model and samples of a video, an image and text alone."""

    model: VideoLM
    samples: list[Sample]

    def batch(self, *rows: int, answer: bool = False, pad: str = "left") -> Batch:
        """Some of the samples as prompts; with `answer` as training rows."""
        processor = self.model.processor
        prepare = processor.prepare if answer else PromptPreparer(processor)
        examples = [prepare(self.samples[number]) for number in rows]
        return processor.collate(examples, indices=list(rows), pad=pad)


def prompted(kind: str, folder: Any) -> Prompted:
    """A model of a family."""
    make = row if kind == "merv" else talk
    samples = [
        make(clip(folder, seed=2), question="Which shape moves left?", answer="a red ring", name="video"),
        make(still(folder, seed=3), question="What is it?", answer="a star", name="image"),
        make(question="Which of the many sides of a square are there?", answer="four", name="text"),
    ]
    if kind == "merv":
        return Prompted(tiny_model(), samples)
    if kind != "role":
        return Prompted(vlm_config(tiny_vlm(kind, folder / "published"), kind).build().eval(), samples)
    model = all_roles()
    model.processor = model.processor.for_role("answerer")
    return Prompted(model, samples)


def other_pixels(batch: Batch) -> Batch:
    """The same prompts about other pixels."""
    changed = batch._map(lambda tensor: tensor)
    changed.frames = {name: _inverted(name, tensor) for name, tensor in batch.frames.items()}
    return changed


def _inverted(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if any(part in name for part in ("grid", "mask", "type")):
        return tensor
    return -tensor if tensor.is_floating_point() else 255 - tensor


def rollouts(
    asked: Batch, completions: torch.Tensor, learned: torch.Tensor, gains: torch.Tensor, **more
) -> RolloutBatch:
    """A batch of given answers."""
    return RolloutBatch(
        input_ids=asked.input_ids,
        labels=asked.labels,
        attention_mask=asked.attention_mask,
        visual_rows=asked.visual_rows,
        targets=asked.targets,
        sample_ids=asked.sample_ids,
        indices=asked.indices,
        asked=asked,
        completions=completions,
        learned=learned,
        weights=token_weights(learned, "grpo", 16),
        advantages=gains,
        num_losses=denominator(learned, "grpo"),
        num_words=int(learned.sum()),
        **more,
    )
