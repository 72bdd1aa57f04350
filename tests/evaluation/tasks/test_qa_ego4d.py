import pytest

from merv.errors import ConfigError

from .small import real, write
from .span_small import answered, small


def test_frames_are_of_thirty_a_second_and_the_answer_is_found_whatever_its_case(tmp_path):
    first, second = small("qa-ego4d", tmp_path).build().samples()

    assert first.meta["windows"] == [(2.0, 4.05)]
    assert second.meta["options"] == ["in the hat", "on the bat", "I dont know", "on the mat"]
    assert second.meta["answer"] == 3
    assert first.turns[-1].text.startswith("where was the cat Options: (A) ")


def test_without_options_the_answer_stands_in_the_same_place_in_every_run(tmp_path):
    runs = [small("qa-ego4d", tmp_path).build().samples()[0].meta for _ in range(2)]

    assert runs[0] == runs[1]
    assert runs[0]["options"][runs[0]["answer"]] == "On the mat"
    assert len(runs[0]["options"]) == 4


def test_the_rows_are_those_of_groundvqa(tmp_path):
    task = small("qa-ego4d", tmp_path).build()
    right = [sample.meta["answer"] for sample in task.samples()]

    summary = task.summary(answered(task, (right[0], [[2, 4.05]]), (None, [[8, 9], [2, 4]])))

    assert (summary["accuracy"], summary["R1@0.5"], summary["R5@0.5"]) == (0.5, 0.5, 1.0)
    assert (summary["Mean_R1"], summary["mIoU"], summary["Acc@GQA"]) == (0.5, 0.5, 0.5)


def test_durations_that_are_not_known_are_said(tmp_path, caplog):
    config = small("qa-ego4d", tmp_path)
    (tmp_path / "qa_ego4d/durations.json").unlink()

    samples = config.build().samples()

    assert [sample.meta["duration"] for sample in samples] == [None, None]
    assert "2 of 2 questions are asked without the duration" in caplog.text


def test_a_file_of_durations_that_is_none_is_named(tmp_path):
    path = write(tmp_path / "durations.json", [1, 2])

    with pytest.raises(ConfigError, match="holds no object of seconds by video"):
        small("qa-ego4d", tmp_path, durations=path).build()


def test_an_answer_outside_the_options_is_named(tmp_path):
    row = {"question": "x", "answer": "a", "options": ["b", "c"], "video_id": "v", "sample_id": "s"}
    path = write(tmp_path / "rows.json", [{**row, "moment_start_frame": 0, "moment_end_frame": 30}])

    with pytest.raises(ConfigError, match="row 0: answer 'a' is not one of the options"):
        small("qa-ego4d", tmp_path, annotations=path).build()


def test_the_recorded_shape_is_read():
    folder = real("annotations", "qa_ego4d")
    path = folder / "SYNTHETIC_annotations.QaEgo4D_val_options.json"

    samples = small("qa-ego4d", folder, annotations=path).build().samples()

    assert samples[0].meta["windows"] == [pytest.approx((0.0, 1309.971 / 30))]
    assert (samples[1].meta["options"][samples[1].meta["answer"]], len(samples[1].meta["options"])) == ("red", 4)
