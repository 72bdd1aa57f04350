import pytest

from merv.data.formats.ego4d_nlq import read
from merv.errors import ConfigError

from ..role_layout import WINDOWS, write

QUERY = {"query": "Where is the cup?", "clip_start_sec": 2.0, "clip_end_sec": 4.0}
CLIP = {
    "clip_uid": "c",
    "video_start_sec": 30.0,
    "video_end_sec": 40.0,
    "annotations": [{"language_queries": [QUERY]}],
}


def official(tmp_path, *clips):
    return read(write(tmp_path / "nlq.json", {"videos": [{"clips": list(clips)}]}), tmp_path, dataset="e")


def test_rows_are_read_and_those_without_length_skipped(tmp_path):
    row = {**WINDOWS, "vid": "c", "video_uid": "v"}
    path = write(
        tmp_path / "nlq.jsonl", row, {**row, "relevant_windows": [[3, 3]]}, {**row, "relevant_windows": [[4, 3]]}
    )

    reading = read(path, tmp_path, dataset="e")

    assert [sample.media[0].path for sample in reading.samples] == [tmp_path / "c.mp4"]
    assert reading.skipped == {"with a span without length": 1}
    assert [bad.reason for bad in reading.bad_rows] == ["window 4 - 3 s runs backwards"]


def test_ego4ds_own_file_counts_seconds_from_the_start_of_the_clip(tmp_path):
    point = {**QUERY, "clip_end_sec": 2.0}
    annotations = [{"annotation_uid": "u", "language_queries": [QUERY, {"clip_start_sec": 0}, point]}]

    reading = official(tmp_path, {**CLIP, "annotations": annotations})

    (sample,) = reading.samples
    assert (sample.meta["windows"], sample.meta["duration"]) == ([(2.0, 4.0)], 10.0)
    assert reading.skipped == {"without a query": 1, "with a span without length": 1}


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (3, "found int 3; expected an object"),
        ({**CLIP, "clip_uid": None}, "field clip_uid: found nothing"),
        ({**CLIP, "video_end_sec": "x"}, "video_end_sec is 'x'; expected a number"),
        ({**CLIP, "annotations": None}, "field annotations: found nothing; expected a list"),
        ({**CLIP, "annotations": [{}]}, "field language_queries: found nothing; expected a list"),
        ({**CLIP, "annotations": [{"language_queries": [{"query": "Where?"}]}]}, "window: found (None, None)"),
    ],
)
def test_a_clip_of_another_shape_is_a_bad_row_beside_good_ones(tmp_path, clip, reason):
    reading = official(tmp_path, clip, CLIP)

    assert [sample.meta["query"] for sample in reading.samples] == ["Where is the cup?"]
    assert reason in reading.bad_rows[0].reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rows": []}, "holds no `videos`; expected rows in a .jsonl, or Ego4D's own"),
        ({"videos": [{}]}, "video 0 has no `clips`; download it again"),
        ([], "holds an empty list; expected an object of `videos`"),
    ],
)
def test_another_file_is_refused_with_the_forms_that_are_read(tmp_path, content, message):
    with pytest.raises(ConfigError, match=message):
        read(write(tmp_path / "nlq.json", content), tmp_path, dataset="e")
