import json

import pytest

from merv.errors import ConfigError
from merv.evaluation.task import Item, Parsed
from merv.video.media import Span

from .small import real, write
from .span_small import answered, moments, small


def test_a_clip_is_its_own_file_or_a_stretch_of_the_whole_video(tmp_path):
    config = small("qvhighlights", tmp_path)
    videos = tmp_path / "qvhighlights/videos"
    videos.mkdir()
    (videos / "x-_y.mkv").touch()

    first, second = (sample.media[0] for sample in config.build().samples())

    assert (first.path.name, first.span) == ("a_-b_c_0.0_10.0.mp4", None)
    assert (second.path.name, second.span) == ("x-_y.mkv", Span(10.0, 20.0))


def test_the_window_listed_first_counts_for_r1_and_the_scores_for_map(tmp_path):
    task = small("qvhighlights", tmp_path).build()

    summary = task.summary(answered(task, [[0, 1, 0.1], [2, 4, 0.9], [6, 9, 0.8]], [[2, 4], [6, 9]]))

    assert summary["MR-full-R1@0.5"] == 0.5
    assert summary["MR-full-mAP"] == 1.0
    assert summary["iou"] == 0.5


def test_a_query_without_windows_is_a_miss(tmp_path):
    task = small("qvhighlights", tmp_path).build()

    summary = task.summary(answered(task, [], [[2, 4], [6, 9]]))

    assert (summary["MR-full-mAP"], summary["MR-full-R1@0.95"], summary["unparsed"]) == (0.5, 0.5, 1)


def test_highlights_are_scored_where_an_answer_has_some(tmp_path):
    task = small("qvhighlights", tmp_path).build()
    parsed = Parsed({"spans": [[2, 4]], "answer": None, "saliency": [0.1, 0.9, 0.2, 0.8, 0.0]})

    summary = task.summary([Item(sample, task.score(sample, parsed), parsed) for sample in task.samples()])

    assert summary["HL-min-VeryGood-Hit1"] == 1.0
    assert not any(name.startswith("HL") for name in task.summary(answered(task, [[2, 4]], [[2, 4]])))


def test_videominds_variant_has_more_rows(tmp_path):
    task = small("qvhighlights", tmp_path, protocol="videomind").build()

    summary = task.summary(answered(task, [[2, 4]], [[0, 1]]))

    assert (summary["MR-full-R1@0.3"], summary["MR-full-mIoU"]) == (0.5, 0.5)
    assert task.describe()["protocol"] == "videomind"


def test_a_split_without_windows_is_refused(tmp_path):
    rows = [{key: value for key, value in row.items() if key != "relevant_windows"} for row in moments("a_0_10")]
    path = write(tmp_path / "test.jsonl", rows)

    with pytest.raises(ConfigError, match=r"row 0 has no relevant_windows; its split is published without"):
        small("qvhighlights", tmp_path, annotations=path).build()


def test_the_genuine_rows_are_read():
    folder = real("annotations", "qvhighlights")

    samples = small("qvhighlights", folder, annotations=folder / "highlight_val_release.jsonl").build().samples()

    assert len(samples) == 775
    assert (samples[0].id, samples[0].meta["duration"]) == ("2579", 150.0)
    assert samples[0].meta["windows"] == [(82.0, 150.0)]
    assert sum(len(sample.meta["windows"]) > 1 for sample in samples) > 200


@pytest.mark.parametrize("pair", ["random_plain", "random_ties", "random_many"])
def test_the_task_gives_the_numbers_of_the_official_evaluator(pair):
    folder = real("golden", "qvhighlights", pair)
    rows = {row["qid"]: row for row in map(json.loads, (folder / "preds.jsonl").read_text().splitlines())}
    task = small("qvhighlights", folder, annotations=folder / "gt.jsonl").build()

    items = []
    for sample in task.samples():
        row = rows[int(sample.id)]
        value = {"spans": row["pred_relevant_windows"], "answer": None, "saliency": row["pred_saliency_scores"]}
        items.append(Item(sample, {}, Parsed(value)))
    summary = task.summary(items)

    official = json.loads((folder / "metrics_moment_detr.json").read_text())["brief"]
    assert {name: round(100 * summary[name], 2) for name in official} == pytest.approx(official, abs=1e-9)
