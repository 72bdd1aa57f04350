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
SHAPES = ("ring", "square", "triangle", "cross")
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}

TRAVEL = 0.48
"""Way a moving shape covers, 0..1 of the side."""
RADIUS = (0.2, 0.26)
"""Smallest and largest radius; with half of `TRAVEL` the largest still fits into half of the side."""

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
    background: int | tuple[int, int, int]
    """Grey level, or red, green and blue; 0..255."""


def random_scene(rng: np.random.Generator, *, changes: bool, moves: bool) -> Scene:
    """A scene whose every property is drawn independently; the shape stays inside the frame all the time."""
    names = list(COLOURS)
    colours = tuple(str(c) for c in rng.choice(names, size=2 if changes else 1, replace=False))
    direction = str(rng.choice(list(DIRECTIONS))) if moves else None
    radius = float(rng.uniform(*RADIUS))
    dx, dy = DIRECTIONS[direction] if direction else (0, 0)
    room = [0.5 - radius - abs(step) * TRAVEL / 2 for step in (dx, dy)]
    return Scene(
        shape=str(rng.choice(SHAPES)),
        colours=colours,
        direction=direction,
        centre=(0.5 + float(rng.uniform(-room[0], room[0])), 0.5 + float(rng.uniform(-room[1], room[1]))),
        radius=radius,
        background=int(rng.integers(10, 70)),
    )


def draw_clip(scene: Scene, num_frames: int, side: int) -> Frames:
    """All frames of a clip, (num_frames, side, side, 3) uint8; the shape of frame num_frames / 2 is at the centre."""
    return np.stack([draw_frame(scene, i / num_frames, side) for i in range(num_frames)])


def draw_frame(scene: Scene, progress: float, side: int) -> Frames:
    """One frame, (side, side, 3) uint8, at `progress` 0..1 of the clip."""
    dx, dy = DIRECTIONS[scene.direction] if scene.direction else (0, 0)
    way = (progress - 0.5) * TRAVEL
    cx, cy = scene.centre[0] + dx * way, scene.centre[1] + dy * way
    grid = (np.arange(side, dtype=np.float32) + 0.5) / side
    mask = _inside(scene.shape, (grid[None, :] - cx) / scene.radius, (grid[:, None] - cy) / scene.radius)
    frame = np.full((side, side, 3), scene.background, np.uint8)
    colour = scene.colours[min(int(progress * len(scene.colours)), len(scene.colours) - 1)]
    frame[mask] = COLOURS[colour]
    return frame


def _inside(shape: str, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which points are in the shape; x (1, S) and y (S, 1) in units of the radius -> (S, S)."""
    if shape == "ring":
        distance = x**2 + y**2
        return (distance > 0.55**2) & (distance < 1)
    if shape == "square":
        return (abs(x) < 0.88) & (abs(y) < 0.88)
    if shape == "triangle":
        return (abs(y) < 1) & (abs(x) < (y + 1) * 0.5)
    return (abs(x) < 0.3) & (abs(y) < 1) | (abs(y) < 0.3) & (abs(x) < 1)
