"""`--plan`: what a run would do.  The model is laid out without memory for its weights, and nothing is trained."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

from torch import nn

from merv import runtime
from merv.backbones.llm.base import LLMConfig
from merv.backbones.video.base import VideoBackboneConfig
from merv.backbones.weights import empty_parameters
from merv.errors import ConfigError, MervError
from merv.evaluation.report import table
from merv.models.base import ModelConfig, VideoLM
from merv.models.freeze import set_stage
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.registry import Registry
from merv.runs.assemble import num_steps
from merv.runs.pretrain_config import PretrainConfig

BYTES_TRAINED = 16
"""float32 weight, gradient and two moments of AdamW."""
BYTES_FROZEN = {False: 4, True: 2}
"""Frozen parts are kept in the type they are computed in: by whether that is bfloat16."""


def show(config: PretrainConfig) -> None:
    """Print the plan, on one process."""
    if runtime.is_main():
        sys.stdout.write(text(config) + "\n")


def text(config: PretrainConfig) -> str:
    """What would run: parts, memory, steps, and what is missing."""
    lines = [f"plan of {config.run_dir}: {config.model.type_name}, stage {config.stage}", ""]
    missing: list[str] = []
    lines += _rows_and_steps(config, missing)
    lines += _parts(config, missing)
    if missing:
        lines += ["", "missing:", *(f"- {line}" for line in missing)]
    return "\n".join(lines)


def _rows_and_steps(config: PretrainConfig, missing: list[str]) -> list[str]:
    stage, size = config.stage_config, runtime.world_size()
    lines = [
        f"strategy {stage.train_strategy}, {size} process{'es' if size > 1 else ''}, "
        f"{stage.global_batch_size} samples a step in micro-batches of {stage.per_device_batch_size}"
    ]
    try:
        lines.append(f"{stage.accumulation_steps(size)} micro-batches a step on each process")
    except ConfigError as error:
        missing.append(_line(error))
    try:
        rows = len(config.dataset.load(config.stage))
    except MervError as error:
        missing.append(_line(error))
        return [*lines, "steps: unknown without the data" if stage.max_steps is None else f"steps: {stage.max_steps}"]
    steps = num_steps(stage, -(-rows // stage.global_batch_size))
    return [*lines, f"about {steps} steps over {rows} rows of `{config.dataset.name}`"]


def _parts(config: PretrainConfig, missing: list[str]) -> list[str]:
    unknown = list(_unknown_parts(config.model))
    if unknown:
        missing += unknown
        return []
    if config.model.init == "pretrained":
        missing += config.model.missing_weights()
    try:
        model = build_empty(config)
    except (MervError, OSError) as error:
        missing.append(f"the model cannot be laid out: {error}")
        return []
    learning = set_stage(model, config.stage, config.stage_config)
    counts = {name: _count(part.parameters()) for name, part in model.parts().items()}
    trained, frozen = (sum(column) for column in zip(*counts.values(), strict=True))
    rows = [
        {"part": name, "learns": "yes" if name in learning else "no", "trained": f"{t:,}", "frozen": f"{f:,}"}
        for name, (t, f) in counts.items()
    ]
    rows.append({"part": "all", "learns": "", "trained": f"{trained:,}", "frozen": f"{frozen:,}"})
    size = trained * BYTES_TRAINED + frozen * BYTES_FROZEN[config.model.enable_mixed_precision_training]
    visual = model.visual_tokens()
    return [
        f"{visual} visual tokens a row, {visual * config.stage_config.global_batch_size:,} a step at most, and text",
        f"weights, gradients and optimiser: {_size_text(size)} over all processes of a sharded run; activations extra",
        "",
        table(rows, ["part", "learns", "trained", "frozen"]),
    ]


def _size_text(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _unknown_parts(model: ModelConfig) -> Iterator[str]:
    """A line for every part of the model that is not registered, not for the first alone."""
    if not isinstance(model, MultiEncoderConfig):
        return
    asked: list[tuple[type[Registry], str]] = [(VideoBackboneConfig, name) for name in model.video_backbone_ids]
    asked.append((LLMConfig, model.llm_backbone_id))
    for family, name in asked:
        try:
            family.get(name)
        except ConfigError as error:
            yield str(error)


def _line(error: MervError) -> str:
    """The error, and set in below it what it shows."""
    return "\n".join([str(error), *(f"  {line}" for line in error.below.splitlines())])


def build_empty(config: PretrainConfig) -> VideoLM:
    """The model without memory for its weights: shapes and counts."""
    with empty_parameters():
        return replace(config.model, init="random").build(seed=config.seed)


def _count(parameters: Iterable[nn.Parameter]) -> tuple[int, int]:
    """Numbers that learn, and that do not."""
    listed = list(parameters)
    trained = sum(p.numel() for p in listed if p.requires_grad)
    return trained, sum(p.numel() for p in listed) - trained
