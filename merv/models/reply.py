"""What a model says about one sample: a text, and what a head or a probability adds to it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """One answer."""

    text: str
    """The words."""
    spans: tuple[tuple[float, float, float], ...] | None = None
    """Moments a grounding head found: start and end in seconds of the video, and a score 0..1; best first.

    None when the model has no such head or did not call it; then the text may name times.
    """
    score: float | None = None
    """How sure a verifier is that its candidate is right, 0..1; None for other roles."""
