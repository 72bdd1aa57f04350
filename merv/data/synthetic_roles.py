"""The `synthetic-*` datasets for roles: rows about the clips of `merv.data.formats.synthetic_moments`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.formats.synthetic_draw import COLOURS
from merv.data.formats.synthetic_moments import (
    Act,
    MomentsClip,
    MomentsDrawing,
    is_drawn,
    read_clips,
    write_moments,
)
from merv.data.formats.verifying import iou
from merv.data.role_samples import candidate_row, choice_row, grounded_choice_row, moment_row, plan_row
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.video.media import MediaRef, Span

PHRASES = ("a {ground} background", "the background is {ground}", "{ground} around", "What colour is on {ground}?")
"""Ways to ask for an act; questions among them, because a verifier is asked the question itself."""
RIGHT_IOU = 0.5
"""IoU from which a candidate counts as right, as in VideoMind's data."""
OVERALL = ("Which colour is first?", "Which colour is last?", "How many shapes are in the video?")
"""Questions about a whole clip, which no role has to find a moment for."""
Rows = Callable[[str, MomentsClip, MediaRef, np.random.Generator], Iterator[Sample]]


def query_of(act: Act, rng: np.random.Generator) -> str:
    """Words for an act."""
    return PHRASES[int(rng.integers(len(PHRASES)))].format(ground=act.ground)


def question_of(act: Act, rng: np.random.Generator) -> tuple[str, list[str], int]:
    """A four-way question about an act by its background: question, options, number of the right one."""
    others = [name for name in COLOURS if name not in (act.colour, act.ground)]
    options = [act.colour, *map(str, rng.choice(others, size=3, replace=False))]
    options = [options[place] for place in rng.permutation(len(options))]
    return f"What colour is on {act.ground}?", options, options.index(act.colour)


def _moments(name: str, clip: MomentsClip, media: MediaRef, rng: np.random.Generator) -> Iterator[Sample]:
    for number, act in enumerate(clip.acts):
        window = (float(act.start), float(act.end))
        yield moment_row(f"{name}-{number}", query_of(act, rng), [window], float(clip.duration), media)


def _candidates(name: str, clip: MomentsClip, media: MediaRef, rng: np.random.Generator) -> Iterator[Sample]:
    for number, act in enumerate(clip.acts):
        truth = (float(act.start), float(act.end))
        query = query_of(act, rng)
        others = [other for other in clip.acts if other is not act]
        other = others[int(rng.integers(len(others)))]
        tried = [_shaken(truth, clip.duration, rng, 0.1), _shaken(truth, clip.duration, rng, 0.2)]
        tried += [_shaken((other.start, other.end), clip.duration, rng, 0.2), _anywhere(clip.duration, rng)]
        tried.append(_shifted(truth, clip.duration, rng) if rng.random() < 0.5 else _half(truth, rng))
        for place, candidate in enumerate(tried):
            right = iou(candidate, truth) >= RIGHT_IOU
            row = candidate_row(f"{name}-{number}-{place}", query, candidate, right, float(clip.duration), media)
            yield replace(row, meta={**row.meta, "shows": _most_shown(clip, candidate)})


def _most_shown(clip: MomentsClip, span: tuple[float, float]) -> str:
    """The background that is there for most of a stretch."""
    return max(clip.acts, key=lambda act: min(act.end, span[1]) - max(act.start, span[0])).ground


def _plans(name: str, clip: MomentsClip, media: MediaRef, rng: np.random.Generator) -> Iterator[Sample]:
    act = clip.acts[int(rng.integers(len(clip.acts)))]
    ground = [{"type": "grounder", "value": f"a {act.ground} background"}, {"type": "verifier"}]
    asked = {
        f"What colour is on {act.ground}?": [*ground, {"type": "answerer"}],
        f"When is the background {act.ground}?": ground,
        OVERALL[int(rng.integers(len(OVERALL)))]: [{"type": "answerer"}],
    }
    for number, (question, plan) in enumerate(asked.items()):
        yield plan_row(f"{name}-{number}", question, plan, media, float(clip.duration))


