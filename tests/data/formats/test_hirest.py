import copy

import pytest

from merv.data.formats.hirest import read

from ..role_layout import HIREST, write


def read_file(tmp_path, what, content=HIREST):
    (tmp_path / "abc.mp4").touch()
    return read(write(tmp_path / "all.json", content), tmp_path, dataset="h", what=what)


def asked(reading):
    return [(sample.meta["query"], sample.meta["windows"]) for sample in reading.samples]


def changed(**change):
    content = copy.deepcopy(HIREST)
    content["Bake a Cake"]["abc.mp4"].update(change)
    return content


def test_parts_answer_the_query(tmp_path):
    reading = read_file(tmp_path, "parts")

    assert asked(reading) == [("Bake a Cake", [(10.0, 50.0)])]
    assert reading.samples[0].media[0].path == tmp_path / "abc.mp4"
    assert reading.samples[0].meta["duration"] == 60.0
    assert reading.skipped == {"of videos without a marked part": 1}


def test_steps_are_asked_by_their_heading(tmp_path):
    assert asked(read_file(tmp_path, "steps")) == [("mix flour", [(10.0, 20.0)]), ("bake it", [(20.0, 50.0)])]


def test_steps_are_asked_by_their_neighbours(tmp_path):
    assert asked(read_file(tmp_path, "neighbours")) == [
        ("The moment before bake it", [(10.0, 20.0)]),
        ("The moment after mix flour", [(20.0, 50.0)]),
    ]


@pytest.mark.parametrize("what", ["steps", "neighbours"])
@pytest.mark.parametrize("steps", [[], None])
def test_videos_without_steps_are_skipped(tmp_path, what, steps):
    reading = read_file(tmp_path, what, changed(steps=steps))

    assert reading.skipped == {"of videos without steps": 1, "of videos without a marked part": 1}
    assert not reading.bad_rows


@pytest.mark.parametrize("what", ["parts", "steps", "neighbours"])
@pytest.mark.parametrize("change", [{"clip": False}, {"relevant": False}])
def test_placeholders_of_unmarked_videos_are_skipped(tmp_path, what, change):
    reading = read_file(tmp_path, what, changed(**change))

    assert not reading.samples
    assert set(reading.skipped) == {"of videos without a marked part"}


def test_videos_that_are_gone_are_skipped(tmp_path):
    content = {"Bake": {"gone.mp4": HIREST["Bake a Cake"]["abc.mp4"]}}

    assert read_file(tmp_path, "parts", content).skipped == {"without a video in the folder": 1}


def test_one_bad_step_leaves_the_others(tmp_path):
    steps = [{"heading": "mix", "absolute_bounds": [10, 10]}, {"heading": "bake", "absolute_bounds": [20, 50]}, 7]

    reading = read_file(tmp_path, "steps", changed(steps=steps))

    assert asked(reading) == [("bake", [(20.0, 50.0)])]
    assert [(bad.row, bad.reason) for bad in reading.bad_rows] == [
        (0, "window 10 - 10 s has no length"),
        (2, "query: found ''; expected words"),
    ]


@pytest.mark.parametrize("content", [{"Bake": 3}, {"Bake": {"abc.mp4": [1]}}])
def test_entries_of_another_shape_are_bad_rows(tmp_path, content):
    (bad,) = read_file(tmp_path, "steps", content).bad_rows

    assert "expected an object" in bad.reason
