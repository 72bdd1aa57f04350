"""Any image-text model of transformers as a `VideoLM`: its own forward pass, our loss, adapters and freezing.

The model stays whole, under transformers' own names, so that what is trained is a Hugging Face folder again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from merv.backbones.llm.attention import causal_without_mask
from merv.backbones.llm.base import refuse_nan, stream_from
from merv.backbones.llm.loading import forget_sampling
from merv.data.sample import Batch
from merv.errors import ConfigError
from merv.models.base import Output, VideoLM
from merv.models.hf_vlm.adapter_files import adapter_config_of
from merv.models.hf_vlm.batch import HfBatch
from merv.models.hf_vlm.experts import expert_loss, find_routers, routed
from merv.models.hf_vlm.language import Language, check_head, end_ids_of, prompts_of
from merv.models.hf_vlm.layout import blocks_of, decoder_layers, parts_of, vision_of
from merv.models.hf_vlm.lora_targets import Targets, check_places, find_targets
from merv.models.hf_vlm.processor import HfProcessor
from merv.models.lora import add_lora, learn_adapter, merge_lora, set_dropout
from merv.models.loss import summed_cross_entropy
from merv.models.prompted import Prompts
from merv.models.stage import LoraConfig, StageName

if TYPE_CHECKING:
    from merv.models.hf_vlm.config import HfVlmConfig

LEARNING: dict[str, tuple[str, ...]] = {
    "align": ("projector",),
    "full-align": ("projector", "llm"),
    "finetune": ("projector", "llm"),
    "full-finetune": ("vision", "projector", "llm"),
}
"""Parts a stage trains unless `freeze_vision`, `freeze_projector` or `freeze_llm` say otherwise."""


class HfVlm(VideoLM):
    """A vision-language model of transformers."""

    config: HfVlmConfig
    processor: HfProcessor
    adapted_parts = ("vision", "projector", "llm")
    row_loss_name = "expert_loss"
    some_rest = True

    def __init__(self, config: HfVlmConfig, model: Any, processor: HfProcessor, base: Path) -> None:
        """Take a model as it was loaded.

        Args:
            config: the family's options.
            model: of transformers, for image-text-to-text.
            processor: makes its inputs.
            base: the folder it was loaded from.

        Raises:
            ConfigError: it has no vision tower or no decoder, or a layer to freeze is not there.
        """
        super().__init__()
        self.config = config
        self.processor = processor
        self.base = base
        self.base_name = config.path if config.local is None else str(base.absolute())
        self.published_generation = model.generation_config
        self._ends = end_ids_of(model, processor.processor)
        self.adapter: LoraConfig | None = None
        """The adapters it wears; None without."""
        self.take(model)

    def take(self, model: Any) -> None:
        """Be another model of the same kind, such as one an earlier run left."""
        forget_sampling(model)
        parts_of(model)
        decoder_layers(model, self.config.freeze_llm_layers)
        self.model = model
        self.plain_head = check_head(model)
        self.routers = find_routers(model)
        language = Language(model, self.processor.tokenizer, self._ends, max_length=self.config.max_length)
        self.__dict__["_language"] = language  # not a submodule: it is another view of `model`

    @property
    def language(self) -> Language:
        """Decoder and head, driven by embeddings."""
        return self.__dict__["_language"]

    def parts(self) -> Mapping[str, nn.Module]:
        """Vision tower, projector, decoder with head; a projector that stands in the tower is in both."""
        return parts_of(self.model)

    def blocks(self) -> list[nn.Module]:
        """Layers of the vision tower and of the decoder."""
        parts = self.parts()
        return [*blocks_of(parts["vision"]), *blocks_of(parts["llm"])]

    def learning_parts(self, stage: StageName) -> list[str]:
        """Names of the parts a stage trains.

        Raises:
            ConfigError: options freeze all of them.
        """
        said = {name: getattr(self.config, f"freeze_{name}") for name in ("vision", "projector", "llm")}
        learning = [n for n, frozen in said.items() if (n in LEARNING[stage] if frozen is None else not frozen)]
        if not learning:
            frozen = ", ".join(f"freeze_{name}" for name in said if said[name])
            raise ConfigError(f"stage {stage} trains no part of the model with {frozen}; leave one of them out")
        return learning

    def freeze_within(self) -> None:
        """Freeze the layers `freeze_llm_layers` names."""
        for layer in decoder_layers(self.model, self.config.freeze_llm_layers):
            layer.requires_grad_(False)

    def add_adapters(self, lora: LoraConfig) -> None:
        """Put adapters where the target modules stand in what is not frozen.

        Raises:
            ConfigError: a target is not there, all of them are frozen, or an adapter to go on with has others.
        """
        targets = find_targets(self.model, lora.target_modules)
        if self.adapter is not None:  # of an earlier run
            there = adapter_config_of(self.model)
            check_places(targets, Targets(list(there.target_modules), list(there.target_parameters or ())))
            learn_adapter(self.model, "default")
            set_dropout(self.model, "default", lora.dropout)
            return
        self.adapter = replace(lora, target_modules=targets.modules)
        add_lora(self.model, self.adapter, parameters=targets.parameters)

    def computes_in(self, dtype: torch.dtype) -> None:
        """Pixels travel in the type they are computed in."""
        self.processor.pixel_dtype = dtype

    def wears(self, lora: LoraConfig) -> None:
        """Know that the model wears an adapter, so that it can learn on."""
        self.adapter = lora

    def settle_adapters(self) -> None:
        """Adapters become part of the weights."""
        merge_lora(self.model)
        self.adapter = None

    def station_tokens(self, batch: Batch) -> dict[str, int]:
        """Patches for the tower, visual tokens for the projector, all tokens for the language model."""
        assert isinstance(batch, HfBatch)
        visual = sum(batch.visual_tokens)
        return {"vision": self._patches(batch) or visual, "projector": visual, "llm": int(batch.attention_mask.sum())}

    def _patches(self, batch: HfBatch) -> int:
        """Patches the tower looks at."""
        grids = [t for name, t in batch.frames.items() if name.endswith("grid_thw")]
        if grids:
            return sum(int(grid.prod(-1).sum()) for grid in grids)
        pixels, vision = batch.frames.get("pixel_values"), vision_of(self.model)
        size = getattr(getattr(vision, "config", None), "patch_size", None)
        return pixels.numel() // (3 * size**2) if pixels is not None and isinstance(size, int) else 0

    def forward(self, batch: Batch) -> Output:
        """Cross-entropy of the answers summed over tokens, and the experts' losses where they have a weight."""
        assert isinstance(batch, HfBatch)
        weights = self.config.expert_weights
        with routed(self.routers if weights else []) as seen:
            hidden, loss_sum = self._learn(batch)
        if batch.stand_in is not None:  # every process runs the same modules, whatever its rows show
            loss_sum = loss_sum + 0 * hidden[batch.stand_in].sum()
        row_loss = None
        if seen:
            loss = expert_loss(seen, batch.own_tokens().flatten(), **weights)
            row_loss = loss * batch.size
        return Output(loss_sum, batch.targets.new_full((), len(batch.targets)), row_loss)

    def _learn(self, batch: HfBatch) -> tuple[Tensor, Tensor]:
        """States (or logits) of all positions, and the summed loss.  Padding stands right, where nobody looks."""
        width = batch.labels.shape[1]
        rows, places = batch.targets // width, batch.targets % width
        words = batch.labels[rows, places]
        with causal_without_mask(self.model.get_decoder().config):
            if self.plain_head:
                hidden = self.model.base_model(**batch.inputs(), use_cache=False).last_hidden_state
                head = self.model.get_output_embeddings()
            else:
                hidden, head = self.model(**batch.inputs(), use_cache=False).logits, nn.Identity()
        vocab_size = self.language.vocab_size
        return hidden, summed_cross_entropy(hidden[rows, places - 1], words, head, vocab_size=vocab_size)

    def prompts(self, batch: Batch) -> Prompts:
        """What the decoder is given for left-padded prompts."""
        assert isinstance(batch, HfBatch)
        found = prompts_of(self.model, batch.inputs(), batch.attention_mask)
        if batch.beside is None:
            return found
        beside = prompts_of(self.model, batch.beside.inputs(), batch.beside.attention_mask)
        return replace(found, embeds=found.embeds + 0 * beside.embeds.sum())  # every process runs the same modules

    @torch.inference_mode()
    def respond(self, batch: Batch, **options: Any) -> list[str]:
        """Answers to left-padded prompts."""
        assert isinstance(batch, HfBatch)
        written = self.model.generate(**self._generation(batch), **options)[:, batch.input_ids.shape[1] :]
        return [text.strip() for text in self.processor.tokenizer.batch_decode(written, skip_special_tokens=True)]

    def stream(self, batch: Batch, **options: Any) -> Iterator[str]:
        """The answer to a batch of one prompt, word by word."""
        assert isinstance(batch, HfBatch)
        inputs = {**self._generation(batch), **options}

        def generate(streamer: Any) -> None:
            with torch.inference_mode():
                self.model.generate(**inputs, streamer=streamer)

        return stream_from(self.processor.tokenizer, generate, skip_prompt=True)

    def _generation(self, batch: HfBatch) -> dict[str, Any]:
        from transformers import LogitsProcessorList

        ends = {"pad_token_id": self.processor.tokenizer.pad_token_id, "eos_token_id": self._ends}
        return {
            **batch.inputs(),
            "attention_mask": batch.attention_mask.long(),
            **ends,
            "logits_processor": LogitsProcessorList([refuse_nan]),
        }
