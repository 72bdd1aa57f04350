"""Drawing of the `synthetic` dataset: a coloured shape that moves over a dim background, and may change its colour."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 190, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 215, 40),
    "purple": (160, 50, 190),
    "white": (240, 240, 240),
}
SHAPES = ("circle", "square", "triangle", "cross")
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """One clip: `colours` holds one name, or two when the colour changes halfway."""

    shape: str
    colours: tuple[str, ...]
    direction: str | None
    """Way the shape moves; None stands still."""
    centre: tuple[float, float]
    """Middle of the path, 0..1 of width and height."""
    radius: float
    """Half the size of the shape, 0..1 of the side."""
    background: int
    """Grey level, 0..255."""


def draw_frame(scene: Scene, progress: float, side: int) -> Frames:
    """One frame, (side, side, 3) uint8, at `progress` 0..1 of the clip."""
    dx, dy = DIRECTIONS[scene.direction] if scene.direction else (0, 0)
    travel = (progress - 0.5) * 0.6
    cx, cy = scene.centre[0] + dx * travel, scene.centre[1] + dy * travel
    grid = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid((grid - cx) / scene.radius, (grid - cy) / scene.radius)
    mask = _inside(scene.shape, x, y)
    frame = np.full((side, side, 3), scene.background, np.uint8)
    colour = scene.colours[min(int(progress * len(scene.colours)), len(scene.colours) - 1)]
    frame[mask] = COLOURS[colour]
    return frame


def draw_clip(scene: Scene, num_frames: int, side: int) -> Frames:
    """All frames of a clip, (num_frames, side, side, 3) uint8."""
    return np.stack([draw_frame(scene, (i + 0.5) / num_frames, side) for i in range(num_frames)])


def _inside(shape: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points, in units of the radius, lie in the shape; the four cover about the same area."""
    if shape == "circle":
        return x**2 + y**2 < 1
    if shape == "square":
        return (abs(x) < 0.88) & (abs(y) < 0.88)
    if shape == "triangle":
        return (y > -1.1) & (y < 1.0) & (abs(x) < (y + 1.1) * 0.6)
    return (abs(x) < 0.38) & (abs(y) < 1.1) | (abs(y) < 0.38) & (abs(x) < 1.1)


def random_scene(rng: np.random.Generator, *, changes: bool, moves: bool) -> Scene:
    """A scene whose every property is drawn independently."""
    names = list(COLOURS)
    colours = tuple(str(c) for c in rng.choice(names, size=2 if changes else 1, replace=False))
    return Scene(
        shape=str(rng.choice(SHAPES)),
        colours=colours,
        direction=str(rng.choice(list(DIRECTIONS))) if moves else None,
        centre=(float(rng.uniform(0.42, 0.58)), float(rng.uniform(0.42, 0.58))),
        radius=float(rng.uniform(0.15, 0.2)),
        background=int(rng.integers(10, 70)),
    )
