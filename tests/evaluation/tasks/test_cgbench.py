import json

import pytest

from merv.errors import ConfigError

from .small import real, write
from .span_small import answered, small


def test_the_answer_is_a_letter_and_clues_are_several(tmp_path):
    first, second = small("cgbench", tmp_path).build().samples()

    assert (first.meta["answer"], second.meta["answer"]) == (0, 4)
    assert (first.meta["windows"], first.meta["kind"]) == ([(2.0, 4.0), (6.0, 9.0)], "Entity Perception")


def test_all_spans_together_meet_all_clues_and_videomind_takes_the_first(tmp_path):
    spans = [[2, 4], [6, 9], [6, 7]]
    official = small("cgbench", tmp_path, limit=1).build()
    videomind = small("cgbench", tmp_path, limit=1, protocol="videomind").build()

    assert answered(official, (0, spans))[0].scores == {
        "accuracy": 1.0,
        "iou": 1.0,
        "rec.@IoU": 1.0,
        "acc.@IoU": 1.0,
    }
    assert answered(videomind, (0, spans))[0].scores["iou"] == pytest.approx(2 / 5)


@pytest.mark.parametrize(("protocol", "recall"), [("official", 0.6), ("videomind", 0.8)])
def test_official_asks_for_more_than_the_threshold(tmp_path, protocol, recall):
    task = small("cgbench", tmp_path, limit=1, protocol=protocol).build()

    items = answered(task, (1, [[2, 4]]))  # an IoU of exactly 0.4, and the wrong option
    summary = task.summary(items)

    assert (items[0].scores["rec.@IoU"], items[0].scores["acc.@IoU"]) == (pytest.approx(recall), 0.0)
    assert (summary["rec.@IoU"], summary["long-acc."], summary["acc.@IoU"]) == (pytest.approx(recall), 0.0, 0.0)


def test_measured_durations_replace_the_rounded_ones(tmp_path):
    path = write(tmp_path / "durations.json", {"vid-a": 10.25})

    samples = small("cgbench", tmp_path, durations=path).build().samples()

    assert [sample.meta["duration"] for sample in samples] == [10.25, 10.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right_answer": "F"}, "answer 'F'"),
        ({"choices": None}, "field choices: found nothing"),
        ({"clue_intervals": []}, "windows are"),
        ({"duration": "x"}, "duration is"),
    ],
)
def test_a_bad_row_is_named(tmp_path, change, message):
    config = small("cgbench", tmp_path)
    rows = json.loads(config.annotation_path.read_text())
    write(config.annotation_path, [rows[0], {**rows[1], **change}])

    with pytest.raises(ConfigError, match=f"row 1: {message}"):
        config.build()


def test_the_genuine_file_is_read():
    folder = real("annotations", "cgbench")

    samples = small("cgbench", folder, annotations=folder / "cgbench_mini.json").build().samples()

    assert len(samples) == 250
    assert (samples[0].id, samples[0].meta["windows"], samples[0].meta["duration"]) == ("14", [(8.0, 11.0)], 2741.0)
    assert samples[0].meta["options"][samples[0].meta["answer"]] == "White"
    assert max(len(sample.meta["options"]) for sample in samples) == 8
    assert sum(len(sample.meta["windows"]) > 1 for sample in samples) == 35
