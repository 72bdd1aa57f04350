"""The multi-encoder model: frames -> encoders -> projectors -> fusion -> into the text -> LLM -> loss.

Follows MERV (https://arxiv.org/abs/2501.01426, https://github.com/princetonvisualai/merv).  Rows keep the batch's
order, and the same modules run once each whatever mix of videos, images and text a batch holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from merv.backbones.llm.base import LLM
from merv.backbones.video.base import VideoBackbone
from merv.data.sample import Batch
from merv.errors import ConfigError
from merv.models.base import Output, VideoLM
from merv.models.loss import summed_cross_entropy
from merv.models.multi_encoder.encoding import cached_features, features_of
from merv.models.multi_encoder.feature_cache import FeatureCache, encoder_key
from merv.models.multi_encoder.processor import MultiEncoderProcessor
from merv.models.prompted import Prompts
from merv.models.splice import Spliced, insert_visual
from merv.models.stage import StageName

if TYPE_CHECKING:
    from merv.models.multi_encoder.config import MultiEncoderConfig

MIN_TEXT_TOKENS = 8
"""Fewest tokens of text a row must have room for."""


class MultiEncoderLM(VideoLM):
    """Several video encoders, a projector for each, a fusion, and one LLM."""

    config: MultiEncoderConfig
    processor: MultiEncoderProcessor

    def __init__(self, config: MultiEncoderConfig, backbones: list[VideoBackbone], llm: LLM) -> None:
        """Wire the parts; projectors and fusion are drawn from torch's generator.

        Raises:
            ConfigError: the encoders' grids do not fit the projector or the fusion, or leave no room for text.
        """
        super().__init__()
        self.config = config
        self.video_backbones = nn.ModuleList(backbones)
        sizes = {"tokens_per_frame": config.projector_token_length, "output_frames": config.output_frames}
        projectors = [config.projector.build(backbone.grid, llm.dim, **sizes) for backbone in backbones]
        self.projectors = nn.ModuleList(projectors)
        self.fusion = config.fusion.build([projector.num_tokens for projector in projectors], llm.dim)
        self.llm = llm
        self.max_frames = max(backbone.num_frames for backbone in backbones)
        self.processor = MultiEncoderProcessor(
            views=tuple({b.transform.view.name: b.transform.view for b in backbones}.values()),
            num_frames=self.max_frames,
            tokenizer=llm.tokenizer,
            template=llm.template,
            max_text_tokens=self._text_room(),
        )
        self.cache: FeatureCache | None = None

    def _text_room(self) -> int:
        """Tokens of text that fit beside the visual ones."""
        visual, longest = self.fusion.num_tokens, self.llm.max_length
        if longest - visual < MIN_TEXT_TOKENS:
            raise ConfigError(
                f"llm_max_length is {longest}, of which {visual} are visual tokens; "
                f"set it to at least {visual + MIN_TEXT_TOKENS}, or lower visual_feature_length"
            )
        return longest - visual

    def parts(self) -> Mapping[str, nn.Module]:
        """Encoders, projectors, fusion and LLM."""
        return {
            "video_backbones": self.video_backbones,
            "projectors": self.projectors,
            "fusion": self.fusion,
            "llm": self.llm,
        }

    def blocks(self) -> list[nn.Module]:
        """Layers of the encoders and of the LLM."""
        return [block for part in (*self.video_backbones, self.llm) for block in part.blocks()]

    def enter(self, stage: StageName) -> None:
        """The original's align stages show the caption alone, without a prompt."""
        self.processor.caption_only = self.config.protocol == "reference" and stage in ("align", "full-align")

    def whole_parts(self) -> set[str]:
        """With a feature cache a process may need its encoders while the others do not."""
        return set() if self.cache is None else {"video_backbones"}

    def use_feature_cache(self, folder: Path, dtype: torch.dtype) -> None:
        """Keep what the frozen encoders give in `folder`, and take it from there; call it once weights are final.

        Raises:
            ConfigError: an encoder learns.
        """
        if any(parameter.requires_grad for parameter in self.video_backbones.parameters()):
            raise ConfigError(
                "feature_cache keeps features of frozen encoders, but this stage trains them; leave it out"
            )
        parts: Any = zip(self.video_backbones, self.config.backbone_configs(), self.projectors, strict=True)
        keys = tuple(
            encoder_key(backbone, config, reduction=projector.reduction, dtype=dtype, decoded=self.max_frames)
            for backbone, config, projector in parts
        )
        self.cache = self.processor.cache = FeatureCache(folder.resolve(), keys)

    def unpublished_parts(self) -> set[str]:
        """Parts with weights nobody can download: a saved model must hold them."""
        unpublished = {"projectors", "fusion"}
        if not all(config.is_published() for config in self.config.backbone_configs()):
            unpublished.add("video_backbones")
        if not self.config.llm_config().is_published():
            unpublished.add("llm")
        return unpublished

    def visual_tokens(self) -> int:
        """Visual tokens put before the text of a row with frames."""
        return self.fusion.num_tokens

    def stations(self) -> Mapping[str, nn.Module]:
        """Each encoder and projector by itself, the fusion, the LLM."""
        encoders = {f"video_backbones.{i}": module for i, module in enumerate(self.video_backbones)}
        projectors = {f"projectors.{i}": module for i, module in enumerate(self.projectors)}
        return {**encoders, **projectors, "fusion": self.fusion, "llm": self.llm}

    def station_tokens(self, batch: Batch) -> dict[str, int]:
        """An encoder handles its grid (framewise, one frame of a still image); the LLM visual tokens and text."""
        rows, stills = len(batch.num_frames), batch.num_frames.count(1)
        seen = rows - batch.num_frames.count(0)  # the others' features are known
        tokens: dict[str, int] = {}
        pairs: Any = zip(self.video_backbones, self.projectors, strict=True)
        for i, (backbone, projector) in enumerate(pairs):
            grid = backbone.grid
            frames = seen * grid.frames - (stills * (grid.frames - 1) if backbone.framewise else 0)
            tokens[f"video_backbones.{i}"] = frames * grid.tokens_per_frame
            tokens[f"projectors.{i}"] = rows * projector.num_tokens
        visual = rows * self.visual_tokens()
        return {**tokens, "fusion": visual, "llm": visual + int(batch.attention_mask.sum())}

    def forward(self, batch: Batch) -> Output:
        """Cross-entropy of the answers, summed over their tokens."""
        spliced = self.splice(batch)
        # Padding stands on the right, where a causal model never looks: without a mask attention is at its fastest.
        hidden = self.llm(spliced.embeds, None)
        width = batch.labels.shape[1]
        rows, places = batch.targets // width, batch.targets % width
        before = spliced.positions[rows, places] - 1
        loss_sum = summed_cross_entropy(
            hidden[rows, before],  # the head is wide: only where something is learned
            batch.labels[rows, places],
            self.llm.logits,
            vocab_size=self.llm.vocab_size,
        )
        return Output(loss_sum, batch.targets.new_full((), len(batch.targets)))

    @torch.inference_mode()
    def respond(self, batch: Batch, **options: Any) -> list[str]:
        """Answers to left-padded prompts; `options` are those of transformers' generate."""
        spliced = self.splice(batch, pad="left")
        ids = self.llm.generate(spliced.embeds, spliced.attention_mask, **options)
        return [text.strip() for text in self.llm.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def stream(self, batch: Batch, **options: Any) -> Iterator[str]:
        """The answer to a batch of one prompt, word by word."""
        with torch.inference_mode():
            spliced = self.splice(batch, pad="left")
        return self.llm.stream(spliced.embeds, spliced.attention_mask, **options)

    def prompts(self, batch: Batch) -> Prompts:
        """Left-padded prompts with their visual tokens, every clip encoded once."""
        spliced = self.splice(batch, pad="left")
        return Prompts(spliced.embeds, spliced.attention_mask)

    def splice(self, batch: Batch, pad: Any = "right") -> Spliced:
        """Text embeddings with the visual tokens in their place."""
        visual = self.encode(batch)
        return insert_visual(
            self.llm.embed(batch.input_ids),
            visual if batch.shows is None else visual[batch.shows],
            batch.visual_rows,
            labels=batch.labels,
            attention_mask=batch.attention_mask,
            after=self.llm.visual_position,
            pad=pad,
        )

    def encode(self, batch: Batch) -> Tensor:
        """Visual tokens of the rows with frames, (V, visual_tokens, D); of one black frame when there are none.

        The black frame keeps the graph: a rank that drew text alone runs the same modules as the others.
        """
        pairs: Any = list(zip(self.video_backbones, self.projectors, strict=True))
        if self.cache is None:
            return self.fusion([projector(features_of(backbone, batch)) for backbone, projector in pairs]).tokens
        tokens = [
            projector.project(cached_features(self.cache, number, backbone, projector, batch))
            for number, (backbone, projector) in enumerate(pairs)
        ]
        return self.fusion(tokens).tokens
