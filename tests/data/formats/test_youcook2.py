import pytest

from merv.data.formats.youcook2 import read
from merv.errors import ConfigError

from ..moment_layout import RECIPE
from ..role_layout import write


def steps(*segments):
    return [{"id": i, "segment": segment, "sentence": f"step {i}"} for i, segment in enumerate(segments)]


def read_database(tmp_path, database, **options):
    for video in database:
        (tmp_path / f"{video}.mp4").touch()
    return read(
        write(tmp_path / "all.json", {"database": database}), tmp_path, dataset="y", subset="training", **options
    )


def test_each_step_of_the_subset_is_taken_once(tmp_path):
    database = {
        "abc": {**RECIPE, "annotations": steps([4, 9], [10, 20])},
        "def": {**RECIPE, "subset": "validation"},
        "gone": RECIPE,
    }
    for_this = {name: database[name] for name in ("abc", "def")}
    read_database(tmp_path, for_this)

    reading = read(write(tmp_path / "all.json", {"database": database}), tmp_path, dataset="y", subset="training")

    assert [(sample.meta["query"], sample.meta["windows"]) for sample in reading.samples] == [
        ("step 0", [(4.0, 9.0)]),
        ("step 1", [(10.0, 20.0)]),
    ]
    assert reading.num_rows == 3
    assert reading.skipped == {"without a video in the folder": 1}


def test_steps_are_asked_by_neighbours_that_are_near(tmp_path):
    reading = read_database(
        tmp_path, {"abc": {**RECIPE, "annotations": steps([4, 9], [10, 20], [23, 30])}}, asked_by="neighbours"
    )

    assert [sample.meta["query"] for sample in reading.samples] == [
        "The moment before step 1",
        "The moment after step 0",
    ]
    assert reading.skipped == {"whose neighbour is 3 s away or more": 2}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (3, "found int 3; expected an object"),
        ({**RECIPE, "annotations": None}, "field annotations: found nothing; expected a list of steps"),
        ({**RECIPE, "annotations": [{"sentence": "boil"}]}, "window: found None"),
        ({**RECIPE, "annotations": [{"segment": [1, 2]}]}, "field query: found nothing; expected text"),
    ],
)
def test_a_bad_entry_is_set_aside(tmp_path, entry, reason):
    reading = read_database(tmp_path, {"abc": entry, "def": RECIPE})

    assert list(reading.rows) == [1]
    assert reason in reading.bad_rows[0].reason


def test_a_file_without_a_database_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"all.json: field database: found nothing; expected an object of videos"):
        read(write(tmp_path / "all.json", {"videos": {}}), tmp_path, dataset="y", subset="training")
