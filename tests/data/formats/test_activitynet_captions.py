import pytest

from merv.data.formats.activitynet_captions import read
from merv.errors import ConfigError

from ..role_layout import write

ENTRY = {
    "duration": 40.0,
    "timestamps": [[0.5, 9], [9, 41.25], [50, 60], [20, 20]],
    "sentences": ["A dog  runs.", " It sleeps.", "It is gone.", "It blinks."],
}


def test_every_sentence_has_its_window(tmp_path):
    path = write(tmp_path / "train.json", {"v_a": ENTRY, "v_b": {**ENTRY, "duration": 70}})

    reading = read(path, tmp_path, dataset="a")

    assert [sample.meta["query"] for sample in reading.samples[:2]] == ["A dog runs", "It sleeps"]
    assert [sample.meta["windows"] for sample in reading.samples[:2]] == [[(0.5, 9.0)], [(9.0, 40.0)]]
    assert list(reading.rows) == [0, 1, 4, 5, 6]
    assert [(bad.row, bad.reason) for bad in reading.bad_rows][:2] == [
        (2, "video `v_a`: window 50 - 60 s lies outside the video of 40 s"),
        (3, "video `v_a`: window 20 - 20 s has no length"),
    ]


def test_measured_seconds_stand_in_for_those_of_the_file_where_they_are_known(tmp_path):
    path = write(tmp_path / "train.json", {"v_a": ENTRY, "v_b": ENTRY})
    measured = write(tmp_path / "durations.json", {"v_b": 42.5})

    reading = read(path, tmp_path, dataset="a", durations=measured)

    assert [sample.meta["duration"] for sample in reading.samples] == [40.0, 40.0, 42.5, 42.5]


def test_moments_are_asked_by_neighbours_that_are_near(tmp_path):
    path = write(tmp_path / "train.json", {"v_a": {**ENTRY, "duration": 70}})

    reading = read(path, tmp_path, dataset="a", asked_by="neighbours")

    assert [(sample.meta["query"], sample.meta["windows"]) for sample in reading.samples] == [
        ("The moment before It sleeps", [(0.5, 9.0)]),
        ("The moment after A dog runs", [(9.0, 41.25)]),
        ("The moment before It blinks", [(50.0, 60.0)]),
    ]
    assert reading.skipped == {"whose neighbour is 3 s away or more": 2}
    assert len(reading.bad_rows) == 1


@pytest.mark.parametrize("content", [[], [ENTRY]])
def test_a_file_that_is_no_object_is_refused(tmp_path, content):
    with pytest.raises(ConfigError, match="expected an object of duration, timestamps and sentences by video"):
        read(write(tmp_path / "train.json", content), tmp_path, dataset="a")
