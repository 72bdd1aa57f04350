"""Ask an agent one question: its answer, the moments it found, a picture of them, and the record."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from merv.agent.chain import Chain
from merv.agent.record import ChainReply
from merv.agent.roles import as_role_model, read_roles
from merv.agent.timeline import draw_timeline
from merv.data.sample import Sample
from merv.errors import SampleError
from merv.space import write_json

if TYPE_CHECKING:
    from merv.runs.ask import AskConfig

SUFFIX = "-timeline.png"


def ask_agent(config: "AskConfig", model: Any, sample: Sample, write: Callable[[str], object]) -> int:
    """Answer, draw, keep the record; gives the exit status.

    Raises:
        ConfigError: the model does not play the roles.
        SampleError: the video cannot be used.
    """
    player = as_role_model(model, read_roles(config.agent), str(config.model))
    chain = Chain(player, config.agent, config.chain, max_new_tokens=config.max_new_tokens)
    with torch.inference_mode():
        reply = chain.answer(sample)
    picture = picture_of(config)
    try:
        draw_timeline(reply, picture)
        spans = [list(span) for span in reply.spans or ()]
        record = picture.with_suffix(".json")
        write_json(record, {"answer": reply.text, "spans": spans, "agent": chain.about(), "record": reply.record})
    except OSError as error:
        write(told(reply))
        raise SampleError(f"{picture} cannot be written: {error.strerror}; name another with --timeline") from error
    write(f"{told(reply)}picture: {picture}\nrecord: {record}\n")
    return 0


def told(reply: ChainReply) -> str:
    """The answer and the moments, best first, a line each."""
    moments = "".join(f"{start:8.1f} - {end:.1f} s  score {score:.2f}\n" for start, end, score in reply.spans or ())
    return f"{reply.text.strip()}\n{moments}"


def picture_of(config: "AskConfig") -> Path:
    """Where the picture goes."""
    assert config.video is not None, "AskConfig refuses an agent without a video"
    given = config.timeline
    if given is None:
        return Path(f"{config.video.resolve().stem}{SUFFIX}")
    return given if given.suffix.lower() == ".png" else given.with_name(f"{given.name}.png")
