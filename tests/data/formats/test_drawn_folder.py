import json

import pytest

from merv.data.formats.drawn_folder import draw_once, is_drawn, save_json
from merv.errors import ConfigError

DRAWING = {"number": 3, "seed": 7}


def touch(folder):
    (folder / "clip").touch()


def refuse(folder):
    raise AssertionError("it was drawn before")


def test_a_folder_is_drawn_once_and_says_of_what(tmp_path):
    root = tmp_path / "deep" / "drawn"
    assert not is_drawn(root, "record.json", DRAWING)

    draw_once(root, "record.json", DRAWING, touch)
    draw_once(root, "record.json", DRAWING, refuse)

    assert {path.name for path in root.iterdir()} == {"clip", "record.json"}
    assert json.loads((root / "record.json").read_text()) == DRAWING
    assert is_drawn(root, "record.json", DRAWING)


def test_an_empty_folder_may_stand_in_the_place(tmp_path):
    (tmp_path / "drawn").mkdir()

    draw_once(tmp_path / "drawn", "record.json", DRAWING, touch)

    assert is_drawn(tmp_path / "drawn", "record.json", DRAWING)


def test_another_drawing_is_refused_with_both_values(tmp_path):
    draw_once(tmp_path / "drawn", "record.json", DRAWING, touch)

    with pytest.raises(
        ConfigError, match=r"drawn was drawn with seed 7 \(wanted 8\), side None \(wanted 56\); delete"
    ):
        draw_once(tmp_path / "drawn", "record.json", {"number": 3, "seed": 8, "side": 56}, refuse)


def test_other_files_are_refused(tmp_path):
    touch(tmp_path)

    with pytest.raises(ConfigError, match=r"holds files but no record\.json; move them away or set another folder"):
        draw_once(tmp_path, "record.json", DRAWING, refuse)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_nothing_is_left_of_half_a_drawing(tmp_path, error):
    def stop(folder):
        touch(folder)
        raise error

    with pytest.raises(type(error)):
        draw_once(tmp_path / "drawn", "record.json", DRAWING, stop)

    assert list(tmp_path.iterdir()) == []


def test_of_two_processes_the_faster_one_wins(tmp_path):
    def draw_here_and_there(folder):
        draw_once(tmp_path / "drawn", "record.json", DRAWING, touch)
        (folder / "mine").touch()

    draw_once(tmp_path / "drawn", "record.json", DRAWING, draw_here_and_there)

    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"clip", "record.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["drawn"]


def test_json_is_written_with_a_line_end(tmp_path):
    save_json(tmp_path / "a.json", [{"name": "é"}])

    assert json.loads((tmp_path / "a.json").read_text()) == [{"name": "é"}]
    assert (tmp_path / "a.json").read_text().endswith("]\n")
