"""Small files in the shape of each grounding and grounded-QA benchmark, with invented sentences on two videos."""

from collections.abc import Callable
from pathlib import Path

from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.task import Item, Parsed, TaskConfig
from merv.evaluation.tasks import (  # noqa: F401 - registers them
    activitynet_captions,
    activitynet_rtl,
    cgbench,
    charades_sta,
    deveqa,
    didemo,
    ego4d_nlq,
    nextgqa,
    qa_ego4d,
    qvhighlights,
    rextime,
    tacos,
)

from .small import write, write_csv

OPTIONS = ["sit", "run", "jump", "sleep", "sing"]


def moments(*videos: str) -> list[dict]:
    """Rows of moment_detr's form: 2..4 s and 6..9 s of 10 s."""
    return [
        {"qid": number, "query": "a cat  jumps ", "duration": 10, "vid": vid, "relevant_windows": [[2, 4], [6, 9]]}
        for number, vid in enumerate(videos)
    ]


def _charades(folder: Path) -> None:
    folder.mkdir(parents=True)
    lines = "AAAAA 2.0 4.0##a cat jumps.\n\nBBBBB 6.0 12.5##a dog: sleeps ## well.\n"
    (folder / "charades_sta_test.txt").write_text(lines)
    lengths = {"AAAAA": "10", "BBBBB": "12.0"}
    rows = [{"id": vid, "script": 'He said "jump", twice', "length": length} for vid, length in lengths.items()]
    write_csv(folder / "Charades_v1_test.csv", rows)


def _activitynet(folder: Path) -> None:
    rows = {
        "v_a": {"duration": 10, "timestamps": [[2, 4], [6, 11.5]], "sentences": ["A cat jumps.", "  It sleeps."]},
        "v_b": {"duration": 9.5, "timestamps": [[4, 1]], "sentences": ["A dog sleeps."]},
    }
    write(folder / "val_2.json", rows)


def _tacos(folder: Path) -> None:
    rows = moments("s1-d1", "s1-d2")
    for number, row in enumerate(rows):
        row |= {"qid": f"{row['vid']}_{number}", "relevant_windows": [[2, 4]]}
    write(folder / "test.jsonl", rows)


def _qvhighlights(folder: Path) -> None:
    rows = moments("a_-b_c_0.0_10.0", "x-_y_10.0_20.0")
    marks = {"relevant_clip_ids": [1, 3], "saliency_scores": [[4, 4, 2], [3, 2, 1]]}
    write(folder / "highlight_val_release.jsonl", [{**row, **marks} for row in rows])


def _ego4d(folder: Path) -> None:
    rows = [{**row, "query": "Where is the cat?"} for row in moments("clip-a", "clip-b")]
    rows[0]["relevant_windows"], rows[1]["relevant_windows"] = [[2, 4]], [[5, 5]]
    write(folder / "nlq_val.jsonl", rows)


def _didemo(folder: Path) -> None:
    common = {"description": "the cat jumps", "num_segments": 6}
    rows = [
        {**common, "video": "1@N02_3_ab.mov", "annotation_id": 0, "times": [[0, 0], [0, 0], [0, 1], [5, 5]]},
        {**common, "video": "4@N05_6_cd", "annotation_id": 1, "times": [[4, 5], [4, 5], [5, 5], [4, 4]]},
    ]
    write(folder / "test_data.json", rows)
    write(folder / "durations.json", {"1@N02_3_ab": 27.5})


def _rtl(folder: Path) -> None:
    rows = [
        {
            "question_id": f"{vid}_{n}",
            "vid": vid,
            "duration": 10.0,
            "question": "When is it most exciting?",
            "answer": a,
        }
        for vid, n, a in [("a", 0, "<2.00> <4.00> It jumps."), ("a", 1, "<6> <9.5> See 3."), ("b", 0, "<0.0> <.5>")]
    ]
    write(folder / "annot_val_1_q229.json", rows)


def _nextgqa(folder: Path) -> None:
    rows = [
        {"video_id": vid, "frame_count": 80, "width": 64, "height": 64, "question": "why does it run",
         "answer": answer, "qid": qid, "type": kind, **{f"a{i}": option for i, option in enumerate(OPTIONS)}}
        for vid, qid, kind, answer in [("11", "0", "CW", "run"), ("11", "3", "TP", "Sing"), ("22", "0", "TN", "sit")]
    ]  # fmt: skip
    write_csv(folder / "test.csv", rows)
    location = {"0": [[2, 4], [6, 9]], "3": [[0.5, 1.5]]}
    windows = {
        "11": {"duration": 10, "location": location, "fps": 8},
        "22": {"duration": 10, "location": {"0": [[2, 4]]}},
    }
    write(folder / "gsub_test.json", windows)
    write(folder / "map_vid_vidorID.json", {"11": "1001/11"})


