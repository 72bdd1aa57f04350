"""From what a grounding head says at its points to moments: boxes in time, best first, without near copies.

`videomind` is the published procedure to the letter (https://github.com/yeliudev/VideoMind, videomind/model/model.py);
`merv` keeps boxes within the clip and leaves suppressed ones out.
"""

import torch
from torch import Tensor

from merv.models.qwen2_vl.grounding_loss import Protocol
from merv.models.qwen2_vl.grounding_points import HeadOutput


def decode(output: HeadOutput, *, threshold: float, max_moments: int, protocol: Protocol) -> list[Tensor]:
    """Moments of each row, best first.

    Args:
        output: what the head says.
        threshold: of two boxes whose intersection over union reaches it, the better one counts.
        max_moments: most boxes of a row.
        protocol: `merv`: starts and ends are in order and in 0..1, near copies of better boxes are left out.
            `videomind`: boxes may reach beyond the clip, near copies stay with score 0.

    Returns:
        For each row (K, 3) float32 on the CPU: start and end as parts of the row, score.
    """
    place, _, _, stride = (column.cpu() for column in output.points.table.unbind(1))
    distances, scores = output.distances[-1].detach().float().cpu(), output.scores.detach().float().cpu()
    steps = distances * torch.tensor([-1.0, 1.0]) * stride[:, None] + place[:, None]
    boxes = torch.cat((steps / output.lengths.cpu().clamp(min=1)[:, None, None], scores[..., None]), dim=-1)
    suppress = suppress_published if protocol == "videomind" else _suppress_inside
    valid = output.points.valid.cpu()
    return [suppress(row[kept], threshold, max_moments) for row, kept in zip(boxes, valid, strict=True)]


def _suppress_inside(boxes: Tensor, threshold: float, max_moments: int) -> Tensor:
    """Keep boxes within the clip, then take out near copies."""
    ends = boxes[:, :2].clamp(0, 1).sort(dim=1).values
    return suppress_copies(torch.cat((ends, boxes[:, 2:]), dim=1), threshold, max_moments)


def suppress_copies(boxes: Tensor, threshold: float, max_moments: int) -> Tensor:
    """Take the best box, drop those it overlaps by `threshold` or more, and go on.  (P, 3) -> (K, 3), best first."""
    waiting = boxes[boxes[:, 2].argsort(descending=True, stable=True)]
    kept: list[Tensor] = []
    while len(waiting) and len(kept) < max_moments:
        kept.append(waiting[0])
        waiting = waiting[1:][overlap(waiting[0], waiting[1:]) < threshold]
    return torch.stack(kept) if kept else boxes[:0]


def suppress_published(boxes: Tensor, threshold: float, max_moments: int) -> Tensor:
    """The original's loop: at every place the best box left moves there by a swap, and its copies' scores become 0.

    Swaps and their order decide where boxes of score 0 end up.  (P, 3) -> (K, 3).
    """
    boxes = boxes[boxes[:, 2].sort(descending=True).indices]
    for place in range(len(boxes)):
        best = place + int(boxes[place:, 2].argmax())
        boxes[[place, best]] = boxes[[best, place]]
        rest = boxes[place + 1 :]
        rest[overlap(boxes[place], rest) >= threshold, 2] = 0
    return boxes[:max_moments]


def overlap(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union with each of `boxes`; 0 for boxes without length.  (3,), (K, 3) -> (K,)."""
    shared = (torch.minimum(box[1], boxes[:, 1]) - torch.maximum(box[0], boxes[:, 0])).clamp(min=0)
    union = (box[1] - box[0]) + (boxes[:, 1] - boxes[:, 0]) - shared
    return torch.where(union > 0, shared / union, 0.0)
