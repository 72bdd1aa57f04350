"""Whether a Megatron checkpoint computes what the Hugging Face model does: both on one batch, in float32.

The Hugging Face model's weights are rounded to the checkpoint's type first, so that what is left of a difference is
the order of sums, and a wrong tensor cannot hide behind rounding; what rounding itself does is told beside it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from merv import runtime
from merv.backbones.llm.loading import load_model
from merv.export.gpt import alone, build_gpt, check_computes
from merv.export.hf_folder import HfFolder
from merv.export.megatron_files import Layout, MegatronWeights, rank_state

NUM_TOKENS = 48
PATCHES = (4, 6)
"""Rows and columns of an image, in tokens."""
LIMIT = 1e-4
"""Of the largest difference, relative to the largest logit: float32 sums of thousands of terms stay below it."""


@dataclass(frozen=True)
class Batch:
    """What both models see."""

    ids: Tensor
    """(1, L)."""
    vision: dict[str, Tensor]
    """Arguments for the vision tower; empty for a plain language model."""
    is_visual: Tensor
    """(1, L), where the tower's tokens stand."""


@dataclass(frozen=True)
class Trace:
    """What a model computed, on the CPU."""

    logits: Tensor
    """(1, L, vocabulary)."""
    layers: list[Tensor]
    """Output of each layer, (1, L, D)."""
    embeds: Tensor
    """What went into the first layer, (1, L, D)."""
    positions: Tensor
    """(1, L), or (3, 1, L) for time, row and column."""


@dataclass(frozen=True)
class Precision:
    """The outcome."""

    difference: float
    """The largest of any logit."""
    limit: float
    rounding: float
    """What the checkpoint's type alone changes of any logit, at most."""
    layers: list[tuple[str, float]]
    """The largest difference of the embeddings and of each layer's output."""

    @property
    def passed(self) -> bool:
        """Whether the difference is within the limit; one that is no number is not."""
        return self.difference <= self.limit

    def lines(self) -> Iterator[str]:
        """For people: one line, and one for each layer where the test failed."""
        verdict = "passed" if self.passed else "FAILED"
        yield (
            f"precision test {verdict}: largest logit difference {self.difference:.2e}, limit {self.limit:.2e} "
            f"(rounding the weights alone: {self.rounding:.2e})"
        )
        if not self.passed:
            yield from (f"  {name}: {difference:.2e}" for name, difference in self.layers)


def check_precision(weights: MegatronWeights, original: HfFolder, seed: int = 0) -> Precision:
    """Run both models; the checkpoint's ranks are joined to one.

    Args:
        weights: of the checkpoint.
        original: the folder it was made of.
        seed: draws tokens and pixels.

    Raises:
        ConfigError: megatron-core is not installed, or cannot compute such a model.
    """
    check_computes(original.config)
    device = runtime.device()
    with alone(device), torch.inference_mode():
        batch = draw(original.config, original.sizes.vocab_size, seed, device)
        exact, theirs = _of_transformers(original, weights.dtype, batch)
        ours = _of_megatron(weights, batch, theirs)
    names = ["embeddings", *(f"layer {number}" for number in range(len(ours.layers)))]
    pairs = zip([theirs.embeds, *theirs.layers], [ours.embeds, *ours.layers], strict=True)
    return Precision(
        difference=_largest(theirs.logits, ours.logits),
        limit=LIMIT * max(1.0, theirs.logits.abs().max().item()),
        rounding=_largest(exact, theirs.logits),
        layers=[(name, _largest(*pair)) for name, pair in zip(names, pairs, strict=True)],
    )


