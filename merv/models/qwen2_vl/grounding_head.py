"""The head that finds moments: time steps and a query in, boxes in time out.

VideoMind (https://arxiv.org/abs/2503.13444, https://github.com/yeliudev/VideoMind, videomind/model/model.py): when the
language model is about to say `<|reg|>`, its state there is the query; steps and query are fused, a pyramid over time
is laid on the steps, and every point of it says whether it lies in the moment and how far away start and end are.
State-dict keys are the published ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from merv.data.sample import Moments
from merv.errors import ConfigError
from merv.models.qwen2_vl.grounding_blocks import (
    ACTIVATIONS,
    Activation,
    ConvHead,
    ConvPyramid,
    FusionLayer,
    LevelScale,
    TypeEmbedding,
    relative_positions,
)
from merv.models.qwen2_vl.grounding_decode import decode
from merv.models.qwen2_vl.grounding_loss import GroundingLoss, HeadLoss, Protocol
from merv.models.qwen2_vl.grounding_points import HeadOutput, PointGrid

INITIAL_STD = 0.02
"""Of linear layers: what transformers gives those that Qwen2-VL's file lacks, and so VideoMind's start."""
MOST_LOG_DISTANCE = 30.0
"""No clip is e^30 strides long; an infinite distance would give NaN gradients, even at points without a moment."""


@dataclass
class GroundingHeadConfig:
    """Sizes of a grounding head, its losses, and how boxes are chosen.  The defaults are VideoMind's."""

    dims: int = 256
    """Width of the head: even, and a multiple of `num_heads`."""
    strides: tuple[int, ...] = (1, 2, 4, 8)
    """Time steps between the points of each level: powers of two, ascending from 1."""
    num_layers: int = 3
    """Layers that fuse steps and query; in training each of them is to find the moment."""
    num_heads: int = 8
    """Attention heads of these layers."""
    drop_path: float = 0.1
    """Share of training steps in which a row leaves a branch of a fusion layer out."""
    activation: Activation = "silu"
    """Between layers; VideoMind's is that of its language model."""
    sample_radius: float = 1.5
    """How far from a moment's middle its points may lie, in strides."""
    class_weight: float = 5.0
    """Of the loss on which points lie in a moment."""
    coordinate_weight: float = 1.0
    """Of the loss on where its start and end are."""
    saliency_weight: float = 0.05
    """Of the loss that draws the query to a step of the moment."""
    nms_threshold: float = 0.75
    """Of two boxes whose intersection over union reaches it, the better one counts."""
    max_moments: int = 100
    """Most boxes of an answer."""
    protocol: Protocol = "merv"
    """`videomind`: published arithmetic to the letter.  `merv`: short clips are padded in answers as in training,
    boxes stay within the clip, near copies are left out, every moment teaches a point."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        strides = tuple(self.strides)
        powers = all(stride > 0 and stride & (stride - 1) == 0 for stride in strides)
        if not powers or strides[:1] != (1,) or list(strides) != sorted(set(strides)):
            raise ConfigError(f"strides is {strides}; expected powers of two, ascending from 1, such as (1, 2, 4, 8)")
        self.strides = strides
        if self.num_heads < 1 or self.dims < 1 or self.dims % self.num_heads or self.dims % 2:
            raise ConfigError(f"dims is {self.dims}; expected an even multiple of num_heads, {self.num_heads}")
        if self.activation not in ACTIVATIONS:
            raise ConfigError(f"activation is {self.activation}; expected one of {', '.join(ACTIVATIONS)}")
        if self.protocol not in ("merv", "videomind"):
            raise ConfigError(f"protocol is {self.protocol}; expected merv or videomind")
        for name, good, expected in (
            ("num_layers", self.num_layers >= 1, "at least 1"),
            ("drop_path", 0 <= self.drop_path < 1, "0 to below 1"),
            ("sample_radius", self.sample_radius > 0, "above 0"),
            ("class_weight", self.class_weight >= 0, "at least 0"),
            ("coordinate_weight", self.coordinate_weight >= 0, "at least 0"),
            ("saliency_weight", self.saliency_weight >= 0, "at least 0"),
            ("nms_threshold", 0 < self.nms_threshold <= 1, "above 0 and at most 1"),
            ("max_moments", self.max_moments >= 1, "at least 1"),
        ):
            if not good:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected {expected}")


class GroundingHead(nn.Module):
    """Finds moments for queries; R rows, one a query, of T steps, padded on the right."""

    def __init__(self, config: GroundingHeadConfig, hidden_size: int) -> None:
        """Make a head for a language model of width `hidden_size`."""
        super().__init__()
        self.config = config
        dims, act = config.dims, config.activation
        self.vis_proj = nn.Sequential(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, dims))
        self.reg_proj = nn.Sequential(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, dims))
        self.vis_norm = nn.LayerNorm(dims)
        self.vis_fuse = nn.ModuleList(
            FusionLayer(dims, config.num_heads, act, config.drop_path) for _ in range(config.num_layers)
        )
        self.vis_emb, self.reg_emb = TypeEmbedding(dims), TypeEmbedding(dims)
        self.pyramid = ConvPyramid(dims, config.strides, act)
        self.class_head, self.coord_head = ConvHead(dims, 1, act), ConvHead(dims, 2, act)
        self.coef = LevelScale(len(config.strides))
        self.bundle_loss = GroundingLoss(
            class_weight=config.class_weight,
            coordinate_weight=config.coordinate_weight,
            saliency_weight=config.saliency_weight,
            radius=config.sample_radius,
            protocol=config.protocol,
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as VideoMind's does: small linear layers, Xavier for convolutions."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=INITIAL_STD)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv1d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            elif isinstance(module, TypeEmbedding):
                nn.init.normal_(module.weights, std=self.config.dims**-0.5)

    def forward(self, steps: Tensor, queries: Tensor, mask: Tensor) -> HeadOutput:
        """Look for the moment of each query; padding has no say.

        Args:
            steps: (R, T, D) visual states, the mean over each time step.
            queries: (R, D) states at the places before `<|reg|>`.
            mask: (R, T) bool, True on real steps, which come first.

        Returns:
            What the head says: of each fusion layer in training, else of the last one.
        """
        dtype = self.vis_norm.weight.dtype
        steps = steps.to(dtype).masked_fill(~mask[..., None], 0)
        joint = self._fuse(steps, queries.to(dtype), mask)
        video, query = joint[:, :, :-1], joint[:, :, -1]
        padded = self.training or self.config.protocol == "merv"
        points = PointGrid.over(mask, self.config.strides, padded=padded)
        logits, distances = self._speak(video.masked_fill(~mask[..., None], 0), points)
        return HeadOutput(video, query, logits, distances, points, mask)

    def _fuse(self, steps: Tensor, queries: Tensor, mask: Tensor) -> Tensor:
        """-> (C, R, T + 1, d), the query last."""
        seen = self.vis_emb(self.vis_proj(steps))
        seen = seen + relative_positions(mask, self.config.dims).to(seen.dtype)
        asked = self.reg_emb(self.reg_proj(queries)[:, None])
        joint, known = torch.cat((seen, asked), dim=1), F.pad(mask, (0, 1), value=True)
        states = []
        for layer in self.vis_fuse:
            joint = layer(joint, known)
            states.append(joint)
        return self.vis_norm(torch.stack(states if self.training else states[-1:]))

    def _speak(self, video: Tensor, points: PointGrid) -> tuple[Tensor, Tensor]:
        """Steps (C, R, T, d), zero where padded -> logits (C, R, P) and distances (C, R, P, 2), float32."""
        copies, missing = len(video), points.sizes[0] - video.shape[2]
        levels = self.pyramid(F.pad(video, (0, 0, 0, missing)).flatten(0, 1))
        logits, distances = [], []
        for number, (level, present) in enumerate(zip(levels, points.levels(), strict=True)):
            present = present.repeat(copies, 1)
            logits.append(self.class_head(level, present).float())
            distances.append(
                self.coef(self.coord_head(level, present).float().clamp(max=MOST_LOG_DISTANCE).exp(), number)
            )
        shape = (copies, video.shape[1])
        return torch.cat(logits, 1).squeeze(-1).unflatten(0, shape), torch.cat(distances, 1).unflatten(0, shape)

    def losses(self, output: HeadOutput, targets: Sequence[Moments]) -> HeadLoss:
        """The three losses of each row, (R,) float32 each; `targets` has one a row."""
        return self.bundle_loss(output, targets)

    def loss(self, output: HeadOutput, targets: Sequence[Moments]) -> Tensor:
        """Their sum, (R,) float32.  VideoMind divides a sample's sum over its rows by the number of these rows."""
        return self.losses(output, targets).total

    def moments(self, output: HeadOutput) -> list[Tensor]:
        """Moments of each row, best first: (K, 3) float32 on the CPU, start and end as parts of the row, and score."""
        config = self.config
        return decode(output, threshold=config.nms_threshold, max_moments=config.max_moments, protocol=config.protocol)
