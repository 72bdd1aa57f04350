import pytest

from merv.data.formats.span_jsonl import read
from merv.errors import ConfigError

from ..role_layout import SPAN, write


def test_a_line_has_one_flat_span(tmp_path):
    reading = read(write(tmp_path / "rows.jsonl", SPAN), tmp_path, dataset="c")

    (sample,) = reading.samples
    assert sample.media[0].path == tmp_path / "abc.mp4"
    assert sample.meta == {"task": "moment", "query": "a dog runs", "windows": [(1.5, 9.0)], "duration": 30.5}


@pytest.mark.parametrize("span", [None, [1.5], [[1.5, 9]], [9, 1.5]])
def test_another_span_makes_a_bad_row(tmp_path, span):
    reading = read(write(tmp_path / "rows.jsonl", {**SPAN, "span": span}), tmp_path, dataset="c")

    assert not reading.samples
    assert reading.bad_rows[0].reason.startswith("window")


def test_rows_whose_video_could_not_be_had_are_skipped_on_demand(tmp_path):
    (tmp_path / "abc.mp4").touch()
    path = write(tmp_path / "rows.jsonl", SPAN, {**SPAN, "vid": "gone"})

    assert len(read(path, tmp_path, dataset="c").samples) == 2
    reading = read(path, tmp_path, dataset="c", only_present=True)
    assert list(reading.rows) == [0]
    assert reading.skipped == {"without a video in the folder": 1}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"video folder .*none cannot be listed"):
        read(write(tmp_path / "rows.jsonl", SPAN), tmp_path / "none", dataset="c", only_present=True)
