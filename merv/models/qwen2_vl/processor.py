"""From samples to what the role models eat: frames by the role's budget, as patches, and the words around them."""

import math
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from merv.backbones.llm.prompts import PromptTemplate
from merv.chat import IGNORE_INDEX, Turn, without_media_marks
from merv.data.role_samples import usable_windows
from merv.data.sample import Example, Moments, Sample
from merv.errors import SampleError
from merv.models.base import Processor
from merv.models.collating import distinct, padded
from merv.models.qwen2_vl.batch import PATCHES, Grid, RoleBatch
from merv.models.qwen2_vl.patches import to_patches
from merv.models.qwen2_vl.positions import Protocol, rope_positions
from merv.models.qwen2_vl.prompts import Wording
from merv.models.qwen2_vl.roles import Request, role_called
from merv.models.qwen2_vl.targets import context_of, insert_markers, moments_of
from merv.models.qwen2_vl.tokens import VIDEO, VISION_END, VISION_START, TokenIds
from merv.models.seen import Seen
from merv.video.budget import VisualBudget
from merv.video.media import MediaRef, Span


@dataclass(frozen=True)
class Geometry:
    """How the vision tower cuts frames."""

    patch: int = 14
    """Pixels of a patch's side."""
    temporal: int = 2
    """Frames of one time step."""
    merge: int = 2
    """Patches along a side that become one visual token."""

    def tokens(self, grid: Grid) -> int:
        """Visual tokens of one time step."""
        return grid[1] * grid[2] // self.merge**2


@dataclass(frozen=True)
class Look:
    """A clip as the model sees it."""

    patches: Tensor
    """uint8 (P, values of a patch)."""
    grid: Grid
    times: tuple[float, ...]
    """Seconds of each time step."""
    shown: Span
    """Seconds of the video it stands for."""


