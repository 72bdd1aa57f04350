"""A small copy of the published layout: every set for models with roles, with a row or two of its shape."""

import csv
import json
import pickle
from collections import defaultdict
from pathlib import Path

VIDEOS = "videos_3fps_480_noaudio"
WINDOWS = {"qid": 7, "query": "A dog runs.", "vid": "a_b_60.0_210.0", "duration": 150, "relevant_windows": [[2, 8]]}
SPAN = {"vid": "abc", "duration": 30.5, "query": "a dog runs", "span": [1.5, 9]}
QA = [{"question": "Who runs?", "answer": "a dog", "distractor": ["a cat", "a man", "nobody"]}]
PROPOSALS = {
    "video_path": "data/didemo/videos_3fps_480_noaudio/a@b.mp4",
    "duration": 30.0,
    "query": "a dog runs",
    "span": [[5, 15]],
    "pred": [[5, 14], [0, 30], [20, 20]],
}
HIREST = {
    "Bake a Cake": {
        "abc.mp4": {
            "relevant": True,
            "clip": True,
            "v_duration": 60.0,
            "bounds": [10, 50],
            "steps": [
                {"index": 0, "heading": "mix flour ", "absolute_bounds": [10, 20]},
                {"index": 1, "heading": "bake it ", "absolute_bounds": [20, 50]},
            ],
        },
        "unmarked.mp4": {"relevant": True, "clip": False, "v_duration": 60.0, "bounds": [0, 0], "steps": []},
    }
}
COLUMNS = [
    "video",
    "frame_count",
    "width",
    "height",
    "question",
    "answer",
    "qid",
    "type",
    "a0",
    "a1",
    "a2",
    "a3",
    "a4",
]
NEXTQA = ["4010", 369, 640, 480, "who runs", 2, 6, "CH", "a", "b", "c", "d", "e"]


def write_layout(root: Path) -> Path:
    """Write all sets below `root`, which is given back."""
    _lists(root)
    _queryd(root / "queryd")
    _csv(root / "nextqa")
    for name in ("qvhighlights", "didemo", "tacos", "queryd", "cosmo_cap", "hirest", "deve_qa"):
        write(root / name / VIDEOS / "abc.mp4", "")
    write(root / "internvid_vtime" / "videos_crop_3fps_480_noaudio" / "abc.mp4", "")
    return root


def write(path: Path, *rows: object) -> Path:
    """A text, a JSON value, or the lines of a `.jsonl`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    else:
        path.write_text(rows[0] if isinstance(rows[0], str) else json.dumps(rows[0]))
    return path


def write_pickle(path: Path, lists: dict) -> Path:
    """Lists by video, as the publishers wrote them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(defaultdict(list, lists), protocol=3))
    return path


def _lists(root: Path) -> None:
    write(root / "qvhighlights" / "highlight_train_release.jsonl", WINDOWS)
    write(root / "tacos" / "train.jsonl", {**WINDOWS, "qid": "s1-d2_0", "vid": "s1-d2"})
    moment = {"annotation_id": 9, "description": "a dog", "video": "a@b.mov", "times": [[1, 1], [1, 2]]}
    write(root / "didemo" / "train_data.json", [moment])
    write(root / "didemo" / "durations.json", {"a@b": 29.5})
    write(root / "cosmo_cap" / "anno_cosmo_cap.jsonl", SPAN)
    write(root / "internvid_vtime" / "anno_internvid_vtime_query_gpt4o_mini.jsonl", SPAN)
    write(root / "hirest" / "all_data_train.json", HIREST)
    for name in ("qvhighlights", "didemo", "tacos"):
        for size in ("2b", "7b"):
            write(root / "verifying" / f"verifying_{name}_{size}.json", [PROPOSALS])
    plan = {"video_path": "data/nextqa/NExTVideo/11/4010.mp4", "route": 4, "question": "Who runs?"}
    write(root / "planning" / "planning_nextqa_qvhighlights_gpt4o_mini.jsonl", plan)
    write(root / "qvhighlights_qa" / "highlight_train_release.jsonl", {**WINDOWS, "qa_base": QA})
    write(root / "tacos_qa" / "train.jsonl", {**WINDOWS, "vid": "s1-d2", "qa_base": QA})
    write(root / "cosmo_cap_qa" / "anno_cosmo_cap.jsonl", {**SPAN, "qa_base": QA})
    asked = {"vid": "v_x", "question": "Who?", "answer": "a", "distract_answers": ["b", "c"], "timestamp": [1, 4]}
    write(root / "deve_qa" / "DeVE-QA_train.json", [asked])
    write(root / "deve_qa" / "durations.json", {"v_x": 20})


def _queryd(folder: Path) -> None:
    write(folder / "train_list.txt", "video-abc\n")
    write_pickle(folder / "raw_captions_combined_filtered-v2.pkl", {"video-abc": [["a", "dog"], ["a", "cat"]]})
    write_pickle(folder / "times_captions_combined_filtered-v2.pkl", {"video-abc": [[1.5, 4.25], [6.0, 6.0]]})
    write(folder / "durations.json", {"abc": 40.0})


def _csv(folder: Path) -> None:
    (folder / "NExTVideo").mkdir(parents=True)
    with (folder / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, NEXTQA])
    write(folder / "map_vid_vidorID.json", {"4010": "11/4010"})
