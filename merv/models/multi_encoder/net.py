"""The multi-encoder model: frames -> encoders -> projectors -> fusion -> into the text -> LLM -> loss.

Follows MERV (https://arxiv.org/abs/2501.01426, https://github.com/princetonvisualai/merv).  Rows keep the batch's
order, and the same modules run once each whatever mix of videos, images and text a batch holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from merv.backbones.llm.base import LLM
from merv.backbones.video.base import VideoBackbone
from merv.data.sample import IGNORE_INDEX, Batch
from merv.errors import ConfigError
from merv.models.base import Output, VideoLM
from merv.models.multi_encoder.frames import clip_indices, expand_indices
from merv.models.multi_encoder.processor import MultiEncoderProcessor
from merv.models.splice import Spliced, insert_visual

if TYPE_CHECKING:
    from merv.models.multi_encoder.config import MultiEncoderConfig

MIN_TEXT_TOKENS = 8
"""Fewest tokens of text a row must have room for."""


class MultiEncoderLM(VideoLM):
    """Several video encoders, a projector for each, a fusion, and one LLM."""

    config: MultiEncoderConfig

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

    def unpublished_parts(self) -> set[str]:
        """Parts with weights nobody can download: a saved model must hold them."""
        unpublished = {"projectors", "fusion"}
        if not all(config.pretrained for config in self.config.backbone_configs()):
            unpublished.add("video_backbones")
        if not self.config.llm_config().pretrained:
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
        tokens: dict[str, int] = {}
        pairs: Any = zip(self.video_backbones, self.projectors, strict=True)
        for i, (backbone, projector) in enumerate(pairs):
            grid = backbone.grid
            frames = rows * grid.frames - (stills * (grid.frames - 1) if backbone.framewise else 0)
            tokens[f"video_backbones.{i}"] = frames * grid.tokens_per_frame
            tokens[f"projectors.{i}"] = rows * projector.num_tokens
        visual = rows * self.visual_tokens()
        return {**tokens, "fusion": visual, "llm": visual + int(batch.attention_mask.sum())}

    def forward(self, batch: Batch) -> Output:
        """Cross-entropy of the answers, summed over their tokens."""
        spliced = self.splice(batch)
        hidden = self.llm(spliced.embeds, spliced.attention_mask)
        targets = spliced.labels[:, 1:]
        learned = targets != IGNORE_INDEX
        logits = self.llm.logits(hidden[:, :-1][learned])  # the head is wide: only where something is learned
        loss_sum = nn.functional.cross_entropy(logits.float(), targets[learned], reduction="sum")
        return Output(loss_sum, learned.sum())

    @torch.inference_mode()
    def generate(self, batch: Batch, **options: Any) -> list[str]:
        """Answers to left-padded prompts; `options` are those of transformers' generate."""
        spliced = self.splice(batch, pad="left")
        ids = self.llm.generate(spliced.embeds, spliced.attention_mask, **options)
        return [text.strip() for text in self.llm.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def splice(self, batch: Batch, pad: Any = "right") -> Spliced:
        """Text embeddings with the visual tokens in their place."""
        return insert_visual(
            self.llm.embed(batch.input_ids),
            self.encode(batch),
            batch.visual_rows,
            labels=batch.labels,
            attention_mask=batch.attention_mask,
            after=1,
            pad=pad,
        )

    def encode(self, batch: Batch) -> Tensor:
        """Visual tokens of the rows with frames, (V, visual_tokens, D); of one black frame when there are none.

        The black frame keeps the graph: a rank that drew text alone runs the same modules as the others.
        """
        pairs = zip(self.video_backbones, self.projectors, strict=True)
        return self.fusion([projector(self._features(backbone, batch)) for backbone, projector in pairs]).tokens

    def _features(self, backbone: Any, batch: Batch) -> Tensor:
        """Features of every row with frames, (V, T, N, D), from one call of the encoder."""
        view = backbone.transform.view
        counts, pixels = batch.num_frames, batch.frames.get(view.name)
        if pixels is None:
            counts = (1,)
            pixels = batch.input_ids.new_zeros((1, 3, view.size, view.size), dtype=torch.uint8)
        if backbone.framewise:  # a still image passes once; its features are repeated instead
            chosen = clip_indices(counts, backbone.num_frames, repeat_images=False)
            features = backbone(backbone.transform.normalise(pixels[_index(chosen, pixels)])[None])[0]
            return features[_index(expand_indices(counts, backbone.num_frames), pixels)].unflatten(
                0, (len(counts), backbone.num_frames)
            )
        chosen = clip_indices(counts, backbone.num_frames, repeat_images=True)
        clips = pixels[_index(chosen, pixels)].unflatten(0, (len(counts), backbone.num_frames))
        return backbone(backbone.transform.normalise(clips))


def _index(indices: list[int], like: Tensor) -> Tensor:
    return torch.tensor(indices, device=like.device)
