import json

import pytest

from merv.errors import ConfigError

from .small import real
from .span_small import answered, small


def test_an_answer_is_a_text_and_a_window_one_of_several(tmp_path):
    first, second, third = small("nextgqa", tmp_path).build().samples()

    assert (first.id, first.meta["answer"], first.meta["windows"]) == ("11_0", 1, [(2.0, 4.0), (6.0, 9.0)])
    assert first.turns[-1].text.startswith("why does it run? Options: (A) sit (B) run (C) jump (D) sleep (E) sing ")
    assert (second.id, second.meta["answer"], second.meta["kind"]) == ("11_3", 4, "TP")  # `Sing` is written large
    assert first.media[0].path == tmp_path / "nextgqa/videos/1001/11.mp4"
    assert third.media[0].path == tmp_path / "nextgqa/videos/22.mp4"


def test_each_of_iou_and_iop_takes_its_own_best_window(tmp_path):
    task = small("nextgqa", tmp_path, limit=1).build()

    (item,) = answered(task, (1, [[3.0, 6.5]]))

    assert item.scores["iou"] == pytest.approx(1 / 4.5)
    assert item.scores["iop"] == pytest.approx(1 / 3.5)
    assert (item.scores["accuracy"], item.scores["Acc@GQA"]) == (1.0, 0.0)


@pytest.mark.parametrize(("protocol", "grounded"), [("official", 1.0), ("videomind", 0.0)])
def test_a_span_without_length_is_inside_for_the_official_script_only(tmp_path, protocol, grounded):
    task = small("nextgqa", tmp_path, limit=1, protocol=protocol).build()

    items = answered(task, (1, [[3, 3]]))

    assert (items[0].scores["iop"], items[0].scores["iou"]) == (grounded, 0.0)
    assert task.summary(items)["Acc@GQA"] == grounded
    assert task.describe() == {"condition": "video", "protocol": protocol, "missing": "wrong"}


@pytest.mark.parametrize(("missing", "share"), [("wrong", 1 / 3), ("skip", 1.0)])
def test_answers_without_a_span_are_wrong_or_left_out_of_the_table(tmp_path, missing, share):
    task = small("nextgqa", tmp_path, missing=missing).build()

    summary = task.summary(answered(task, (1, [[2, 4]]), (4, []), (None, [])))

    assert summary["Acc@GQA"] == summary["mIoU"] == pytest.approx(share)
    assert (summary["accuracy"], summary["unparsed"], summary["num_items"]) == (pytest.approx(2 / 3), 2, 3)
    assert summary["accuracy/CW"] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((",run,0,", ",fly,0,"), "answer 'fly' is not one of the options"),
        (("11,80", "99,80"), "the windows have none for question 0 of video 99"),
        (("a4", "b4"), "row 0: field a4: found nothing; expected text"),
    ],
)
def test_a_bad_row_is_named(tmp_path, change, message):
    config = small("nextgqa", tmp_path)
    path = config.annotation_path
    path.write_text(path.read_text().replace(*change, 1))

    with pytest.raises(ConfigError, match=message):
        config.build()


def test_the_genuine_files_are_read():
    folder = real("annotations", "nextgqa")

    for split, count in (("val", 400), ("test", 500)):
        samples = small("nextgqa", folder, annotations=folder / f"{split}.csv").build().samples()
        assert len(samples) == count
        assert len({sample.id for sample in samples}) == count
    assert samples[0].id == "2574374895_8"
    assert samples[0].meta["options"][samples[0].meta["answer"]] == "lay on floor"
    assert samples[0].meta["windows"] == [
        tuple(window) for window in json.loads((folder / "gsub_test.json").read_text())["2574374895"]["location"]["8"]
    ]
    assert {sample.meta["kind"] for sample in samples} == {"CW", "CH", "TN", "TC", "TP"}
