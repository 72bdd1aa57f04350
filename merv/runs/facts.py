"""What encoders and language models are like, for `merv list`: each is laid out without memory for its weights."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from merv.backbones.llm.base import LLMConfig
from merv.backbones.video.base import VideoBackboneConfig
from merv.backbones.weights import PublishedWeights, empty_parameters
from merv.errors import MervError
from merv.evaluation.report import table

VIDEO_COLUMNS = ["name", "parameters", "frames", "tokens", "width", "weights"]
LLM_COLUMNS = ["name", "parameters", "layers", "width", "vocabulary", "weights"]


def video_backbones() -> str:
    """A line an encoder: parameters, frames it sees, tokens of a clip (time x height x width), their width, source."""
    return table([_video_row(name) for name in VideoBackboneConfig.available()], VIDEO_COLUMNS)


def llm_backbones() -> str:
    """A line a language model: parameters, decoder layers, width, vocabulary with what is added to it, source."""
    return table([_llm_row(name) for name in LLMConfig.available()], LLM_COLUMNS)


def _video_row(name: str) -> dict[str, Any]:
    config = VideoBackboneConfig.new(name)
    row = {"name": name, "frames": config.num_frames, "weights": _source(config)}
    backbone = _laid_out(config)
    if backbone is None:
        return row
    grid = backbone.grid
    places = f"{grid.height} x {grid.width}" if grid.is_spatial else str(grid.width)
    return {**row, "parameters": _count(backbone), "tokens": f"{grid.frames} x {places}", "width": grid.dim}


def _llm_row(name: str) -> dict[str, Any]:
    config = LLMConfig.new(name)
    llm = _laid_out(config)
    row = {"name": name, "weights": _source(config)}
    if llm is None:
        return row
    sizes = {"layers": len(llm.blocks()), "width": llm.dim, "vocabulary": llm.vocab_size}
    return {**row, "parameters": _count(llm), **sizes}


def _laid_out(config: Any) -> Any:
    """The module without its weights; None where its default options do not make one."""
    if type(config).build in (VideoBackboneConfig.build, LLMConfig.build):  # a plugin that is not finished
        return None
    drawn: Any = config.drawn() if isinstance(config, PublishedWeights) else config
    try:
        with empty_parameters():
            return drawn.build()
    except MervError:
        return None


def _source(config: Any) -> str:
    return config.source.repo if isinstance(config, PublishedWeights) else "drawn"


def _count(module: nn.Module) -> str:
    """Number of parameters, shared ones once."""
    return short(parameter.numel() for parameter in module.parameters())


def short(counts: Iterable[int]) -> str:
    """A sum in a few digits: 6.74 B, 303 M, 12 K."""
    total = float(sum(counts))
    for unit in ("", " K", " M", " B"):
        if total < 999.5 or unit == " B":
            return f"{total:.3g}{unit}"
        total /= 1000
    raise AssertionError("the last unit takes every number")
