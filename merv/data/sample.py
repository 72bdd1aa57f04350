"""The one shape every data format is read into, and what travels from a row to a batch.

Row -> `Sample` (merv.data.formats) -> `Example` (a model's Processor) -> `Batch` (its collate).
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from merv.chat import IGNORE_INDEX, Turn
from merv.video.media import MediaRef, Span


@dataclass(frozen=True)
class Sample:
    """One row of a dataset; media are references, nothing has been opened."""

    id: str
    turns: tuple[Turn, ...]
    media: tuple[MediaRef, ...] = ()
    span: Span | None = None
    """The answer's stretch of time in seconds, for grounding data."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What a task needs beside the conversation: options, answer, question type."""

    @property
    def has_visual(self) -> bool:
        """Whether the row shows the model a video or an image."""
        return bool(self.media)


@dataclass(frozen=True)
class Moments:
    """Where in the video an answer lies, for models with a head that finds it; T time steps are what they see."""

    spans: Tensor
    """(N, 2) float32, start and end of each moment as parts 0..1 of what is shown; at least one."""
    saliency: Tensor
    """(T,) float32, 1 at the time steps a moment covers, else 0."""
    positive: int
    """A time step drawn from those covered."""


@dataclass(frozen=True)
class Example:
    """One prepared sample: token ids, labels and uint8 frames.  Plain tensors, so that a worker can ship it."""

    input_ids: Tensor
    """(L,) int64, prompt and answer."""
    labels: Tensor
    """(L,) int64; `IGNORE_INDEX` where there is no loss."""
    frames: Mapping[str, Tensor] = field(default_factory=dict)
    """View name -> uint8 (F, 3, S, S); F is 1 for a still image.  Empty for a text-only row."""
    sample_id: str = ""
    features: Mapping[int, Tensor] = field(default_factory=dict)
    """In place of frames: what each encoder, by number, gave for them earlier, from a feature cache."""
    clip_key: str = ""
    """Under which the features of these frames are to be kept; empty without a feature cache."""
    grid: tuple[int, int, int] | None = None
    """Time steps, rows and columns of patches, where `frames` holds patches in place of frames."""
    moments: Moments | None = None
    """What a grounding head is to find; None when it has nothing to learn from this row."""
    shown: Span | None = None
    """Seconds of the video that the frames stand for, for answers that name times; None when nobody asks."""
    role: str = ""
    """Which of a model's roles is to answer; empty for models without roles."""

    @property
    def has_visual(self) -> bool:
        """Whether the row shows the model a video or an image."""
        return bool(self.frames) or bool(self.features)

    @property
    def num_bytes(self) -> int:
        """Bytes of tensor data a worker ships for this example."""
        tensors = [self.input_ids, self.labels, *self.frames.values(), *self.features.values()]
        return sum(t.numel() * t.element_size() for t in tensors)


@dataclass
class Batch:
    """Several examples in the order the sampler gave them; B rows of L tokens, V of them with frames."""

    input_ids: Tensor
    """(B, L) int64, right-padded for training, left-padded for generation."""
    labels: Tensor
    """(B, L) int64."""
    attention_mask: Tensor
    """(B, L) bool, False on padding."""
    visual_rows: Tensor
    """(V,) int64: which rows have frames, ascending."""
    num_frames: tuple[int, ...] = ()
    """Frames of each clip in `frames`, one clip a visual row unless `shows` says otherwise: 1 marks a still image, 0 a
    clip whose `features` are known."""
    frames: dict[str, Tensor] = field(default_factory=dict)
    """View name -> uint8 (sum(num_frames), 3, S, S): all rows' frames one after another."""
    sample_ids: tuple[str, ...] = ()
    indices: tuple[int, ...] = ()
    """Dataset rows of the examples, for the ledger and for reports."""
    targets: Tensor = None  # type: ignore[assignment]  # None means: to be found
    """(N,) int64: places in the flattened labels that carry loss, found while the batch is still on the CPU."""
    features: dict[int, Tensor] = field(default_factory=dict)
    """Encoder number -> (rows with known features, ...), from a feature cache."""
    clip_keys: tuple[str, ...] = ()
    """Under which the features of each row with frames are to be kept."""
    shows: Tensor | None = None
    """(V,) int64: which clip of `num_frames` each visual row shows; None when each row has its own."""
    facts: dict[str, tuple[float, float]] = field(default_factory=dict)
    """What is to be logged of the step beside its loss: a sum and a count; the loop logs means over the step.  Every
    batch of a run has the same names."""

    def __post_init__(self) -> None:
        """Find the targets; the first position of a row is never predicted."""
        if self.targets is None:
            learned = self.labels != IGNORE_INDEX
            learned[:, 0] = False
            self.targets = learned.flatten().nonzero().squeeze(1)

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.input_ids.shape[0]

    def num_target_tokens(self) -> int:
        """Label positions that carry loss."""
        return len(self.targets)

    def num_visual_tokens(self, each: int) -> int:
        """Visual tokens of the rows; `each` is what a model puts before one, where all have the same number."""
        return len(self.visual_rows) * each

    def num_text_tokens(self) -> int:
        """Tokens that are no padding and stand for words."""
        return int(self.attention_mask.sum())

    def num_target_rows(self) -> int:
        """Rows a head beside the LLM learns from."""
        return 0

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on `device`; copies overlap with work when the memory is pinned."""
        return self._map(lambda t: t.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory."""
        return self._map(lambda t: t.pin_memory())

    def _map(self, fn: Any) -> "Batch":
        changed = copy.copy(self)  # the targets are not looked for again: on an accelerator that would wait for it
        for name in ("input_ids", "labels", "attention_mask", "visual_rows", "targets"):
            setattr(changed, name, fn(getattr(self, name)))
        changed.shows = None if self.shows is None else fn(self.shows)
        changed.frames = {name: fn(t) for name, t in self.frames.items()}
        changed.features = {number: fn(t) for number, t in self.features.items()}
        return changed
