"""The `synthetic` dataset: clips of moving shapes as real H.264 files, and four-way questions about them.

Half of the clips show one colour in motion, the other half a colour that changes midway.  Every question offers four
options in random order, of which each is right equally often: who does not look at the clip is right in a quarter of
the cases.  Training lists have the layout of Video-LLaVA (`merv.data.formats.video_llava`).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from merv.data.formats import drawn_folder
from merv.data.formats.drawn_folder import draw_once, save_json
from merv.data.formats.synthetic_draw import COLOURS, DIRECTIONS, SHAPES, Frames, Scene, draw_clip, random_scene
from merv.errors import ConfigError

IMAGE_SHARE = 0.1
TEXT_SHARE = 0.05
"""Parts of the training rows that show a still image, and nothing."""

FACTS = (
    ("How many sides does a square have?", "four"),
    ("How many sides does a triangle have?", "three"),
    ("Which shape is round and hollow?", "ring"),
    ("Which shape has three sides?", "triangle"),
    ("Which shape has four equal sides?", "square"),
    ("Which shape looks like a plus sign?", "cross"),
    ("What is the opposite of left?", "right"),
    ("What is the opposite of right?", "left"),
    ("What is the opposite of up?", "down"),
    ("What is the opposite of down?", "up"),
    ("What colour is snow?", "white"),
    ("What colour is grass?", "green"),
)
RECORD = "synthetic.json"


@dataclass(frozen=True)
class Question:
    """A four-way question about one scene."""

    kind: str
    question: str
    options: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Drawing:
    """What a drawn folder depends on; `synthetic.json` records it."""

    num_train: int
    num_eval: int
    seed: int
    side: int = 96
    num_frames: int = 16
    fps: int = 8
    version: int = 1
    """Raised when the same numbers begin to give other files."""


def write_synthetic(
    root: Path, *, num_train: int, num_eval: int, seed: int, side: int = 96, num_frames: int = 16, fps: int = 8
) -> None:
    """Draw the dataset into `root`, which then is complete, or absent after a crash; nothing happens when it stands.

    Args:
        root: Folder to make; holds train.json, align.json (first questions only), eval.json, videos/ and images/.
        num_train: Rows of the training list: clips, about 10 % still images and 5 % text.
        num_eval: Questions of eval.json, each about a clip of its own, shape, colour, direction and order in turn.
        seed: Decides everything that is drawn.
        side: Width and height in pixels, even.
        num_frames: Frames of a clip.
        fps: Frames a second.

    Raises:
        ConfigError: a number makes no sense, or `root` holds something else or another drawing.
    """
    drawing = Drawing(num_train, num_eval, seed, side, num_frames, fps)
    if num_train < 1 or num_eval < 0 or side < 16 or side % 2 or num_frames < 2 or fps < 1:
        raise ConfigError(
            f"synthetic: num_train {num_train} must be >= 1, num_eval {num_eval} >= 0, side {side} even and >= 16, "
            f"num_frames {num_frames} >= 2, fps {fps} >= 1"
        )
    draw_once(root, RECORD, asdict(drawing), lambda folder: _write(folder, drawing))


def is_drawn(root: Path, drawing: Drawing) -> bool:
    """Whether `root` holds this drawing.

    Raises:
        ConfigError: it holds another one, or other files.
    """
    return drawn_folder.is_drawn(root, RECORD, asdict(drawing))


def with_options(question: str, options: Sequence[str]) -> str:
    """The prompt of a multiple-choice question: `What shape is it? Options: (A) ring (B) cross`."""
    return f"{question} Options: " + " ".join(f"({chr(ord('A') + i)}) {option}" for i, option in enumerate(options))


def ask(rng: np.random.Generator, scene: Scene, *, still: bool = False) -> list[Question]:
    """Everything that can be asked about a scene, in random order; `still` shows one frame of it."""
    questions = [_shuffled(rng, "shape", "What shape is it?", scene.shape, _others(SHAPES, scene.shape))]
    if len(scene.colours) == 1:
        others = rng.choice(_others(list(COLOURS), *scene.colours), size=3, replace=False)
        questions.append(_shuffled(rng, "colour", "What colour is the shape?", scene.colours[0], others))
    elif not still:
        questions.append(_ask_order(rng, *scene.colours))
    if scene.direction and not still:
        ways = _others(list(DIRECTIONS), scene.direction)
        questions.append(_shuffled(rng, "direction", "Which way does the shape move?", scene.direction, ways))
    return [questions[i] for i in rng.permutation(len(questions))]


def encode_clip(path: Path, frames: Frames, fps: int) -> None:
    """Write (T, S, S, 3) RGB frames as an H.264 file."""
    import av

    with av.open(str(path), "w") as container:
        options = {"crf": "20", "preset": "ultrafast", "threads": "1"}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write(root: Path, drawing: Drawing) -> None:
    for folder in ("videos", "images"):
        (root / folder).mkdir()
    makers = _plan(drawing)
    rows = [make(root, drawing, i) for i, make in enumerate(makers)]
    save_json(root / "train.json", rows)
    save_json(root / "align.json", [{**row, "conversations": row["conversations"][:2]} for row in rows])
    save_json(root / "eval.json", [_eval_item(root, drawing, i) for i in range(drawing.num_eval)])


def _plan(drawing: Drawing) -> list[Callable[[Path, Drawing, int], dict[str, Any]]]:
    """What makes each training row, in random order."""
    num_images = round(drawing.num_train * IMAGE_SHARE)
    num_texts = round(drawing.num_train * TEXT_SHARE)
    makers = [_image_row] * num_images + [_text_row] * num_texts
    makers += [_clip_row] * (drawing.num_train - len(makers))
    order = np.random.default_rng([drawing.seed, 0]).permutation(drawing.num_train)
    return [makers[i] for i in order]


def _clip_row(root: Path, drawing: Drawing, number: int) -> dict[str, Any]:
    rng = np.random.default_rng([drawing.seed, 1, number])
    changes = number % 2 == 1
    scene = random_scene(rng, changes=changes, moves=not changes or rng.random() < 0.5)
    path = f"videos/train-{number:06d}.mp4"
    encode_clip(root / path, draw_clip(scene, drawing.num_frames, drawing.side), drawing.fps)
    return {"id": f"train-{number}", "video": path, "conversations": _conversation("<video>\n", ask(rng, scene))}


def _image_row(root: Path, drawing: Drawing, number: int) -> dict[str, Any]:
    rng = np.random.default_rng([drawing.seed, 1, number])
    scene = random_scene(rng, changes=False, moves=False)
    path = f"images/train-{number:06d}.png"
    Image.fromarray(draw_clip(scene, 1, drawing.side)[0]).save(root / path)
    questions = ask(rng, scene, still=True)
    return {"id": f"train-{number}", "image": path, "conversations": _conversation("<image>\n", questions)}


def _text_row(root: Path, drawing: Drawing, number: int) -> dict[str, Any]:
    rng = np.random.default_rng([drawing.seed, 1, number])
    facts = [FACTS[i] for i in rng.choice(len(FACTS), size=2, replace=False)]
    return {"id": f"train-{number}", "conversations": _talk("", facts)}


def _eval_item(root: Path, drawing: Drawing, number: int) -> dict[str, Any]:
    rng = np.random.default_rng([drawing.seed, 2, number])
    kind = ("shape", "colour", "direction", "order")[number % 4]
    changes = kind == "order" or (kind != "colour" and rng.random() < 0.5)
    moves = not changes or kind == "direction" or rng.random() < 0.5
    scene = random_scene(rng, changes=changes, moves=moves)
    path = f"videos/eval-{number:06d}.mp4"
    encode_clip(root / path, draw_clip(scene, drawing.num_frames, drawing.side), drawing.fps)
    question = next(question for question in ask(rng, scene) if question.kind == kind)
    return {"id": f"eval-{number}", "video": path, "duration": drawing.num_frames / drawing.fps, **asdict(question)}


def _conversation(placeholder: str, questions: Sequence[Question]) -> list[dict[str, str]]:
    return _talk(placeholder, [(with_options(q.question, q.options), q.answer) for q in questions])


def _talk(placeholder: str, pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    messages = [
        {"from": who, "value": text} for pair in pairs for who, text in zip(("human", "gpt"), pair, strict=True)
    ]
    messages[0]["value"] = placeholder + messages[0]["value"]
    return messages


def _ask_order(rng: np.random.Generator, first: str, second: str) -> Question:
    third, fourth = rng.choice(_others(list(COLOURS), first, second), size=2, replace=False)
    distractors = [f"{second} then {first}", f"{third} then {fourth}", f"{fourth} then {third}"]
    return _shuffled(rng, "order", "In which order do the colours appear?", f"{first} then {second}", distractors)


def _shuffled(
    rng: np.random.Generator, kind: str, question: str, answer: str, distractors: Sequence[str] | np.ndarray
) -> Question:
    options = [answer, *map(str, distractors)]
    return Question(kind, question, tuple(options[i] for i in rng.permutation(len(options))), answer)


def _others(names: Sequence[str], *taken: str) -> list[str]:
    return [name for name in names if name not in taken]