@dataclass
class RoleProcessor(Processor):
    """Prepares samples for one role; `for_role` gives that of another."""

    role: str
    tokenizer: Any
    ids: TokenIds
    template: PromptTemplate
    geometry: Geometry
    budgets: Mapping[str, VisualBudget]
    """What each role is shown of a video."""
    wording: Wording = "videomind"
    wordings: Mapping[str, Wording] = field(default_factory=dict)
    """Of roles that were trained with other words than `wording`."""
    protocol: Protocol = "merv"
    timestamps: tuple[str, ...] = ()
    """Roles that are told when each time step was taken."""
    max_length: int = 32768
    """Longest row in tokens, visual ones included."""
    seed: int = 7

    def for_role(self, role: str) -> "RoleProcessor":
        """The same for another role.

        Raises:
            ConfigError: there is no such role.
        """
        role_called(role)
        return self if role == self.role else replace(self, role=role)

    @property
    def own_wording(self) -> Wording:
        """The words of this processor's role."""
        return self.wordings.get(self.role, self.wording)

    def prepare(self, sample: Sample, *, answer: bool = True) -> Example:
        """Decode and tokenise one sample.

        Raises:
            SampleError: the row lacks what the role needs, its media cannot be used, or it is too long.
        """
        return self._joined(sample, answer, {})

    def prepare_all(self, samples: Sequence[Sample], *, answer: bool = True) -> list[Example | SampleError]:
        """Prepare several samples, decoding each stretch of a video once; samples that show it share its patches."""
        looks: dict[Any, Look | SampleError] = {}
        prepared: list[Example | SampleError] = []
        for sample in samples:
            try:
                prepared.append(self._joined(sample, answer, looks))
            except SampleError as error:
                prepared.append(error)
        return prepared

    def seen(self, sample: Sample) -> list[Seen]:
        """The frames of the stretch the role looks at, in its budget's size."""
        from merv.video.decode import read_sampled

        ref, _ = self._stretch(sample, role_called(self.role).request(sample, self.own_wording))
        if ref is None:
            return []
        clip = read_sampled(ref, self.budgets[self.role])
        return [Seen(f"role {self.role}", list(clip.frames), clip.times)]

    def words(self, ids: Tensor) -> str:
        """The text of new tokens, calls of the head included; it ends where the answer does."""
        tokens = self.tokenizer.convert_ids_to_tokens(ids.tolist())
        quiet = {self.tokenizer.pad_token, self.tokenizer.eos_token, self.template.end}
        kept = [number for number, token in zip(ids.tolist(), tokens, strict=True) if token not in quiet]
        return self.tokenizer.decode(kept, skip_special_tokens=False).strip()

    def length(self, sample: Sample) -> int:
        """Rough number of words; visual tokens are not known before a video is opened."""
        return sum(len(turn.text.split()) for turn in sample.turns)

    def _joined(self, sample: Sample, answer: bool, looks: dict[Any, Look | SampleError]) -> Example:
        sample = replace(sample, turns=without_media_marks(sample.turns))
        request = role_called(self.role).request(sample, self.own_wording)
        if answer and request.turns[-1].role != "assistant":
            raise SampleError(f"the row has nothing the role {self.role} could learn from: no answer, windows or plan")
        ref, marks = self._stretch(sample, request)
        look = None if ref is None else self._look(ref, sample, looks)
        ids, labels = self._text(request, look, marks, answer)
        moments = self._moments(sample, request, look) if answer and request.windows else None
        return Example(
            torch.tensor(ids),
            torch.tensor(labels),
            frames={} if look is None else {PATCHES: look.patches},
            sample_id=sample.id,
            grid=None if look is None else look.grid,
            moments=moments,
            shown=None if look is None else look.shown,
            role=self.role,
        )

    def _stretch(self, sample: Sample, request: Request) -> tuple[MediaRef | None, tuple[float, float] | None]:
        """What is looked at; for a verifier the candidate's surroundings, with its place in them."""
        if len(sample.media) > 1:
            raise SampleError(f"{len(sample.media)} media in one row; this model takes one video or image")
        if not sample.media:
            if request.windows or request.candidate:
                raise SampleError(f"the row shows no video; the role {self.role} looks for a moment of one")
            return None, None
        [ref] = sample.media
        if request.candidate is None:
            return ref, None
        duration = sample.meta.get("duration")
        if duration is None:
            raise SampleError("the row has no duration; a verifier needs the video's length in seconds")
        around, start, end = context_of(request.candidate, float(duration))
        return replace(ref, span=around), (start, end)

    def _look(self, ref: MediaRef, sample: Sample, looks: dict[Any, Look | SampleError]) -> Look:
        duration = sample.meta.get("duration") if ref.span is None else None
        key = (ref, duration)
        if key not in looks:
            try:
                looks[key] = self._open(ref, duration)
            except SampleError as error:
                looks[key] = error
        found = looks[key]
        if isinstance(found, SampleError):
            raise found
        return found

    def _open(self, ref: MediaRef, duration: float | None) -> Look:
        from merv.video.decode import read_sampled

        clip, cut = read_sampled(ref, self.budgets[self.role]), self.geometry
        patches, grid = to_patches(clip.frames, patch=cut.patch, temporal=cut.temporal, merge=cut.merge)
        shown = clip.span if duration is None else Span(0.0, float(duration))
        return Look(patches, grid, _step_times(clip.times, cut.temporal), shown)

    def _text(
        self, request: Request, look: Look | None, marks: tuple[float, float] | None, answer: bool
    ) -> tuple[list[int], list[int]]:
        """Token ids and labels, with a token for each visual one and the verifier's marks."""
        turns = request.turns if look is None else self._with_video(request.turns, look)
        encoded = self.template.encode(turns, self.tokenizer, answer=answer)
        ids, labels = list(encoded.ids), list(encoded.labels)
        if look is not None:
            steps, each = look.grid[0], self.geometry.tokens(look.grid)
            first = ids.index(self.ids.video)
            ids[first : first + 1] = [self.ids.video] * (steps * each)
            labels[first : first + 1] = [IGNORE_INDEX] * (steps * each)
            if marks is not None:
                ids, labels = insert_markers(
                    ids,
                    labels,
                    first_video=first,
                    num_steps=steps,
                    tokens_per_step=each,
                    start=marks[0],
                    end=marks[1],
                    start_id=self.ids.segment_start,
                    end_id=self.ids.segment_end,
                )
        if len(ids) > self.max_length:
            raise SampleError(f"the row has {len(ids)} tokens, {self.max_length} fit; lower the role's max_frames")
        return ids, labels

    def _with_video(self, turns: Sequence[Turn], look: Look) -> list[Turn]:
        """The turns with the video before the first question, and when its time steps were taken."""
        told = ""
        if self.role in self.timestamps:
            seconds = ", ".join(f"{time:.1f}" for time in look.times)
            told = f"The video lasts {look.shown.duration:.1f} seconds; it is shown at {seconds}.\n"
        first = next(number for number, turn in enumerate(turns) if turn.role == "user")
        text = f"{VISION_START}{VIDEO}{VISION_END}{told}{turns[first].text.strip()}"
        return [*turns[:first], Turn("user", text), *turns[first + 1 :]]

    def _moments(self, sample: Sample, request: Request, look: Look | None) -> Moments:
        assert look is not None, "a row with windows shows a video"
        drawn = random.Random(zlib.crc32(f"{self.seed}/{sample.id}".encode()))
        windows = usable_windows(request.windows, math.inf)
        return moments_of(windows, look.shown, look.grid[0], drawn)

    def collate(self, examples: Sequence[Example], *, indices: Sequence[int] = (), pad: str = "right") -> RoleBatch:
        """Pad the texts and join the patches; examples that share their patches share one clip."""
        width = max(len(example.input_ids) for example in examples)
        ids = torch.stack([padded(e.input_ids, width, self.tokenizer.pad_token_id, pad) for e in examples])
        mask = torch.stack([padded(torch.ones_like(e.input_ids), width, 0, pad) for e in examples]).bool()
        visual = [row for row, example in enumerate(examples) if example.has_visual]
        showing = [examples[row] for row in visual]
        clips, shows = distinct(showing, (id(example.frames[PATCHES]) for example in showing))
        positions, _ = rope_positions(
            ids,
            mask,
            [example.grid for example in examples],
            video_id=self.ids.video,
            marks=(self.ids.segment_start, self.ids.segment_end),
            merge=self.geometry.merge,
            protocol=self.protocol,
        )
        return RoleBatch(
            input_ids=ids,
            labels=torch.stack([padded(e.labels, width, IGNORE_INDEX, pad) for e in examples]),
            attention_mask=mask,
            visual_rows=torch.tensor(visual, dtype=torch.int64),
            num_frames=tuple(clip.grid[0] * self.geometry.temporal for clip in clips if clip.grid),
            frames={PATCHES: torch.cat([clip.frames[PATCHES] for clip in clips])} if clips else {},
            sample_ids=tuple(example.sample_id for example in examples),
            indices=tuple(indices),
            shows=torch.tensor(shows) if len(clips) < len(visual) else None,
            grids=tuple(clip.grid for clip in clips if clip.grid),
            clip_tokens=tuple(clip.grid[0] * self.geometry.tokens(clip.grid) for clip in clips if clip.grid),
            positions=positions,
            first_video=tuple(_first(row, self.ids.video) for row in ids),
            calls=tuple(_calls(example.labels, width, self.ids.reg, pad) for example in examples),
            roles=tuple(example.role for example in examples),
            moments=tuple(example.moments for example in examples),
            shown=tuple(example.shown for example in examples),
        )


def _step_times(times: Sequence[float], temporal: int) -> tuple[float, ...]:
    """Mean seconds of the frames of each time step."""
    steps = [times[start : start + temporal] for start in range(0, len(times), temporal)]
    return tuple(sum(step) / len(step) for step in steps)


def _calls(labels: Tensor, width: int, reg: int, pad: str) -> tuple[int, ...]:
    """Places in the padded row whose next token is to call the head."""
    shift = width - len(labels) if pad == "left" else 0
    return tuple(int(place) + shift - 1 for place in (labels == reg).nonzero()[:, 0] if place > 0)


def _first(row: Tensor, token: int) -> int:
    places = (row == token).nonzero()
    return int(places[0, 0]) if len(places) else -1