def draw(config: Any, vocab_size: int, seed: int, device: torch.device) -> Batch:
    """Random tokens; for a vision-language model with an image of random pixels among them."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(vocab_size, (1, NUM_TOKENS), generator=generator)
    is_visual = torch.zeros_like(ids, dtype=torch.bool)
    tower = getattr(config, "vision_config", None)
    if tower is None:
        return Batch(ids.to(device), {}, is_visual.to(device))
    marks = {config.image_token_id, config.video_token_id, config.vision_start_token_id, config.vision_end_token_id}
    plain = next(token for token in range(vocab_size) if token not in marks)
    ids[torch.isin(ids, torch.tensor(sorted(marks)))] = plain
    rows, columns = PATCHES
    first = NUM_TOKENS // 4
    ids[0, first - 1] = config.vision_start_token_id
    ids[0, first + rows * columns] = config.vision_end_token_id
    is_visual[0, first : first + rows * columns] = True
    ids[is_visual] = config.image_token_id
    merge = tower.spatial_merge_size
    width = getattr(tower, "in_channels", 3) * tower.temporal_patch_size * tower.patch_size**2
    pixels = torch.randn(rows * columns * merge**2, width, generator=generator)
    vision = {
        "pixel_values": pixels,
        "image_grid_thw": torch.tensor([[1, rows * merge, columns * merge]]),
        "mm_token_type_ids": is_visual.int(),
    }
    return Batch(ids.to(device), {name: tensor.to(device) for name, tensor in vision.items()}, is_visual.to(device))


def _of_transformers(original: HfFolder, dtype: torch.dtype, batch: Batch) -> tuple[Tensor, Trace]:
    """Logits of the weights as they are, and everything with weights rounded to `dtype`."""
    family = "AutoModelForImageTextToText" if original.vision else "AutoModelForCausalLM"
    model = load_model(original.folder, dtype="float32", attention="sdpa", what="model", family=family)
    model.to(batch.ids.device).eval()
    text = getattr(model.model, "language_model", model.model)
    options = {"attention_mask": torch.ones_like(batch.ids), "use_cache": False, **batch.vision}
    exact = model(input_ids=batch.ids, **options).logits.cpu()
    for parameter in model.parameters():
        parameter.copy_(parameter.to(dtype))
    seen: dict[str, Any] = {}
    hook = text.layers[0].register_forward_pre_hook(_note(seen), with_kwargs=True)
    inner = text.register_forward_pre_hook(_note_positions(seen), with_kwargs=True)
    with hook, inner, _outputs(text.layers, lambda out: out) as layers:
        logits = model(input_ids=batch.ids, **options).logits.cpu()
    positions = seen["positions"]
    if positions is None:
        positions = torch.arange(batch.ids.shape[1], device=batch.ids.device)[None]
    elif positions.ndim == 3:  # transformers puts the positions of plain text before those in time, row and column
        positions = positions[-3:]
    return exact, Trace(logits, layers, seen["embeds"].cpu(), positions)


def _note(seen: dict[str, Any]) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
        seen["embeds"] = args[0] if args else kwargs["hidden_states"]

    return hook


def _note_positions(seen: dict[str, Any]) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
        seen["positions"] = kwargs.get("position_ids")

    return hook


def _of_megatron(weights: MegatronWeights, batch: Batch, theirs: Trace) -> Trace:
    """GPTModel with the words' embeddings of its own, and the visual tokens of the other model."""
    hf = weights.hf
    state = rank_state(weights, 0, 0, Layout(divisible_by=1), torch.float32)
    model = build_gpt(hf, state)
    del state
    model.to(batch.ids.device)
    words = model.embedding(input_ids=batch.ids, position_ids=None).transpose(0, 1)  # Megatron: (L, 1, D)
    embeds = torch.where(batch.is_visual[..., None], theirs.embeds.to(words.device), words)
    length = batch.ids.shape[1]
    hidden = torch.ones(1, 1, length, length, dtype=torch.bool, device=batch.ids.device).triu(1)
    with _outputs(model.decoder.layers, lambda out: out.transpose(0, 1)) as layers:
        logits = model(
            input_ids=batch.ids,
            position_ids=theirs.positions,
            attention_mask=hidden,
            decoder_input=embeds.transpose(0, 1).contiguous(),
        )
    return Trace(logits.cpu(), layers, embeds.cpu(), theirs.positions)


@contextmanager
def _outputs(layers: nn.ModuleList, as_rows: Callable[[Tensor], Tensor]) -> Iterator[list[Tensor]]:
    """Within it the outputs of layers are kept, as (1, L, D) on the CPU."""
    found: list[Tensor] = []

    def keep(module: nn.Module, args: Any, out: Any) -> None:
        found.append(as_rows(out[0] if isinstance(out, tuple) else out).cpu())

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _largest(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()
