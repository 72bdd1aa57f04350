"""Special tokens of the role models, and the numbers a tokenizer gives them.

`<|reg|>` calls the grounding head, `<|seg_start|>` and `<|seg_end|>` enclose the stretch a verifier judges
(VideoMind, https://arxiv.org/abs/2503.13444, https://github.com/yeliudev/VideoMind).
"""

from dataclasses import dataclass
from typing import Any

from merv.errors import ConfigError

REG = "<|reg|>"
SEGMENT_START = "<|seg_start|>"
SEGMENT_END = "<|seg_end|>"
NEW_TOKENS = (REG, SEGMENT_START, SEGMENT_END)
"""Tokens the base does not know, in the order they are added."""

VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
VIDEO = "<|video_pad|>"
"""Stands once in the text for every visual token."""
IMAGE = "<|image_pad|>"
RESERVED = (VISION_START, VISION_END, VIDEO, IMAGE, "<|im_start|>", "<|im_end|>", *NEW_TOKENS)
"""Tokens with a meaning of their own: a query must not hold them."""


@dataclass(frozen=True)
class TokenIds:
    """Numbers of the tokens the model looks for."""

    video: int
    reg: int
    segment_start: int
    segment_end: int
    yes: int
    no: int

    @classmethod
    def of(cls, tokenizer: Any, before_answer: str = "") -> "TokenIds":
        """Those of a tokenizer to which `add_tokens` has been applied; answers begin behind `before_answer`.

        Raises:
            ConfigError: it is not that of a Qwen2-VL.
        """
        vocabulary = tokenizer.get_vocab()
        missing = [token for token in (VISION_START, VIDEO, VISION_END, *NEW_TOKENS) if token not in vocabulary]
        if missing:
            raise ConfigError(f"the tokenizer lacks {', '.join(missing)}: the base is no Qwen2-VL; name one with path")
        yes, no = (tokenizer(before_answer + word, add_special_tokens=False).input_ids[0] for word in ("Yes", "No"))
        if yes == no:
            raise ConfigError(
                "the tokenizer begins `Yes` and `No` alike, so that no verifier can choose; name another"
            )
        return cls(
            video=vocabulary[VIDEO],
            reg=vocabulary[REG],
            segment_start=vocabulary[SEGMENT_START],
            segment_end=vocabulary[SEGMENT_END],
            yes=yes,
            no=no,
        )


def add_tokens(tokenizer: Any) -> int:
    """Make the role models' tokens known to a tokenizer; gives how many were new."""
    known = tokenizer.get_vocab()
    new = [token for token in NEW_TOKENS if token not in known]
    if new:
        tokenizer.add_tokens(new, special_tokens=True)
    return len(new)
