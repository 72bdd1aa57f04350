"""Small files in the shape of each multiple-choice benchmark, with invented questions, and the way to genuine ones."""

import csv
import json
from pathlib import Path

import pytest

from merv.data.formats.mlvu import LISTS
from merv.data.formats.mvbench import FOLDERS
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks import (  # noqa: F401 - registers them
    egoschema,
    longvideobench,
    lvbench,
    merv_form,
    mlvu,
    mvbench,
    nextqa,
    perception_test,
    star,
    tvqa,
    videomme,
    vlep,
)

REAL = Path(__file__).resolve().parents[3] / ".." / "shared" / "realdata"


def real(*parts: str) -> Path:
    """A genuine excerpt; the test is skipped where there is none."""
    path = REAL.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here: excerpts of the benchmarks are not part of the project")
    return path


def write(path: Path, value) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.suffix == ".jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in value) if lines else json.dumps(value))
    return path


def write_csv(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


NEXTQA = [
    {
        "video": video,
        "frame_count": "80",
        "width": "64",
        "height": "64",
        "question": question,
        "answer": answer,
        "qid": qid,
        "type": kind,
        **{f"a{i}": option for i, option in enumerate(["sit", "run", "jump", "sleep", "sing"])},
    }
    for video, qid, kind, question, answer in [
        ("11", "0", "CW", "why does the cat run", "1"),
        ("11", "1", "TP", "what did the cat do before it ran?", "0"),
        ("22", "0", "TN", "what does the dog do after eating", "3"),
        ("22", "1", "DL", "where is the dog", "4"),
    ]
]
MVBENCH = {"video": "a.mp4", "question": "What is done?", "candidates": ["Run.", "Sit."], "answer": "Sit."}
VIDEOMME = [
    {
        "video_id": f"00{number}",
        "duration": length,
        "domain": "Knowledge",
        "sub_category": "Law",
        "url": "",
        "videoID": f"clip{number}",
        "question_id": f"00{number}-1",
        "task_type": "Counting Problem",
        "question": "How many shapes?",
        "options": ["A. One.", "B. Two.", "C. Three.", "D. Four."],
        "answer": answer,
    }
    for number, length, answer in [(1, "short", "B"), (2, "long", "D")]
]
MLVU = {
    "video": "m.mp4",
    "duration": 246,
    "question": "Which?",
    "candidates": ["Red", "Blue", "Green", "Grey"],
    "answer": "Blue",
}
LONGVIDEOBENCH = [
    {
        "video_id": video,
        "question": "What is seen then?",
        "candidates": ["a ring", "a cross", "nothing", "a dog"],
        "correct_choice": right,
        "position": [1, 2],
        "question_category": category,
        "level": "L1-Perception",
        "id": f"{video}_0",
        "video_path": f"{video}.mp4",
        "subtitle_path": f"{video}_en.json",
        "duration_group": group,
        "starting_timestamp_for_subtitles": 10,
        "duration": 12.5,
    }
    for video, right, category, group in [("abcdefghijk", 1, "T2O", 15), ("@user-1234567890123456789", 3, "TOS", 600)]
]
LVBENCH = [
    {
        "key": "vid1",
        "type": "cartoon",
        "video_info": {"fps": 30, "duration_minutes": 0.5},
        "qa": [
            {
                "uid": "7",
                "question": "Which year?\n(A) 1900\n(B) 1901\n(C) 1902\n(D) 1903",
                "answer": "C",
                "question_type": ["reasoning", "event understanding"],
                "time_reference": "00:01-00:02",
            },
            {
                "uid": "8",
                "question": "Who?\n(A) Ann\n(B) Bob\n(C) Cid\n(D) Dan",
                "answer": "A",
                "question_type": ["reasoning"],
                "time_reference": "00:03-00:04",
            },
        ],
    }
]
STAR = [
    {
        "question_id": f"{kind}_T1_{number}",
        "question": "What was opened?",
        "video_id": "ABCDE",
        "start": 0.25,
        "end": 1.0,
        "answer": answer,
        "choices": [
            {"choice_id": i, "choice": choice} for i, choice in enumerate(["Box.", "Door.", "Bag.", "Window."])
        ],
    }
    for number, (kind, answer) in enumerate([("Interaction", "Door."), ("Sequence", "Box."), ("Sequence", "Bag.")])
]
TVQA = [
    {
        "qid": 5 + number,
        "q": "Who enters?",
        **{f"a{i}": name for i, name in enumerate(["Ann", "Bob", "Cid", "Dan", "Eve"])},
        "answer_idx": right,
        "ts": times,
        "vid_name": video,
        "show_name": show,
    }
    for number, (video, show, times, right) in enumerate(
        [("met_s01e02_seg01_clip_03", "How I Met You Mother", "0.5-1.0", 4), ("s01e01_seg01_clip_00", "BBT", "0-1", 0)]
    )
]
VLEP = [
    {
        "example_id": 3,
        "vid_name": "clip_ep",
        "ts": [0.25, 1.0],
        "events": ["She eats.", "She leaves."],
        "answer": 1,
        "split": "dev",
    }
]
EGOSCHEMA = [
    {
        "q_uid": uid,
        "google_drive_id": "",
        "question": "What is C doing?",
        **{f"option {i}": f"C does {i}." for i in range(5)},
    }
    for uid in ("aa-1", "bb-2")
]
PERCEPTION = {
    "video_1": {
        "metadata": {"video_id": "video_1", "frame_rate": 8.0, "num_frames": 16, "split": "valid"},
        "mc_question": [
            {
                "id": 0,
                "question": "Does the camera move?",
                "options": ["no", "yes", "I don't know"],
                "answer_id": 1,
                "area": "physics",
                "reasoning": "descriptive",
                "tag": ["motion"],
                "end_frame": 12,
            },
            {"id": 1, "question": "How many?", "options": ["1", "2", "3"], "answer_id": 0, "area": "memory"},
        ],
    }
}
MERV_QUESTIONS = [
    {"video_name": "v", "question_id": "q1", "num_option": 3, "question": "Which?", "options": ["x", "y", "z"]},
    {
        "video_name": "w.mp4",
        "question_id": "q2",
        "num_option": 2,
        "question": "Which?",
        "options": ["x", "y"],
        "time": [0.5, 1.0],
        "end_frame": 8,
    },
]
MERV_ANSWERS = [
    {"question_id": "q2", "answer_id": 0, "answer": "x"},
    {"question_id": "q1", "answer_id": 2, "answer": "z"},
]

NAMES = (
    "nextqa-mc",
    "perception-test",
    "mvbench",
    "videomme",
    "mlvu",
    "longvideobench",
    "lvbench",
    "star",
    "tvqa",
    "vlep",
    "egoschema",
    "merv-mcq",
)


def small(name: str, root: Path, **options):
    """A config of benchmark `name` on files of its shape below `root`."""
    config = TaskConfig.get(name)(data_root=root, **options)
    path = config.annotation_path
    match name:
        case "nextqa-mc":
            write_csv(path, NEXTQA)
            write(path.with_name("map_vid_vidorID.json"), {"11": "0001/11", "22": "0002/22"})
        case "mvbench":
            for kind in FOLDERS:
                times = {"start": 0.25, "end": 1.0} if kind in ("action_sequence", "episodic_reasoning") else {}
                video = {"video": "castle_clip_14"} if kind == "episodic_reasoning" else {}
                write(path / f"{kind}.json", [{**MVBENCH, **video, **times}])
        case "mlvu":
            for number, part in enumerate(LISTS):
                write(path / f"{part}.json", [{**MLVU, "question_type": part[2:]}] * (1 + number % 2))
        case "videomme":
            config.annotations = write(path.with_suffix(".jsonl"), VIDEOMME)
        case "egoschema":
            write(path, EGOSCHEMA)
            write(path.with_name("subset_answers.json"), {"bb-2": 4})
        case "merv-mcq":
            write(path, MERV_QUESTIONS)
            write(path.with_name("test_a.json"), MERV_ANSWERS)
        case _:
            rows = {"longvideobench": LONGVIDEOBENCH, "lvbench": LVBENCH, "star": STAR, "tvqa": TVQA, "vlep": VLEP}
            write(path, rows.get(name, PERCEPTION))
    return config
