"""From samples to what any image-text model of transformers eats, through the processor published with it."""

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from merv.chat import IGNORE_INDEX, Turn
from merv.data.sample import Example, Sample
from merv.errors import ConfigError, SampleError
from merv.models.base import Processor
from merv.models.collating import padded
from merv.models.hf_vlm.batch import HfBatch
from merv.models.hf_vlm.calling import (
    Call,
    count_visual,
    offsets_of,
    placeholder_ids,
    placeholder_words,
    visual_ids,
)
from merv.models.hf_vlm.frames import Shown, opener_for
from merv.models.hf_vlm.labels import find_answers, labels_of, render
from merv.models.hf_vlm.language import is_special
from merv.models.hf_vlm.look import LookConfig, image_options, native_video
from merv.models.hf_vlm.messages import as_messages
from merv.models.hf_vlm.rows import collated, continued, cut, of_media
from merv.models.hf_vlm.stand_ins import StandIns, lacking_in, make_stand_in, stand_behind
from merv.models.seen import Seen
from merv.video.media import MediaKind, MediaRef


@dataclass
class HfProcessor(Processor):
    """Prepares samples with a processor of transformers."""

    processor: Any
    """Of transformers: tokenizer, image processor, maybe a video processor, and a chat template."""
    look: LookConfig = field(default_factory=LookConfig)
    system: str = ""
    """Said first where a row has no system turn; empty leaves it to the chat template."""
    max_length: int = 4096
    """Longest row in tokens, visual ones included."""
    learn_newline: bool = False
    """Learn the white space a template writes behind an answer's end, as Aria's recipe does."""
    pixel_dtype: torch.dtype = torch.float32
    """Type pixels travel in: that in which the vision tower computes."""
    rows_learn: bool = False
    """Whether something beside the words is a mean over rows, as losses of experts are."""

    def __post_init__(self) -> None:
        """Check that the processor can do what is asked of it.

        Raises:
            ConfigError: it has no chat template, tells no offsets, or an option is none of its own.
        """
        name = type(self.processor).__name__
        if getattr(self.processor, "image_processor", None) is None:
            raise ConfigError(f"{name} has no image processor; this family takes image-text-to-text models")
        if not getattr(self.processor, "chat_template", None):
            raise ConfigError(
                f"{name} has no chat template; use an instruct model, or add a chat_template.jinja to it"
            )
        if not self.tokenizer.is_fast:
            raise ConfigError(f"{type(self.tokenizer).__name__} does not tell where its tokens stand in a text")
        images = image_options(self.look, self.processor.image_processor)
        self.native = native_video(self.look, self.processor)
        self._opener, sized = opener_for(self.look, self.processor, images, native=self.native)
        self._call = Call(self.processor, images, sized)
        self._visual = visual_ids(self.processor)
        self._stand_ins: StandIns = {}
        if images:
            self._try()

    def _try(self) -> None:
        """Show the processor a picture: values it refuses are refused here, not in every row."""
        try:
            make_stand_in(self._call, "image")
        except SampleError as error:
            sizes = ("min_pixels", "max_pixels", "max_image_size", "split_image")
            asked = ", ".join(f"{name} {value}" for name in sizes if (value := getattr(self.look, name)) is not None)
            raise ConfigError(f"{asked}: {error}") from error

    @property
    def tokenizer(self) -> Any:
        """The model's own."""
        return self.processor.tokenizer

    def save_pretrained(self, folder: Path) -> None:
        """Write the whole processor as transformers loads it."""
        self.processor.save_pretrained(folder)

    def expect(self, kinds: Collection[MediaKind]) -> None:
        """Hear which kinds of media the rows hold, before any process of the loader starts.

        Every process is to run the same modules in every step: a training batch without one of these kinds gets the
        smallest medium of that kind behind the end of a row, where no token looks.
        """
        seen: set[MediaKind] = set(kinds) if self.native else {"image" for _ in kinds}
        stand_ins = {kind: make_stand_in(self._call, kind) for kind in sorted(seen)}
        self._stand_ins = {kind: self._light(example) for kind, example in stand_ins.items()}

    def prepare(self, sample: Sample, *, answer: bool = True) -> Example:
        """Decode and tokenise one sample.

        Raises:
            SampleError: the row lacks an answer, its media cannot be used, or it is too long.
        """
        return self._prepared(sample, answer, {})

    def prepare_all(self, samples: Sequence[Sample], *, answer: bool = True) -> list[Example | SampleError]:
        """Prepare several samples, decoding each medium once."""
        seen: dict[Any, Shown | SampleError] = {}
        prepared: list[Example | SampleError] = []
        for sample in samples:
            try:
                prepared.append(self._prepared(sample, answer, seen))
            except SampleError as error:
                prepared.append(error)
        return prepared

    def seen(self, sample: Sample) -> list[Seen]:
        """Each medium as the model's own processor gets it, which may still cut and resize it."""
        shown = [self._shown(ref, sample, {}) for ref in sample.media]
        return [
            Seen(ref.path.name, [picture for each in medium.frames for picture in each.view(-1, *each.shape[-3:])])
            for ref, medium in zip(sample.media, shown, strict=True)
        ]

    def _prepared(self, sample: Sample, answer: bool, seen: dict[Any, Shown | SampleError]) -> Example:
        turns = self._turns(sample, answer)
        self._check_media(sample.media)
        shown = [self._shown(ref, sample, seen) for ref in sample.media]
        messages = as_messages(turns, [medium.items for medium in shown], system=self.system)
        if not answer:
            inputs = self._call(render(self.processor, messages, answering=True), shown)
            ids = inputs.pop("input_ids")
            example = Example(ids, torch.full_like(ids, IGNORE_INDEX), inputs, sample.id)
            return self._fitting(self._light(example), may_cut=False)
        rendered = find_answers(self.processor, messages, learn_newline=self.learn_newline)
        inputs = self._call(rendered.text, shown)
        ids = inputs.pop("input_ids")
        plain, offsets = offsets_of(self.processor, rendered.text)
        labels = labels_of(rendered, ids.tolist(), plain, offsets, placeholder_ids(self.processor))
        example = self._light(Example(ids, torch.tensor(labels), inputs, sample.id))
        return self._fitting(self._ended(example) if turns[-1].role == "assistant" else example, may_cut=True)

    def _turns(self, sample: Sample, answer: bool) -> tuple[Turn, ...]:
        """What is said: to learn from with its answers, or as far as the model is to speak."""
        turns = sample.turns
        if answer:
            answers = [turn.text for turn in turns if turn.role == "assistant"]
            if not answers or not answers[-1].strip():
                raise SampleError("the row has no answer; there is nothing to learn from")
        elif turns and turns[-1].role == "assistant":
            turns = turns[:-1]
        if not any(turn.role == "user" for turn in turns):
            raise SampleError("the row has no question")
        for word in placeholder_words(self.processor):
            if any(word in turn.text for turn in turns):
                raise SampleError(f"the text holds `{word}`, by which the model marks media; remove it")
        return turns

    def _check_media(self, media: Sequence[MediaRef]) -> None:
        """Refuse what this model cannot be shown."""
        kinds = [ref.kind for ref in media]
        if "video" not in kinds:
            return
        if not self.native and "image" in kinds:
            raise SampleError(
                "the row has images and a video; this model is shown a video's frames as images, and takes one or the "
                "other in a row"
            )
        if self.native and getattr(self.processor, "video_processor", None) is None:
            raise SampleError("the row has a video, and this model takes images alone; set video_as to frames")

    def _shown(self, ref: MediaRef, sample: Sample, seen: dict[Any, Shown | SampleError]) -> Shown:
        count = self._opener.count(ref, sample.meta)
        if (ref, count) not in seen:
            try:
                seen[ref, count] = self._opener.open(ref, count)
            except SampleError as error:
                seen[ref, count] = error
        found = seen[ref, count]
        if isinstance(found, SampleError):
            raise found
        return found

    def _light(self, example: Example) -> Example:
        """Pixels in the type they are computed in; times and the like stay exact."""
        frames = {
            name: value.to(self.pixel_dtype) if value.is_floating_point() and value.ndim > 1 else value
            for name, value in example.frames.items()
        }
        return replace(example, frames=frames)

    def _ended(self, example: Example) -> Example:
        """With the end of text behind an answer that the template does not end, or the model would never stop."""
        learned = (example.labels != IGNORE_INDEX).nonzero()[:, 0]
        gaps = (learned.diff() > 1).nonzero()[:, 0]
        last_answer = learned[gaps[-1] + 1 :] if len(gaps) else learned
        eos = self.tokenizer.eos_token_id
        if eos is None or any(is_special(self.tokenizer, token) for token in example.input_ids[last_answer].tolist()):
            return example
        end = torch.tensor([eos])
        return continued(cut(example, int(learned[-1]) + 1), Example(end, end))

    def _fitting(self, example: Example, *, may_cut: bool) -> Example:
        """No longer than `max_length`: words at the end may go, visual tokens and the last of the answers may not."""
        length = len(example.input_ids)
        if length <= self.max_length:
            return example
        found = f"the row has {length} tokens, {self.max_length} fit"
        if count_visual(example.input_ids[self.max_length :], self._visual):
            raise SampleError(
                f"{found}, and the cut would fall into image tokens; lower max_frames, num_frames or max_pixels"
            )
        short = cut(example, self.max_length)
        if not may_cut or not (short.labels[1:] != IGNORE_INDEX).any():
            raise SampleError(
                f"{found}, and {'a prompt is not cut' if not may_cut else 'no answer would be left'}; raise max_length"
            )
        return short

    def collate(self, examples: Sequence[Example], *, indices: Sequence[int] = (), pad: str = "right") -> HfBatch:
        """Pad the words and join the media; in training, what a batch lacks is stood in for."""
        visual = [row for row, example in enumerate(examples) if of_media(example)]
        stand_in = beside = None
        stand_in_tokens = 0
        if pad == "right":
            examples, stand_in, stand_in_tokens = stand_behind(examples, self._stand_ins)
        elif lacking := lacking_in(examples, self._stand_ins):
            plain = copy.copy(self)
            plain._stand_ins = {}
            beside = plain.collate(lacking)
        width = max(len(example.input_ids) for example in examples)
        pad_id = self.tokenizer.pad_token_id

        def rows(values: Sequence[Tensor], fill: int) -> Tensor:
            return torch.stack([padded(value, width, fill, pad) for value in values])

        return HfBatch(
            input_ids=rows([e.input_ids for e in examples], self.tokenizer.eos_token_id if pad_id is None else pad_id),
            labels=rows([e.labels for e in examples], IGNORE_INDEX),
            attention_mask=rows([torch.ones_like(e.input_ids) for e in examples], 0).bool(),
            visual_rows=torch.tensor(visual, dtype=torch.int64),
            frames=dict(collated(examples, width, pad)),
            sample_ids=tuple(example.sample_id for example in examples),
            indices=tuple(indices),
            visual_tokens=tuple(count_visual(example.input_ids, self._visual) for example in examples),
            stand_in=stand_in,
            stand_in_tokens=stand_in_tokens,
            beside=beside,
            rows_learn=self.rows_learn,
        )
