"""What a grounding head is to say, and how far it is from it: class, coordinates and saliency.

Follows VideoMind's BundleLoss (https://github.com/yeliudev/VideoMind, videomind/model/loss.py): focal loss on points,
L1 on the distances at points inside a moment (https://arxiv.org/abs/1904.01355 is where they come from), and a
contrastive loss that draws the query to a step of the moment.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from merv.data.sample import Moments
from merv.models.qwen2_vl.grounding_points import HeadOutput, PointGrid

Protocol = Literal["merv", "videomind"]
TEMPERATURE, MOST_SCALE = 0.07, 100.0


class HeadLoss(NamedTuple):
    """One loss a row, weighted, (R,) float32 each.  VideoMind's is `total` averaged over a sample's head rows."""

    cls: Tensor
    reg: Tensor
    sal: Tensor

    @property
    def total(self) -> Tensor:
        """(R,) their sum."""
        return self.cls + self.reg + self.sal


class PointTargets(NamedTuple):
    """What points are to say."""

    positive: Tensor
    """(R, P) bool: points with a moment."""
    distances: Tensor
    """(R, P, 2) float32: to its start and end, in strides; meaningless at other points."""


class Wanted(NamedTuple):
    """The moments of R rows, put together."""

    spans: Tensor
    """(R, N, 2) float32, parts of the row."""
    known: Tensor
    """(R, N) bool: rows have different numbers of moments."""
    saliency: Tensor
    """(R, T) float32."""
    positive: Tensor
    """(R,) int64."""


def join(targets: Sequence[Moments], num_steps: int, device: torch.device) -> Wanted:
    """Put the rows' moments together, padded on the right."""
    if not targets:
        return _nothing(num_steps, device)
    longest = max(len(row.saliency) for row in targets)
    assert longest <= num_steps, f"saliency of {longest} steps for rows of {num_steps}"
    spans = [row.spans.float() for row in targets]
    known = [torch.ones(len(row), dtype=torch.bool) for row in spans]
    saliency = pad_sequence([row.saliency.float() for row in targets], batch_first=True)
    return Wanted(
        pad_sequence(spans, batch_first=True).to(device),
        pad_sequence(known, batch_first=True).to(device),
        F.pad(saliency, (0, num_steps - longest)).to(device),
        torch.tensor([row.positive for row in targets]).to(device),
    )


def _nothing(num_steps: int, device: torch.device) -> Wanted:
    spans, known, saliency = (torch.zeros(0, *shape, device=device) for shape in ((1, 2), (1,), (num_steps,)))
    return Wanted(spans, known.bool(), saliency, torch.zeros(0, dtype=torch.int64, device=device))


def point_targets(points: PointGrid, spans: Tensor, known: Tensor, radius: float, protocol: Protocol) -> PointTargets:
    """Give points their moments.

    A point gets a moment that it lies in, not farther than `radius` strides from its middle, and whose farther end is
    as far away as its level is for; of several the shortest.  `merv` adds: only points of real steps get any, and a
    moment that no point fits, such as one between two points, gets the nearest one of the level that half its length
    belongs to, where distances below zero count as zero.  With `videomind` such a moment teaches no coordinates (the
    original stops there), and a padded point at the very end of a short clip may get one.

    Args:
        points: P points for R rows.
        spans: (R, N, 2) start and end in time steps.
        known: (R, N) bool, False on padding.
        radius: in strides.
        protocol: `merv` or `videomind`.
    """
    place, least, most, stride = (column[:, None] for column in points.table.unbind(1))
    start, end = spans[:, None].unbind(-1)
    sides = torch.stack((place - start, end - place), dim=-1)
    middle, reach = (start + end) / 2, radius * stride
    inside = (place >= torch.maximum(middle - reach, start)) & (place <= torch.minimum(middle + reach, end))
    farther = sides.amax(-1)
    allowed = points.valid if protocol == "merv" else points.present
    fits = inside & (farther >= least) & (farther <= most) & known[:, None] & allowed[..., None]
    if protocol == "merv":
        fits = fits | _nearest(points, spans, known & ~fits.any(1))
        sides = sides.clamp(min=0)
    lengths = (end - start).expand_as(fits).masked_fill(~fits, math.inf)
    shortest, chosen = lengths.min(-1)
    distances = sides.gather(2, chosen[..., None, None].expand(-1, -1, 1, 2)).squeeze(2)
    return PointTargets(shortest.isfinite(), distances / stride)