def _rextime(folder: Path) -> None:
    rows = [
        {"qid": "q0", "question": "What follows?", "options": OPTIONS[:4], "answer": "From <s0> to <e0>, run",
         "ans": "B", "span": [2, 4], "vid": "v_abcdefghijk", "category": "sequential", "duration": 10.5},
        {"qid": "q1", "question": "Why?", "options": OPTIONS[:4], "answer": "From <s0> to <e0>, sit",
         "ans": "A", "span": [6, 9], "vid": "a_b-c_0.0_10.0", "category": "cause-effect", "duration": 10},
    ]  # fmt: skip
    write(folder / "rextime_val.json", rows)


def _cgbench(folder: Path) -> None:
    rows = [
        {"qid": n, "video_uid": vid, "question": "What colour?", "choices": OPTIONS, "answer": OPTIONS[n],
         "right_answer": "ABCDE"[n], "clue_intervals": clues, "domain": "Life", "sub_category": "Entity Perception",
         "duration": 10}
        for n, vid, clues in [(0, "vid-a", [[2, 4], [6, 9]]), (4, "vid-b", [[1, 3]])]
    ]  # fmt: skip
    write(folder / "cgbench_mini.json", rows)


def _deveqa(folder: Path) -> None:
    rows = [
        {"q": "what jumps?", "a": OPTIONS, "correct_idx": 2, "vid": "v_a", "time": [2, 4], "duration": 10},
        {"question": "what sings?", "distract_answers": OPTIONS[:4], "answer": "sing", "vid": "v_b",
         "timestamp": [6, 9]},
        {"qid": "n1", "video_id": "v_b", "question": "what runs?", "options": {"B": "run", "A": "sit"}, "answer": "B",
         "gt_span": {"start": 1, "end": 2}},
    ]  # fmt: skip
    write(folder / "DeVE-QA_val.json", rows)
    write(folder / "durations.json", {"v_b": 12.5})


def _qa_ego4d(folder: Path) -> None:
    common = {
        "question": "where was the cat ",
        "answer": "On the mat",
        "moment_start_frame": 60.0,
        "moment_end_frame": 121.5,
    }
    wrong = ["in the hat", "on the bat", "I dont know"]
    rows = [
        {**common, "video_id": "clip-a", "sample_id": "s_0", "wrong_answers": wrong},
        {
            **common,
            "video_id": "clip-b",
            "sample_id": "s_1",
            "wrong_answers": wrong,
            "options": [*wrong, "on the mat"],
        },
    ]
    write(folder / "annotations.QaEgo4D_test_options.json", rows)
    write(folder / "durations.json", {"clip-a": 10.0, "clip-b": 10.0})


FILES: dict[str, Callable[[Path], None]] = {
    "charades-sta": _charades,
    "activitynet-captions": _activitynet,
    "tacos": _tacos,
    "qvhighlights": _qvhighlights,
    "ego4d-nlq": _ego4d,
    "didemo": _didemo,
    "activitynet-rtl": _rtl,
    "nextgqa": _nextgqa,
    "rextime": _rextime,
    "cgbench": _cgbench,
    "deveqa": _deveqa,
    "qa-ego4d": _qa_ego4d,
}
GROUNDED_QA = ("nextgqa", "rextime", "cgbench", "deveqa", "qa-ego4d")


def small(name: str, root: Path, **options) -> BenchmarkConfig:
    """The benchmark's config on files drawn below `root`."""
    config = TaskConfig.get(name)(data_root=root, **options)
    if not config.annotation_path.parent.exists():
        FILES[name](config.annotation_path.parent)
    return config


def answered(task, *values):
    """The items of a task when its samples are answered so: a list of spans, or (option, spans)."""
    items = []
    for sample, value in zip(task.samples(), values, strict=True):
        answer, spans = value if isinstance(value, tuple) else (None, value)
        parsed = Parsed({"spans": spans, "answer": answer}, ok=bool(spans))
        items.append(Item(sample, task.score(sample, parsed), parsed))
    return items
