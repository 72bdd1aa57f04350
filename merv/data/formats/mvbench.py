"""Rows of MVBench: twenty lists of questions about videos of a dozen sets, some of them about a stretch only.

Li et al., CVPR 2024; https://github.com/OpenGVLab/Ask-Anything, video_chat2/mvbench.ipynb.  A row is `{video,
question, candidates, answer}`, the answer a text, with `start` and `end` in seconds where the video is to be cut.
"""

from typing import Any

from merv.data.formats.options import by_text, options_of, question_text, stretch
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of, value_of

FOLDERS = {
    "action_sequence": "star/Charades_v1_480",
    "action_prediction": "star/Charades_v1_480",
    "action_antonym": "ssv2_video",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "unexpected_action": "FunQA_test/test",
    "object_existence": "clevrer/video_validation",
    "object_interaction": "star/Charades_v1_480",
    "object_shuffle": "perception/videos",
    "moving_direction": "clevrer/video_validation",
    "action_localization": "sta/sta_video",
    "scene_transition": "scene_qa/video",
    "action_count": "perception/videos",
    "moving_count": "clevrer/video_validation",
    "moving_attribute": "clevrer/video_validation",
    "state_change": "perception/videos",
    "fine_grained_pose": "nturgbd",
    "character_order": "perception/videos",
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/frames_fps3_hq",
    "counterfactual_inference": "clevrer/video_validation",
}
"""Task and the place of its videos, in the official order."""
FRAME_FOLDERS = ("episodic_reasoning",)
"""Tasks whose videos are folders of frames, three a second."""


def question_of(row: Any, kind: str, number: int) -> Question:
    """What a row of a task's list says.

    Args:
        row: The row.
        kind: The task, which the list is named after.
        number: Place in the list from 0; the rows have no ids.

    Raises:
        SampleError: a field is missing or holds something else.
    """
    options = options_of(row, "candidates")
    cut = "start" in row and "end" in row
    return Question(
        id=f"{kind}_{number}",
        text=question_text(row),
        video=f"{FOLDERS[kind]}/{text_of(row, 'video')}",
        options=options,
        answer=by_text(value_of(row, "answer"), options),
        span=stretch(row["start"], row["end"]) if cut else None,
        kind=kind,
    )
