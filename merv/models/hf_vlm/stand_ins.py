"""Media that stand in where a batch lacks a kind, so that every process runs the same modules in every step.

A stand-in is the smallest black picture or video, with the tokens of its own conversation, behind the end of a row: no
token of the row looks there, and none of its own carries loss.
"""

from collections.abc import Mapping, Sequence

import torch

from merv.chat import IGNORE_INDEX
from merv.data.sample import Example
from merv.models.hf_vlm.calling import Call
from merv.models.hf_vlm.frames import Shown
from merv.models.hf_vlm.labels import render
from merv.models.hf_vlm.look import smallest_options, smallest_side
from merv.models.hf_vlm.rows import continued, of_media
from merv.video.media import MediaKind

StandIns = dict[MediaKind, Example]
BRIEF = {"total_num_frames": 2, "fps": 2, "duration": 1.0, "frames_indices": [0, 1]}
"""Times of a video of two frames."""


def make_stand_in(call: Call, kind: MediaKind) -> Example:
    """The smallest medium of a kind, and the tokens of a conversation that shows nothing else.

    Raises:
        SampleError: the model's processor refuses it.
    """
    processor = call.processor
    text = render(processor, [{"role": "user", "content": [{"type": kind}]}])
    if kind == "image":
        side = smallest_side(processor.image_processor)
        shown = Shown((torch.zeros(3, side, side, dtype=torch.uint8),))
    else:
        side = smallest_side(processor.video_processor)
        shown = Shown((torch.zeros(2, 3, side, side, dtype=torch.uint8),), BRIEF)
    inputs = call(text, [shown], smallest_options(call.images, processor.image_processor))
    ids = inputs.pop("input_ids")
    return Example(ids, torch.full_like(ids, IGNORE_INDEX), inputs)


def lacking_in(examples: Sequence[Example], stand_ins: Mapping[MediaKind, Example]) -> list[Example]:
    """A stand-in for each kind that none of the examples shows."""
    held = {name for example in examples for name in example.frames}
    return [example for example in stand_ins.values() if not of_media(example) <= held]


def stand_behind(
    examples: Sequence[Example], stand_ins: Mapping[MediaKind, Example]
) -> tuple[list[Example], tuple[int, int] | None, int]:
    """The examples with a stand-in behind the shortest one for each kind that none of them shows.

    Returns:
        The examples, row and place of the stand-ins' last token, and how many tokens they are; None and 0 when nothing
        is lacking.
    """
    lacking = lacking_in(examples, stand_ins)
    if not lacking:
        return list(examples), None, 0
    row = min(range(len(examples)), key=lambda number: len(examples[number].input_ids))
    changed = list(examples)
    for stand_in in lacking:
        changed[row] = continued(changed[row], stand_in)
    length = len(changed[row].input_ids)
    return changed, (row, length - 1), length - len(examples[row].input_ids)
