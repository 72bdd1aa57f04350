"""Ask one role of a model: its words with the moments it found, or its verdict about a stretch."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from merv.agent.preparing import duration_of
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.models.qwen2_vl.net import RoleLM
from merv.models.qwen2_vl.roles import ROLES

if TYPE_CHECKING:
    from merv.runs.ask import AskConfig

MOST = 5
"""Moments that are told."""


def adds_to_words(model: object) -> bool:
    """Whether what a model says is more than words: moments, or a verdict."""
    return isinstance(model, RoleLM) and (ROLES[model.processor.role].has_head or model.processor.role == "verifier")


def ask_role(config: "AskConfig", model: RoleLM, sample: Sample, write: Callable[[str], object]) -> int:
    """Tell the reply of the model's own role; gives the exit status.

    Raises:
        ConfigError: the role needs an option that is not given.
        SampleError: the video cannot be used.
    """
    role = model.processor.role
    if role == "gqa" and not config.options:
        raise ConfigError("role gqa chooses one of several options; give them: --options ring,cross")
    if role == "verifier":
        sample = judged(config, sample)
    [reply] = model.ask([(role, sample)], max_new_tokens=config.max_new_tokens)
    if isinstance(reply, SampleError):
        raise reply
    verdict = "" if reply.score is None else f"  score {reply.score:.2f}"
    write(f"{reply.text}{verdict}\n")
    for start, end, score in (reply.spans or ())[:MOST]:
        write(f"{start:8.1f} - {end:.1f} s  score {score:.2f}\n")
    return 0


def judged(config: "AskConfig", sample: Sample) -> Sample:
    """The sample with `--start` and `--end` as the stretch to judge, in the whole video.

    Raises:
        ConfigError: they are not both given, or there is no video.
    """
    if config.start is None or config.end is None or not sample.media:
        raise ConfigError("role verifier judges a stretch of a video; name its seconds: --start 3 --end 8")
    [ref] = sample.media
    whole = replace(ref, span=None)
    meta = {**sample.meta, "candidate": (config.start, config.end), "duration": duration_of(whole)}
    return replace(sample, media=(whole,), meta=meta)
