import json

import pytest

from merv.errors import ConfigError
from merv.filters.images import Unreadable
from merv.filters.reports import put, seen, unreadable_rows, write_json

from .colour_clip import paint


def test_results_are_apart_from_what_could_not_be_read(tmp_path):
    broken = Unreadable(tmp_path / "b.png", "no picture")

    found = seen([tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"], [0.5, broken, 0.7])

    assert list(found.pairs()) == [(tmp_path / "a.png", 0.5), (tmp_path / "c.png", 0.7)]
    assert unreadable_rows(found.unreadable, tmp_path) == [{"filename": "b.png", "reason": "no picture"}]


def test_where_nothing_can_be_read_the_first_reason_is_told(tmp_path):
    with pytest.raises(ConfigError, match="none of 1 images could be read; the first: no picture"):
        seen([tmp_path / "b.png"], [Unreadable(tmp_path / "b.png", "no picture")])


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_images_are_put_with_their_folders(tmp_path, mode):
    images = [paint(tmp_path / "in" / name / "1.png", "red") for name in ("a", "b")]
    (tmp_path / "out").mkdir()

    put(tmp_path / "out", "kept", images, root=tmp_path / "in", mode=mode)

    left = [tmp_path / "out" / "kept" / name / "1.png" for name in ("a", "b")]
    assert [path.read_bytes() for path in left] == [path.read_bytes() for path in images]
    assert left[0].samefile(images[0]) == (mode == "link")


def test_a_folder_nothing_is_put_into_is_there(tmp_path):
    put(tmp_path, "rejected", [], root=tmp_path / "in", mode="copy")

    assert list((tmp_path / "rejected").iterdir()) == []


def test_a_list_names_the_images(tmp_path):
    put(tmp_path, "kept", [tmp_path / "in" / "1.png"], root=tmp_path / "in", mode="list")

    assert (tmp_path / "kept.txt").read_text() == f"{tmp_path}/in/1.png\n"


def test_a_report_may_name_files_that_are_no_text(tmp_path):
    write_json(tmp_path / "report.json", {"filename": "caf\udce9.jpg", "other": "höhe"})

    assert json.loads((tmp_path / "report.json").read_bytes().decode(errors="surrogateescape"))["other"] == "höhe"
