import json

import pytest

from merv.errors import ConfigError
from merv.evaluation.task import Item, Parsed

from .small import real, write
from .span_small import answered, moments, small


def test_videos_come_from_two_places(tmp_path):
    config = small("rextime", tmp_path, activitynet_root=tmp_path / "a", qvhighlights_root=tmp_path / "q")

    paths = [sample.media[0].path for sample in config.build().samples()]

    assert paths == [tmp_path / "a/v_abcdefghijk.mp4", tmp_path / "q/a_b-c_0.0_10.0.mp4"]


def test_the_letter_and_the_window_give_the_official_rows(tmp_path):
    task = small("rextime", tmp_path).build()

    summary = task.summary(answered(task, (1, [[2, 4]]), (0, [[6, 7]])))

    assert [sample.meta["answer"] for sample in task.samples()] == [1, 0]
    assert (summary["VQA"], summary["MR-full-R1@0.3"], summary["MR-full-R1@0.5"]) == (1.0, 1.0, 0.5)
    assert (summary["VQA,mIoU@0.3"], summary["VQA,mIoU@0.5"]) == (1.0, 0.5)
    assert summary["MR-full-mIoU"] == pytest.approx((1 + 1 / 3) / 2)
    assert summary["accuracy/sequential"] == 1.0


def test_rows_without_options_ask_for_the_window_alone(tmp_path):
    path = write(tmp_path / "rextime_val.jsonl", [{**row, "ans": "A"} for row in moments("v_abcdefghijk")])

    task = small("rextime", tmp_path, annotations=path).build()

    assert "Options" not in task.samples()[0].turns[-1].text
    summary = task.summary(answered(task, [[6, 9]]))
    assert summary["MR-full-mIoU"] == 1.0
    assert not any("VQA" in name or "accuracy" in name for name in summary)


def test_a_file_with_options_on_some_rows_is_refused(tmp_path):
    config = small("rextime", tmp_path)
    rows = json.loads(config.annotation_path.read_text())
    del rows[1]["options"]
    write(config.annotation_path, rows)

    with pytest.raises(ConfigError, match="1 of 2 rows have options"):
        config.build()


def test_a_letter_of_no_option_is_named(tmp_path):
    config = small("rextime", tmp_path)
    rows = json.loads(config.annotation_path.read_text())
    rows[1]["ans"] = "E"
    write(config.annotation_path, rows)

    with pytest.raises(ConfigError, match="row 1: answer 'E' is none of its 4 options"):
        config.build()


def test_the_genuine_rows_and_the_options_shape_are_read():
    folder = real("annotations", "rextime")

    rows = small("rextime", folder, annotations=folder / "rextime_val.jsonl").build().samples()
    choice = small("rextime", folder, annotations=folder / "SEMI_SYNTHETIC_rextime_val.json").build().samples()

    assert len(rows) == 460
    assert (rows[0].id, rows[0].meta["windows"], rows[0].meta["duration"]) == ("qvh_val241", [(0.0, 28.0)], 150.0)
    assert (choice[0].id, choice[0].meta["windows"], choice[0].meta["answer"]) == ("qvh_val241", [(0.0, 28.0)], 0)
    assert choice[0].meta["options"][0] == "went away"


def test_the_task_gives_the_numbers_of_the_official_evaluator():
    folder = real("golden", "rextime", "grounding_only")
    preds = {row["qid"]: row for row in map(json.loads, (folder / "preds.jsonl").read_text().splitlines())}
    task = small("rextime", folder, annotations=folder / "gt.jsonl").build()

    items = [
        Item(sample, {}, Parsed({"spans": preds[sample.id]["pred_relevant_windows"], "answer": None}))
        for sample in task.samples()
    ]
    summary = task.summary(items)

    official = json.loads((folder / "metrics.json").read_text())["full"]
    assert round(100 * summary["MR-full-mIoU"], 2) == official["MR-mIoU"]
    assert {t: round(100 * summary[f"MR-full-R1@{t}"], 2) for t in official["MR-R1"]} == official["MR-R1"]
