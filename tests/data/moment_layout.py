"""A small copy of the layout of moment sets, with a row or two of each set's shape."""

from pathlib import Path

from .role_layout import SPAN, VIDEOS, WINDOWS, write

CAPTIONS = {
    "v_a": {"duration": 60.0, "timestamps": [[0.5, 9], [9, 70]], "sentences": ["A dog runs.", " It sleeps."]},
}
RTL = {"v_a": {"duration": 60.0, "QA": [{"q": "When does it run?", "a": "<0.50> <9.00> The dog runs."}]}}
CHECKED = {"question_id": "a_0", "vid": "a", "duration": 60.0, "question": "When?", "answer": "<0.5> <9> Then."}
NAQ = {"clip": {"num_frames": 900, "fps": 30, "sentences": ["c picks up a cup"], "exact_times": [[1.0, 2.5]]}}
TIMEQA = {
    "video_id": "clip",
    "sample_id": None,
    "question": "Where did l put the cup?",
    "answer": "on the table",
    "wrong_answers": ["in the sink", "on the floor", "in a box"],
    "moment_start_frame": 30.0,
    "moment_end_frame": 75.0,
}
XUM = {"video_id": "v_a", "duration": 60.0, "tsum": ["A dog runs."], "vsum": [[[1, 5], [2, 6.012]] * 5]}
RECIPE = {
    "duration": 60.0,
    "subset": "training",
    "annotations": [{"id": 0, "segment": [4, 9], "sentence": "boil water"}],
}


def write_layout(root: Path) -> Path:
    """Write all sets below `root`, which is given back."""
    write(root / "charades_sta" / "charades_sta_train.txt", "AAAAA 1.5 9.0##a dog runs.\n")
    write(root / "charades_sta" / "durations.json", {"AAAAA": 30})
    write(root / "activitynet_captions" / "train.json", CAPTIONS)
    write(root / "activitynet_rtl" / "activitynet_train_gpt-4-0613_temp_6_f10009.json", RTL)
    row = {**WINDOWS, "vid": "clip"}
    write(root / "ego4d_nlq" / "nlq_train.jsonl", row, {**row, "qid": 8, "relevant_windows": [[3, 3]]})
    write(root / "ego4d_naq" / "train.json", NAQ)
    write(root / "ego_timeqa" / "annotations.EgoTimeQA.json", [TIMEQA])
    write(root / "ego4d" / "v2" / "durations.json", {"clip": 30.0})
    write(root / "vid_morp" / "anno_vid_morp.jsonl", SPAN)
    write(root / "videoxum" / "train_videoxum.json", [XUM])
    write(root / "youcook2" / "youcookii_annotations_trainval.json", {"database": {"abc": RECIPE}})
    for folder in ("charades_sta", "activitynet", "ego4d/v2", "vid_morp", "youcook2"):
        write(root / folder / VIDEOS / "abc.mp4", "")
    return root