def _choices(name: str, clip: MomentsClip, media: MediaRef, rng: np.random.Generator) -> Iterator[Sample]:
    for number, act in enumerate(clip.acts):
        question, options, answer = question_of(act, rng)
        shown = media
        if rng.random() < 0.7:  # the others show the whole clip
            start, end = _shaken((act.start, act.end), clip.duration, rng, 0.25)
            shown = MediaRef(media.path, "video", Span(start, max(end, start + 1.0)))
        window = (float(act.start), float(act.end))
        row = f"{name}-{number}"
        yield choice_row(row, question, options, answer, shown, float(clip.duration), [window])


def _grounded_choices(name: str, clip: MomentsClip, media: MediaRef, rng: np.random.Generator) -> Iterator[Sample]:
    for number, act in enumerate(clip.acts):
        question, options, answer = question_of(act, rng)
        window, row = (float(act.start), float(act.end)), f"{name}-{number}"
        yield grounded_choice_row(row, question, options, answer, [window], float(clip.duration), media)


def _shaken(span: tuple[float, float], duration: float, rng: np.random.Generator, share: float) -> tuple[float, float]:
    """A stretch with both ends moved by up to a share of its length."""
    length = span[1] - span[0]
    start, end = (time + float(rng.uniform(-share, share)) * length for time in span)
    return max(0.0, start), min(float(duration), end)


def _shifted(span: tuple[float, float], duration: float, rng: np.random.Generator) -> tuple[float, float]:
    """A stretch moved by more than half of its length to where there is more room; its IoU is below 0.5."""
    way = float(rng.uniform(0.55, 0.9)) * (span[1] - span[0])
    if span[0] > duration - span[1]:
        way = -way
    return max(0.0, span[0] + way), min(float(duration), span[1] + way)


def _half(span: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    """The first or the last third to half of a stretch; its IoU is below 0.5."""
    kept = float(rng.uniform(0.33, 0.48)) * (span[1] - span[0])
    return (span[0], span[0] + kept) if rng.random() < 0.5 else (span[1] - kept, span[1])


def _anywhere(duration: float, rng: np.random.Generator) -> tuple[float, float]:
    start, end = sorted(rng.uniform(0, duration, size=2))
    return float(start), float(min(duration, max(end, start + 1.0)))


@dataclass
class SyntheticRoleConfig(DatasetConfig):
    """Options of the synthetic datasets for roles, which share one drawing."""

    rows: ClassVar[Rows]
    """What makes the rows of a clip."""

    dataset_root_dir: Path = Path("data")
    """The drawn files are in download/synthetic-moments below it."""
    num_clips: int = 800
    """Clips to train on."""
    num_eval: int = 100
    """Held-out clips to find moments in, and as many with a short act."""
    seed: int = 7
    """Decides what is drawn and asked."""

    @property
    def root(self) -> Path:
        """Folder of the drawn files."""
        return self.dataset_root_dir / "download" / "synthetic-moments"

    @property
    def drawing(self) -> MomentsDrawing:
        """What the files depend on."""
        return MomentsDrawing(self.num_clips, self.num_eval, self.seed)

    def make(self) -> None:
        """Draw the clips when they are absent; about ten seconds for 800.

        Raises:
            ConfigError: the folder holds another drawing.
        """
        write_moments(self.root, self.drawing)

    def load(self, stage: str) -> Source:
        """The rows of all training clips, the same for every stage.

        Raises:
            ConfigError: the clips are not drawn or drawn otherwise.
        """
        if not is_drawn(self.root, self.drawing):
            raise ConfigError(f"dataset `{self.name}`: {self.root} is not drawn yet; training draws it, or make()")
        samples: list[Sample] = []
        for number, clip in enumerate(read_clips(self.root, "train")):
            rng = np.random.default_rng([self.seed, 3, number])
            samples += type(self).rows(f"clip-{number}", clip, MediaRef(self.root / clip.video), rng)
        return Source(self.name, samples, files=[self.root / "train.json"])


def _register(role: str, rows: Rows, what: str) -> None:
    preset = SyntheticRoleConfig.preset(f"synthetic-{role}")
    preset.rows = staticmethod(rows)
    preset.__doc__ = f"{what} the acts of drawn clips; nothing is downloaded."


_register("grounder", _moments, "When: queries for")
_register("verifier", _candidates, "Right or wrong: candidates for")
_register("planner", _plans, "Which roles to ask: plans for questions about")
_register("answerer", _choices, "Which of four: questions about")
_register("gqa", _grounded_choices, "Which of four, and when: questions about")
