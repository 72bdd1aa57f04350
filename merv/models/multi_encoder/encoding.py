"""The frames of a batch through one encoder, or what a feature cache knows of them."""

from typing import Any

import torch
from torch import Tensor

from merv.data.sample import Batch
from merv.models.multi_encoder.feature_cache import FeatureCache
from merv.models.multi_encoder.frames import clip_indices, expand_indices, take
from merv.models.projector_modules import Projector


def features_of(backbone: Any, batch: Batch) -> Tensor:
    """Features of every row with frames, (V, T, N, D), from one call of the encoder; without a graph if it is frozen.

    Of a black frame when no row has any.
    """
    view = backbone.transform.view
    counts, pixels = tuple(count for count in batch.num_frames if count), batch.frames.get(view.name)
    if pixels is None:
        counts = (1,)
        pixels = batch.input_ids.new_zeros((1, 3, view.size, view.size), dtype=torch.uint8)
    learns = any(parameter.requires_grad for parameter in backbone.parameters())
    with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
        return _encode(backbone, pixels, counts)


def _encode(backbone: Any, pixels: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Clips of `counts` frames each.  uint8 (sum(counts), 3, S, S) -> (len(counts), T, N, D)."""
    parameter = next(backbone.parameters(), None)
    dtype = torch.float32 if parameter is None else parameter.dtype
    rows, frames = len(counts), backbone.num_frames
    if backbone.framewise:  # a still image passes once; its features are repeated instead
        seen = take(pixels, clip_indices(counts, frames, repeat_images=False))
        features = backbone(backbone.transform.normalise(seen, dtype)[None])[0]
        return take(features, expand_indices(counts, frames)).unflatten(0, (rows, frames))
    clips = take(pixels, clip_indices(counts, frames, repeat_images=True)).unflatten(0, (rows, frames))
    return backbone(backbone.transform.normalise(clips, dtype))


def cached_features(cache: FeatureCache, number: int, backbone: Any, projector: Projector, batch: Batch) -> Tensor:
    """What the cache keeps of encoder `number`, for every row with frames: known, or made now and kept.  (V, ...)."""
    known, counts = batch.features.get(number), batch.num_frames
    if known is not None and not any(counts):
        return known
    with torch.no_grad():
        made = projector.reduce(features_of(backbone, batch))
    for clip, features in zip(batch.clip_keys, made, strict=False):
        if clip:
            cache.write(number, clip, features)
    return made if known is None else take(torch.cat([made, known.to(made.dtype)]), _merged_order(counts))


def _merged_order(counts: tuple[int, ...]) -> list[int]:
    """Rows in the batch's order, out of those with frames followed by those without."""
    shown, known = 0, sum(count > 0 for count in counts)
    order = []
    for count in counts:
        order.append(shown if count else known)
        shown, known = (shown + 1, known) if count else (shown, known + 1)
    return order
