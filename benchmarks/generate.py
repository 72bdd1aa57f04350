"""Answers a second, one prompt at a time and several at once.

    python benchmarks/generate.py
    python benchmarks/generate.py --model.type merv-base --model.init random --batch_sizes 1,8

Clips are made up and in memory; decoding is left out (`benchmarks/data_path.py` times it).  Every answer has the same
number of new tokens.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from common import Timing, interleaved, seconds, table

import merv.conf.models  # noqa: F401 - registers the presets
from merv import runtime
from merv.conf.parse import parse
from merv.data.sample import Batch, Example
from merv.models.base import ModelConfig
from merv.models.freeze import cast_frozen
from merv.models.multi_encoder.net import MultiEncoderLM


@dataclass
class GenerateConfig:
    """What to measure."""

    model: ModelConfig = field(default_factory=lambda: ModelConfig.get("merv-tiny")())
    """The model."""
    batch_sizes: list[int] = field(default_factory=lambda: [1, 8])
    """Prompts answered at a time, the first one is what the others are compared with."""
    new_tokens: int = 32
    """Tokens of every answer."""
    text_tokens: int = 64
    """Tokens of every prompt."""
    same_clip: bool = False
    """Whether the prompts of a batch are about one clip, which is then encoded once."""
    repeats: int = 5
    """Rounds; each measures all sizes in turn."""
    quick: bool = False
    """One round of two tokens: shows that the program works."""

    def __post_init__(self) -> None:
        """Make it small if so asked."""
        if self.quick:
            self.repeats, self.new_tokens, self.text_tokens = 1, 2, 8


def prompts(model: MultiEncoderLM, config: GenerateConfig, size: int) -> Batch:
    """`size` prompts of random words about random frames."""
    generator = torch.Generator().manual_seed(7)
    processor = model.processor
    frames: dict[str, torch.Tensor] = {}
    examples = []
    for row in range(size):
        ids = torch.randint(3, len(processor.tokenizer), (config.text_tokens,), generator=generator)
        if not frames or not config.same_clip:
            frames = {
                view.name: torch.randint(
                    256, (processor.num_frames, 3, view.size, view.size), dtype=torch.uint8, generator=generator
                )
                for view in processor.views
            }
        examples.append(Example(ids, ids, frames, str(row)))
    return processor.collate(examples, pad="left")


def main(args: Sequence[str] | None = None) -> str:
    """Measure and give the table."""
    config = parse(GenerateConfig, sys.argv[1:] if args is None else args)
    model = config.model.build(seed=7).eval().requires_grad_(False)
    assert isinstance(model, MultiEncoderLM), "made-up prompts are those of the multi-encoder family"
    device = runtime.device()
    if device.type != "cpu":
        cast_frozen(model, torch.bfloat16)
    model.to(device)
    tokens = {"max_new_tokens": config.new_tokens, "min_new_tokens": config.new_tokens}
    batches = {size: prompts(model, config, size).to(device) for size in config.batch_sizes}
    answer = {str(size): partial(model.respond, batch, **tokens) for size, batch in batches.items()}
    for work in answer.values():
        work()  # warm
    found = interleaved({name: partial(seconds, work) for name, work in answer.items()}, config.repeats)
    first = rate(found, config.batch_sizes[0]).median
    rows = [
        [
            str(size),
            found[str(size)].text(3),
            rate(found, size).text(),
            f"{config.new_tokens * rate(found, size).median:.0f}",
            f"{rate(found, size).median / first:.2f}x",
        ]
        for size in config.batch_sizes
    ]
    about = "one clip for all" if config.same_clip else "a clip each"
    return table(
        f"Answers: {config.model.type_name}, {config.new_tokens} new tokens, {about}",
        ["prompts at once", "seconds: median (range)", "answers/s: median (range)", "tokens/s", "against the first"],
        rows,
        [f"{config.repeats} rounds, each measures all sizes in turn; greedy, with a KV cache"],
    )


def rate(found: dict[str, Timing], size: int) -> Timing:
    """Answers a second."""
    return found[str(size)].rate(size)


if __name__ == "__main__":
    print(main())
