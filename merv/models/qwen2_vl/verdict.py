"""What a verifier says: the probability of `Yes` against that of `No` as the next word."""

from typing import Literal

from torch import Tensor

from merv.models.qwen2_vl.finite import refuse_not_finite
from merv.models.reply import Reply


def verdicts(logits: Tensor, *, yes: int, no: int, protocol: Literal["merv", "videomind"]) -> list[Reply]:
    """A reply for each row.  (B, V) float32.

    The score is P(Yes) among the two words, 0..1.  VideoMind takes the sigmoid of the difference of both words'
    probabilities among all, which lies between 0.27 and 0.73 (https://github.com/yeliudev/VideoMind).

    Raises:
        RunStopped: a logit is not finite.
    """
    refuse_not_finite("the verifier's logits", logits)
    if protocol == "videomind":
        chances = logits.softmax(-1)
        scores = (chances[:, yes] - chances[:, no]).sigmoid()
    else:
        scores = (logits[:, yes] - logits[:, no]).sigmoid()
    return [Reply("Yes." if score >= 0.5 else "No.", score=score) for score in scores.tolist()]
