"""Answers a second of a GRPO group: batched on one visual encoding, against one by one.

    python benchmarks/rollouts.py
    python benchmarks/rollouts.py --model.type vlm-tiny --num_generations 8 --num_frames 16

Three ways give the same answers from the same chances: each answer by itself with its clip encoded anew, as loops
around a library's generate do; all answers at once, the clip encoded for each; and merv's, where a clip is encoded
once for its group.  Clips are made up and in memory.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import torch
from common import interleaved, seconds, table
from PIL import Image

import merv.conf.models
import merv.conf.vlm  # noqa: F401 - these register presets
from merv import runtime
from merv.conf.parse import parse
from merv.data.sample import Batch, Sample, Turn
from merv.models.base import ModelConfig, VideoLM
from merv.models.freeze import cast_frozen
from merv.models.prompted import Prompts
from merv.rl.rollouts import Completions, Sampling, joined, sample_answers
from merv.video.media import MediaRef

Answer = Callable[[Prompts, Sequence[int]], Completions]


@dataclass
class RolloutsConfig:
    """What to measure."""

    model: ModelConfig = field(default_factory=lambda: ModelConfig.get("vlm-tiny")())
    """The model."""
    num_generations: int = 8
    """Answers to each prompt."""
    num_prompts: int = 2
    """Prompts, each about a clip of its own."""
    num_frames: int = 16
    """Frames of each clip, where the model does not say itself how many it wants."""
    new_tokens: int = 32
    """Tokens of every answer."""
    repeats: int = 5
    """Rounds; each measures all ways in turn."""
    quick: bool = False
    """One round of two tokens: shows that the program works."""

    def __post_init__(self) -> None:
        """Make it small if so asked."""
        if self.quick:
            self.repeats, self.new_tokens, self.num_generations, self.num_frames = 1, 2, 2, 4


def clip(folder: Path, number: int, frames: int) -> Path:
    """A folder of frames of noise, 224 x 224 pixels."""
    path = folder / str(number)
    path.mkdir()
    generator = torch.Generator().manual_seed(number)
    for frame in range(frames):
        pixels = torch.randint(256, (224, 224, 3), dtype=torch.uint8, generator=generator)
        Image.fromarray(pixels.numpy()).save(path / f"{frame:03d}.png")
    return path


def prompts_of(model: VideoLM, config: RolloutsConfig) -> list[Batch]:
    """A batch for each prompt, on the model's device."""
    with TemporaryDirectory() as root:
        clips = [MediaRef(clip(Path(root), number, config.num_frames)) for number in range(config.num_prompts)]
        samples = [Sample(str(n), (Turn("user", "What happens?"),), (ref,)) for n, ref in enumerate(clips)]
        examples = [model.processor.prepare(sample, answer=False) for sample in samples]
    return [model.processor.collate([e], indices=[n], pad="left").to(runtime.device()) for n, e in enumerate(examples)]


def one_by_one(answer: Answer, model: VideoLM, batches: list[Batch], each: int) -> list[Completions]:
    """Every answer by itself, with an encoding of its own."""
    return [answer(model.prompts(batch), [100 * row + n]) for row, batch in enumerate(batches) for n in range(each)]


def encoded_each(answer: Answer, model: VideoLM, batches: list[Batch], each: int) -> list[Completions]:
    """All answers at once, with an encoding for each."""
    encoded = joined([model.prompts(batch) for batch in batches for _ in range(each)])
    return [answer(encoded, [100 * row + n for row in range(len(batches)) for n in range(each)])]


def shared(answer: Answer, model: VideoLM, batches: list[Batch], each: int) -> list[Completions]:
    """All answers at once, with one encoding for a group."""
    encoded = joined([model.prompts(batch) for batch in batches])
    return [answer(encoded, [100 * row + n for row in range(len(batches)) for n in range(each)])]


def main(args: Sequence[str] | None = None) -> str:
    """Measure and give the table."""
    config = parse(RolloutsConfig, sys.argv[1:] if args is None else args)
    model = config.model.build(seed=7).eval().requires_grad_(False)
    device = runtime.device()
    if device.type != "cpu":
        cast_frozen(model, torch.bfloat16)
        model.computes_in(torch.bfloat16)
    model.to(device)
    batches = prompts_of(model, config)
    answer: Answer = partial(
        sample_answers, model, sampling=Sampling(max_new_tokens=config.new_tokens, batch_size=1 << 30)
    )
    ways = {
        "one by one": one_by_one,
        "batched, a clip encoded for each answer": encoded_each,
        "merv: encoded once": shared,
    }
    work = {name: partial(way, answer, model, batches, config.num_generations) for name, way in ways.items()}
    endless = mock.patch.object(type(model.language), "end_ids", [])  # every answer is as long as the others
    with torch.inference_mode(), endless:
        check({name: way() for name, way in work.items()})
        found = interleaved({name: partial(seconds, way) for name, way in work.items()}, config.repeats)
    count = config.num_prompts * config.num_generations
    slowest = found["one by one"].median
    rows = [
        [name, timing.text(3), timing.rate(count).text(), f"{slowest / timing.median:.2f}x"]
        for name, timing in found.items()
    ]
    return table(
        f"GRPO rollouts: {config.model.type_name}, {config.num_prompts} prompts x {config.num_generations} answers of "
        f"{config.new_tokens} tokens",
        ["way", "seconds: median (range)", "answers/s: median (range)", "against one by one"],
        rows,
        [f"{config.repeats} rounds, each measures all ways in turn; clips of {config.num_frames} frames, 224 x 224"],
    )


def check(said: dict[str, list[Completions]]) -> None:
    """All ways give the same answers."""
    texts = {name: [row for part in parts for row in part.ids.tolist()] for name, parts in said.items()}
    first = next(iter(texts.values()))
    same = {name: sum(a == b for a, b in zip(first, text, strict=True)) for name, text in texts.items()}
    if min(same.values()) < 0.9 * len(first):  # sums in another order may turn a draw
        raise SystemExit(f"the ways differ: equal answers of {len(first)}: {same}")


if __name__ == "__main__":
    print(main())