def _nearest(points: PointGrid, spans: Tensor, lost: Tensor) -> Tensor:
    """The valid point nearest to the middle of each lost moment, in the level for its half.  -> (R, P, N) bool."""
    place, least, most, _ = (column[:, None] for column in points.table.unbind(1))
    middle, half = spans.mean(-1)[:, None], (spans[..., 1] - spans[..., 0])[:, None] / 2
    usable = (half >= least) & (half < most) & points.valid[..., None]
    away = (place - middle).abs().masked_fill(~usable, math.inf)
    nearest = F.one_hot(away.argmin(1), len(points.table)).transpose(1, 2).bool()
    return nearest & usable & lost[:, None]


class SaliencyLoss(nn.Module):
    """The query is to be nearest to one step of the moment, among the steps that are no more salient."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([math.log(1 / TEMPERATURE)]))

    def forward(self, output: HeadOutput, wanted: Wanted) -> Tensor:
        """-> (R,), summed over copies."""
        likeness = F.cosine_similarity(output.video.float(), output.query.float()[:, :, None], dim=-1)
        likeness = likeness * self.scale.float().exp().clamp(max=MOST_SCALE)
        place = wanted.positive[:, None]
        rivals = (wanted.saliency <= wanted.saliency.gather(1, place)) & output.mask
        share = likeness.masked_fill(~rivals, -math.inf).log_softmax(-1)
        return -share.gather(2, place.expand(len(share), -1, -1)).squeeze(2).sum(0)


class GroundingLoss(nn.Module):
    """The three losses of a head."""

    def __init__(
        self,
        *,
        class_weight: float,
        coordinate_weight: float,
        saliency_weight: float,
        radius: float,
        protocol: Protocol,
    ) -> None:
        super().__init__()
        self.class_weight, self.coordinate_weight = class_weight, coordinate_weight
        self.saliency_weight = saliency_weight
        self.radius, self.protocol = radius, protocol
        self._loss_sal = SaliencyLoss()

    def forward(self, output: HeadOutput, targets: Sequence[Moments]) -> HeadLoss:
        """Losses of R rows; each is summed over the copies.

        Args:
            output: what the head says.
            targets: what it is to find, one a row.
        """
        device = output.logits.device
        wanted = join(targets, output.mask.shape[1], device)
        spans = wanted.spans * output.lengths[:, None, None]
        goal = point_targets(output.points, spans, wanted.known, self.radius, self.protocol)
        return HeadLoss(
            self.class_weight * focal_loss(output, goal.positive),
            self.coordinate_weight * coordinate_loss(output, goal),
            self.saliency_weight * self._loss_sal(output, wanted),
        )


def focal_loss(output: HeadOutput, positive: Tensor) -> Tensor:
    """Focal loss (https://arxiv.org/abs/1708.02002, gamma 2) averaged over a row's real points.  -> (R,)."""
    signed = torch.where(positive, output.logits, -output.logits)
    loss = -F.logsigmoid(signed) * (-signed).sigmoid().square()
    valid = output.points.valid
    return (loss * valid).sum(2).sum(0) / valid.sum(1).clamp(min=1)


def coordinate_loss(output: HeadOutput, goal: PointTargets) -> Tensor:
    """L1 averaged over the distances of a row's positive points; 0 without any.  -> (R,)."""
    off = (output.distances - goal.distances).abs().sum(-1)
    count = 2 * goal.positive.sum(1)
    return torch.where(goal.positive, off, 0.0).sum(2).sum(0) / count.clamp(min=1)
