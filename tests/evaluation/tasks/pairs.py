"""Question and answer files of our own invention in the form of Video-LLaVA and MERV, and clips to go with them."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

QUESTIONS = [
    {"video_name": "kite", "question_id": "0", "question": "what flies above the roof?"},
    {"video_name": "kite", "question_id": "1", "question": "what colour is it?"},
    {"video_name": "boat.v2", "question_id": "2", "question": "where is the boat?"},
]
ANSWERS = [
    {"question_id": "2", "answer": "on a lake", "type": 6},
    {"question_id": "1", "answer": "red", "type": 4},
    {"question_id": "0", "answer": "kite", "type": 0},
]


def write_pair(folder: Path, questions: Any = QUESTIONS, answers: Any = ANSWERS) -> Path:
    """Both files; gives that of the questions."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test_q.json").write_text(json.dumps(questions))
    (folder / "test_a.json").write_text(json.dumps(answers))
    return folder / "test_q.json"


def draw_clip(path: Path, frames: int = 4) -> None:
    """A small animated GIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [Image.new("RGB", (32, 32), (60 * number, 90, 40)) for number in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
