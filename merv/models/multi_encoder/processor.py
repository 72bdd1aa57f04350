"""Sample to example to batch for the multi-encoder family: one decode, uint8 views, token ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from merv.backbones.llm.prompts import Template
from merv.chat import without_media_marks
from merv.data.sample import IGNORE_INDEX, Batch, Example, Sample
from merv.errors import SampleError
from merv.models.base import Processor
from merv.models.collating import distinct, padded
from merv.models.multi_encoder.feature_cache import FeatureCache
from merv.models.seen import Seen
from merv.video.media import MediaRef
from merv.video.places import is_present
from merv.video.transforms import View


@dataclass
class MultiEncoderProcessor(Processor):
    """Decodes a clip once for all encoders and ships bytes; normalisation happens on the accelerator."""

    views: tuple[View, ...]
    """The distinct views the encoders want; encoders with equal views share one tensor."""
    num_frames: int
    """Frames decoded of a clip: what the most demanding encoder sees."""
    tokenizer: Any
    template: Template
    max_text_tokens: int
    """Tokens of text a row may have beside its visual tokens."""
    cache: FeatureCache | None = None
    """Where features of clips may be known already."""
    caption_only: bool = False
    """Whether a training row is its answer alone, as in the original's align stage."""

    def prepare(self, sample: Sample, *, answer: bool = True) -> Example:
        """Decode and tokenise; a text that is too long is cut at the end.

        Raises:
            SampleError: more than one medium, an unreadable one, turns out of order, or no answer left after the cut.
        """
        ids, labels = self._text(sample, answer)  # first: it costs nothing to refuse
        return self._joined(sample, ids, labels, self._shown(sample))

    def prepare_all(self, samples: Sequence[Sample], *, answer: bool = True) -> list[Example | SampleError]:
        """Prepare several samples, decoding each clip once; samples that show it share its tensors."""
        shown: dict[tuple[MediaRef, ...], _Shown | SampleError] = {}
        prepared: list[Example | SampleError] = []
        for sample in samples:
            try:
                ids, labels = self._text(sample, answer)
                if sample.media not in shown:
                    shown[sample.media] = self._shown_or_error(sample)
                found = shown[sample.media]
                prepared.append(found if isinstance(found, SampleError) else self._joined(sample, ids, labels, found))
            except SampleError as error:
                prepared.append(error)
        return prepared

    def seen(self, sample: Sample) -> list[Seen]:
        """Each view the encoders share; an encoder with fewer frames takes them evenly from these."""
        from merv.video.decode import read_clip

        [ref] = sample.media or [None]
        if ref is None:
            return []
        clip = read_clip(ref, self.num_frames)
        return [
            Seen(f"{view.size} px, {view.resize}", list(view.apply(clip.frames)), clip.times) for view in self.views
        ]

    def _text(self, sample: Sample, answer: bool) -> tuple[Tensor, Tensor]:
        """Token ids and labels, cut to the room there is."""
        turns = without_media_marks(sample.turns)
        if answer and self.caption_only:
            encoded = self.template.encode_caption(turns, self.tokenizer)
        else:
            encoded = self.template.encode(turns, self.tokenizer, answer=answer)
        if not answer and len(encoded.ids) > self.max_text_tokens:
            raise SampleError(f"the prompt has {len(encoded.ids)} tokens; {self.max_text_tokens} fit beside the video")
        ids = torch.tensor(encoded.ids[: self.max_text_tokens])
        labels = torch.tensor(encoded.labels[: self.max_text_tokens])
        if answer and not bool((labels[1:] != IGNORE_INDEX).any()):
            raise SampleError(f"no answer within the first {self.max_text_tokens} tokens; raise llm_max_length")
        return ids, labels

    @staticmethod
    def _joined(sample: Sample, ids: Tensor, labels: Tensor, shown: "_Shown") -> Example:
        return Example(ids, labels, shown.frames, sample.id, shown.features, shown.clip_key)

    def _shown_or_error(self, sample: Sample) -> "_Shown | SampleError":
        try:
            return self._shown(sample)
        except SampleError as error:
            return error

    def _shown(self, sample: Sample) -> "_Shown":
        """Frames of a sample's clip, or what the cache knows of them."""
        if len(sample.media) > 1:
            raise SampleError(f"{len(sample.media)} media in one row; this model takes one video or image")
        if not sample.media:
            return _Shown()
        [ref] = sample.media
        if self.cache is None or not is_present(ref):  # a missing file is the decoder's to report
            return _Shown(self._frames(ref))
        clip = self.cache.clip(ref)
        features = self.cache.read(clip)
        return _Shown(self._frames(ref), clip_key=clip) if features is None else _Shown(features=features)

    def _frames(self, ref: MediaRef) -> dict[str, Tensor]:
        from merv.video.decode import read_clip

        frames = read_clip(ref, self.num_frames).frames
        return {view.name: view.apply(frames).contiguous() for view in self.views}

    def collate(self, examples: Sequence[Example], *, indices: Sequence[int] = (), pad: str = "right") -> Batch:
        """Pad the texts and join the frames; examples that share their frames share one clip."""
        width = max(len(example.input_ids) for example in examples)
        pad_id = self.tokenizer.pad_token_id
        visual = [row for row, example in enumerate(examples) if example.has_visual]
        showing = [examples[row] for row in visual]
        clips, shows = distinct(showing, map(_clip_key, showing))
        shown = [clip for clip in clips if clip.frames]
        known = [clip for clip in clips if not clip.frames]
        first = self.views[0].name
        return Batch(
            input_ids=torch.stack([padded(e.input_ids, width, pad_id, pad) for e in examples]),
            labels=torch.stack([padded(e.labels, width, IGNORE_INDEX, pad) for e in examples]),
            attention_mask=torch.stack([padded(torch.ones_like(e.input_ids), width, 0, pad) for e in examples]).bool(),
            visual_rows=torch.tensor(visual, dtype=torch.int64),
            num_frames=tuple(len(clip.frames.get(first, ())) for clip in clips),
            frames={view.name: torch.cat([c.frames[view.name] for c in shown]) for view in self.views if shown},
            sample_ids=tuple(example.sample_id for example in examples),
            indices=tuple(indices),
            features={n: torch.stack([c.features[n] for c in known]) for n in (known[0].features if known else ())},
            clip_keys=tuple(clip.clip_key for clip in shown),
            shows=torch.tensor(shows) if len(clips) < len(visual) else None,
        )


@dataclass(frozen=True)
class _Shown:
    """What a sample shows."""

    frames: Mapping[str, Tensor] = field(default_factory=dict)
    features: Mapping[int, Tensor] = field(default_factory=dict)
    clip_key: str = ""


def _clip_key(example: Example) -> int:
    """Examples that show one clip share its tensors."""
    tensors: Mapping[Any, Tensor] = example.frames or example.features
    return id(next(iter(tensors.values())))
