"""Clips of several acts, for roles that find, judge and describe moments; drawn as real H.264 files where needed.

A clip lasts 20 to 32 seconds and holds two or three acts, one after another: in each a shape stands or moves before a
background whose colour no other act of the clip has, and which names the act: "a blue background".  The shape's colour
is any but that of its background; it may be that of a shape or a background elsewhere in the clip.  A span drawn at
random scores a mean IoU of 0.23 against the act asked for.  Clips of the split `short` have a middle act of at most
four seconds, which questions are about: whoever looks at four frames of the whole clip has missed it in two of three
clips, and sees it in all frames of the act.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from merv.data.formats import drawn_folder
from merv.data.formats.drawn_folder import draw_once, save_json
from merv.data.formats.synthetic import encode_clip
from merv.data.formats.synthetic_draw import COLOURS, SHAPES, Frames, Scene, draw_frame, random_scene
from merv.errors import ConfigError

RECORD = "synthetic-moments.json"
SHORT_ACT = 4
"""Seconds of the act that held-out questions are about, at most."""
GROUND = 0.4
"""Brightness of a background, of its colour's."""
SHORTEST = 2
"""Seconds of any act, at least."""
LONGEST = 0.6
"""Part of a clip that an act may last.  With more or shorter acts a random span would score less than 0.2."""


@dataclass(frozen=True)
class MomentsDrawing:
    """What a drawn folder depends on; the record keeps it."""

    num_train: int
    num_eval: int
    seed: int
    side: int = 56
    fps: int = 2
    version: int = 2
    """Raised when the same numbers begin to give other files."""


@dataclass(frozen=True)
class Act:
    """One stretch of a clip and what it shows."""

    start: int
    """Seconds."""
    end: int
    ground: str
    """Colour of the background, darker than that of the shape; it names the act."""
    colour: str
    """Colour of the shape."""
    shape: str


@dataclass(frozen=True)
class MomentsClip:
    """A drawn clip: its file below the folder, seconds, and acts."""

    video: str
    duration: int
    acts: tuple[Act, ...]


def write_moments(root: Path, drawing: MomentsDrawing) -> None:
    """Draw the clips into `root`, which then is complete, or absent after a crash; nothing happens when it stands.

    Raises:
        ConfigError: a number makes no sense, or `root` holds something else or another drawing.
    """
    if drawing.num_train < 1 or drawing.num_eval < 1:
        raise ConfigError(
            f"synthetic moments: num_clips {drawing.num_train} and num_eval {drawing.num_eval} must be at least 1"
        )
    draw_once(root, RECORD, asdict(drawing), lambda folder: _write(folder, drawing))


def is_drawn(root: Path, drawing: MomentsDrawing) -> bool:
    """Whether `root` holds this drawing.

    Raises:
        ConfigError: it holds another one, or other files.
    """
    return drawn_folder.is_drawn(root, RECORD, asdict(drawing))


def read_clips(root: Path, split: str) -> list[MomentsClip]:
    """The clips of `train`, `eval` or `short`.

    Raises:
        ConfigError: they are not drawn.
    """
    file = root / f"{split}.json"
    if not file.is_file():
        raise ConfigError(f"{file} is missing: the clips are not drawn yet; training on a synthetic role draws them")
    rows = json.loads(file.read_text(encoding="utf-8"))
    return [MomentsClip(row["video"], row["duration"], tuple(Act(**act) for act in row["acts"])) for row in rows]


def draw_acts(rng: np.random.Generator, *, short: bool = False) -> MomentsClip:
    """Length and acts of a clip, not yet a file; with `short` the middle one of three lasts at most `SHORT_ACT`."""
    count = 3 if short else int(rng.integers(2, 4))
    duration = int(rng.integers(20, 33))
    while True:
        inner = np.arange(SHORTEST, duration - SHORTEST + 1)
        cuts = np.sort(rng.choice(inner, size=count - 1, replace=False))
        edges = [0, *map(int, cuts), duration]
        lengths = np.diff(edges)
        fits = lengths.min() >= SHORTEST and lengths.max() <= LONGEST * duration
        if fits and (not short or lengths[1] <= SHORT_ACT):
            break
    grounds = [str(name) for name in rng.choice(list(COLOURS), size=count, replace=False)]
    acts = []
    for number, ground in enumerate(grounds):
        colour = str(rng.choice([name for name in COLOURS if name != ground]))
        acts.append(Act(edges[number], edges[number + 1], ground, colour, str(rng.choice(SHAPES))))
    return MomentsClip("", duration, tuple(acts))


def short_act(clip: MomentsClip) -> Act:
    """The act of a clip of `short` that is asked about: the middle one."""
    return clip.acts[1]


def draw_frames(rng: np.random.Generator, clip: MomentsClip, *, side: int, fps: int) -> Frames:
    """All frames of a clip, (duration x fps, side, side, 3) uint8."""
    frames = []
    for act in clip.acts:
        scene: Scene = random_scene(rng, changes=False, moves=bool(rng.random() < 0.5))
        scene = replace(scene, shape=act.shape, colours=(act.colour,), background=backdrop(act.ground))
        count = (act.end - act.start) * fps
        frames += [draw_frame(scene, number / count, side) for number in range(count)]
    return np.stack(frames)


def backdrop(ground: str) -> tuple[int, int, int]:
    """Red, green and blue of a background of that colour."""
    red, green, blue = (round(GROUND * value) for value in COLOURS[ground])
    return red, green, blue


def _write(root: Path, drawing: MomentsDrawing) -> None:
    (root / "videos").mkdir()
    for split, count, stream in (
        ("train", drawing.num_train, 1),
        ("eval", drawing.num_eval, 2),
        ("short", drawing.num_eval, 3),
    ):
        save_json(root / f"{split}.json", list(_draw(root, drawing, split, count, stream)))


def _draw(root: Path, drawing: MomentsDrawing, split: str, count: int, stream: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        rng = np.random.default_rng([drawing.seed, stream, number])
        clip = replace(draw_acts(rng, short=split == "short"), video=f"videos/{split}-{number:06d}.mp4")
        frames = draw_frames(rng, clip, side=drawing.side, fps=drawing.fps)
        encode_clip(root / clip.video, frames, drawing.fps)
        yield asdict(clip)
