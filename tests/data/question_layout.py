"""A small copy of the published layout of question sets, with a row or two of each set's shape."""

import csv
from pathlib import Path

from .role_layout import VIDEOS, write

OPTIONS = ["sit", "run", "jump", "sleep", "sing"]
NEXTGQA = {
    "video_id": "11",
    "frame_count": "900",
    "width": "64",
    "height": "64",
    "question": "why does it run ",
    "answer": "Run",
    "qid": "0",
    "type": "CW",
    **{f"a{place}": option for place, option in enumerate(OPTIONS)},
}
TRUTHS = {"11": {"duration": 30, "location": {"0": [[2, 4], [20, 24.5]]}, "fps": 30}}
STAR = {
    "question_id": "Sequence_T1_7",
    "question": "What was opened?",
    "video_id": "ABCDE",
    "start": 1.5,
    "end": 9.0,
    "answer": "Door.",
    "choices": [{"choice_id": place, "choice": text} for place, text in enumerate(["Box.", "Door.", "Bag.", "Cup."])],
    "situations": {},
}
REXTIME = {
    "qid": "q0",
    "question": "What follows?",
    "options": OPTIONS[:4],
    "answer": "From <s0> to <e0>, run",
    "ans": "B",
    "span": [2, 4],
    "vid": "v_abcdefghijk",
    "category": "sequential",
}
REXTIME_MOMENT = {
    "qid": "q1",
    "query": "What follows?",
    "duration": 20,
    "vid": "a_b-c_60.0_80.0",
    "relevant_windows": [[6, 9]],
    "ans": "A",
}
CGBENCH = {
    "qid": 14,
    "video_uid": "BV1",
    "question": "What colour is it?",
    "answer": "jump",
    "choices": [*OPTIONS, "swim", "fly"],
    "right_answer": "C",
    "clue_intervals": [[300, 302], [308, 310]],
    "domain": "Life",
    "sub_category": "Entity Perception",
    "duration": 611,
}
EGO4D = {
    "video_id": "clip",
    "sample_id": "s_0",
    "question": "where was the cat ",
    "answer": "On the mat",
    "moment_start_frame": 60.0,
    "moment_end_frame": 121.5,
    "wrong_answers": ["in the hat", "on the bat", "I dont know"],
}
QUESTION = {"video_name": "kite", "question_id": "0", "question": "what flies above the roof?"}
ANSWERS = [{"question_id": "1", "answer": "red", "type": 4}, {"question_id": "0", "answer": "kite", "type": 0}]
ZERO_SHOT = {
    "msvd-qa": ("MSVD_Zero_Shot_QA", "videos"),
    "msrvtt-qa": ("MSRVTT_Zero_Shot_QA", "videos/all"),
    "tgif-qa": ("TGIF_Zero_Shot_QA", "mp4"),
    "activitynet-qa": ("Activitynet_Zero_Shot_QA", "all_test"),
}
"""Folder of each open-ended set, and of its videos."""


def write_layout(root: Path) -> Path:
    """Write all sets below `root`, which is given back."""
    write_rows(root / "nextgqa" / "val.csv", [NEXTGQA])
    write(root / "nextgqa" / "gsub_val.json", TRUTHS)
    write(root / "nextgqa" / "map_vid_vidorID.json", {"11": "1001/11"})
    write(root / "star" / "STAR_train.json", [STAR])
    write(root / "rextime" / "rextime_train.json", [REXTIME, {**REXTIME, "qid": "q1", "vid": "a_b-c_60.0_80.0"}])
    write(root / "activitynet" / "durations.json", {"v_abcdefghijk": 10.5})
    write(root / "qvhighlights" / "durations.json", {"a_b-c_60.0_80.0": 20.0})
    write(root / "cgbench" / "cgbench_mini.json", [CGBENCH])
    write(root / "qa_ego4d" / "annotations.QaEgo4D_train.json", [EGO4D])
    write(root / "ego4d" / "v1" / "durations.json", {"clip": 30.0})
    for name in ("charades_sta", "activitynet", "qvhighlights", "cgbench", "ego4d/v1"):
        (root / name / VIDEOS).mkdir(parents=True)
    (root / "nextqa" / "NExTVideo").mkdir(parents=True)
    for folder, videos in ZERO_SHOT.values():
        write(root / folder / "train_q.json", [QUESTION])
        write(root / folder / "train_a.json", ANSWERS)
        (root / folder / videos).mkdir(parents=True)
    return root


def write_rows(path: Path, rows: list[dict]) -> Path:
    """A CSV with the keys of the first row as its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
