"""Between the language model and the grounding head: which states it reads, and seconds out of what it finds."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from merv.data.sample import Moments
from merv.models.qwen2_vl.batch import RoleBatch
from merv.models.qwen2_vl.finite import refuse_not_finite
from merv.models.qwen2_vl.grounding_points import HeadOutput
from merv.models.qwen2_vl.roles import ROLES

Spans = tuple[tuple[float, float, float], ...]


def learn_moments(head: Any, states: Tensor, batch: RoleBatch, geometry: Any) -> Tensor:
    """Loss of the grounding head, summed over the rows that have moments; the mean over a row's calls counts.

    A batch without such rows gives 0 with the same graph.  (B, L, D) -> ().
    """
    rows = [(row, place) for row, found in enumerate(batch.moments) if found is not None for place in batch.calls[row]]
    if not rows:
        step = states[:1, :1]
        mask = torch.ones(1, 1, dtype=torch.bool, device=states.device)
        nothing = Moments(step.new_tensor([[0.0, 1.0]]), step.new_ones(1), 0)
        return 0 * head.loss(head(step, step[:, 0], mask), [nothing]).sum()
    steps = [_steps(states, batch, row, geometry) for row, _ in rows]
    queries = torch.stack([states[row, place] for row, place in rows])
    targets: list[Any] = [batch.moments[row] for row, _ in rows]
    losses = head.loss(_run(head, steps, queries), targets)
    shares = torch.tensor([1 / len(batch.calls[row]) for row, _ in rows], device=losses.device)
    return (losses * shares).sum()


def read_moments(
    heads: Mapping[str, nn.Module] | Any, seen: Sequence[Tensor], written: Tensor, batch: RoleBatch, processor: Any
) -> list[Spans | None]:
    """Moments of each row in seconds, best first; None where the head was not called.

    Args:
        heads: grounding heads by role.
        seen: states before the last norm: of the prompt (B, L, D), then of one new token after the other (B, 1, D).
        written: (B, N) new tokens.
        batch: the prompts.
        processor: knows the call's token and how frames are cut.

    Raises:
        RunStopped: a head says something that is not finite.
    """
    found: list[Spans | None] = [None] * batch.size
    calls = (written == processor.ids.reg).int()
    called = calls.any(1).tolist()
    first = calls.argmax(1).tolist()  # the first call counts
    for role in sorted(set(batch.roles)):
        rows = [
            row
            for row, name in enumerate(batch.roles)
            if name == role and called[row] and role in heads and batch.first_video[row] >= 0
        ]
        if not rows:
            continue
        assert ROLES[role].has_head
        # The state that said the call: of the prompt's last token for the first word, of the word before for others.
        queries = torch.stack([seen[first[row]][row, -1] for row in rows])
        steps = [_steps(seen[0], batch, row, processor.geometry) for row in rows]
        head: Any = heads[role]
        said: HeadOutput = _run(head, steps, queries)
        # Boxes would hide it: they are cut to the clip.
        refuse_not_finite(f"logits and distances of the {role}'s head", said.logits, said.distances)
        for row, boxes in zip(rows, head.moments(said), strict=True):
            found[row] = _seconds(boxes, batch, row)
    return found


def _steps(states: Tensor, batch: RoleBatch, row: int, geometry: Any) -> Tensor:
    """States of a row's video, the mean over each time step.  (B, L, D) -> (T, D)."""
    clip = batch.clip_of(row)
    assert clip is not None, "a row with moments shows a video"
    grid, start = batch.grids[clip], batch.first_video[row]
    each = geometry.tokens(grid)
    tokens = states[row, start : start + grid[0] * each]
    return tokens.unflatten(0, (grid[0], each)).float().mean(1).to(states.dtype)


def _run(head: Any, steps: Sequence[Tensor], queries: Tensor) -> Any:
    """The head on rows of different length."""
    padded = nn.utils.rnn.pad_sequence(list(steps), batch_first=True)
    lengths = torch.tensor([len(row) for row in steps], device=queries.device)
    mask = torch.arange(padded.shape[1], device=queries.device) < lengths[:, None]
    return head(padded, queries, mask)


def _seconds(boxes: Tensor, batch: RoleBatch, row: int) -> Spans:
    """Parts of what is shown as seconds of the video, inside it and in order."""
    shown = batch.shown[row]
    assert shown is not None, "a row with a video knows which seconds it shows"
    times = (boxes[:, :2].float().clamp(0, 1).sort(1).values * shown.duration + shown.start).tolist()
    return tuple((start, end, score) for (start, end), score in zip(times, boxes[:, 2].tolist(), strict=True))
