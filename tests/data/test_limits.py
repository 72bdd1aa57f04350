import json

import pytest

from merv.data.datasets import VideoLlavaConfig
from merv.data.formats.role_rows import read_each
from merv.data.limits import Limits
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError


def reading(*facts):
    samples = [Sample(str(i), (Turn("user", "w " * words),), meta=meta) for i, (words, meta) in enumerate(facts)]
    return read_each(samples, lambda number, row: [row], dataset="d", path="rows.json")


def ids(limits, *facts):
    return [sample.id for sample in limits.within(reading(*facts), name="d", files=[])]


def test_without_limits_every_row_stays():
    assert ids(Limits(), (0, {}), (999, {"duration": 1e6})) == ["0", "1"]


def test_rows_without_a_duration_are_beyond_no_limit_of_seconds():
    assert ids(Limits(min_video_len=5, max_video_len=9), (1, {"duration": 4}), (1, {}), (1, {"duration": 9})) == [
        "1",
        "2",
    ]


def test_words_are_those_of_the_query_the_question_or_else_the_first_turn_of_a_user():
    facts = [(9, {"query": "a b"}), (9, {"question": "a b"}), (2, {}), (3, {})]

    assert ids(Limits(min_num_words=2, max_num_words=2), *facts) == ["0", "1", "2"]


def test_what_is_left_out_is_counted_by_limit():
    source = Limits(max_num_words=2, max_video_len=9).within(
        reading((1, {}), (3, {}), (3, {}), (1, {"duration": 10})), name="d", files=[]
    )

    assert source.left_out == {"with more than 2 words": 2, "about videos longer than 9 s": 1}
    assert source.origin(0) == ("d", 0)


def test_windows_are_counted_as_cut_of_rows_that_stay():
    facts = [(1, {"cut_windows": 2}), (9, {"cut_windows": 5}), (1, {})]

    assert Limits(max_num_words=2).within(reading(*facts), name="d", files=[]).num_cut == 2


@pytest.mark.parametrize("unit", ["video_len", "num_words"])
def test_limits_that_leave_nothing_are_refused(unit):
    with pytest.raises(ConfigError, match=f"min_{unit} is 9 and max_{unit} 3; that leaves no row"):
        Limits(**{f"min_{unit}": 9, f"max_{unit}": 3})


def test_conversations_are_limited_too(tmp_path):
    rows = [
        {"id": str(n), "conversations": [{"from": "human", "value": "w " * n}, {"from": "gpt", "value": "yes"}]}
        for n in (1, 5, 9)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    config = VideoLlavaConfig(dataset_root_dir=tmp_path, align_stage_components=("rows.json", "."), max_num_words=5)
    source = config.load("align")

    assert [sample.id for sample in source] == ["1", "5"]
    assert source.left_out == {"with more than 5 words": 1}


def test_only_rows_about_listed_media_are_kept(tmp_path):
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A vase."}]
    rows = [{"id": str(n), "image": [f"{n}.png", "b.png"][: 1 + n % 2], "conversations": turns} for n in range(4)]
    (tmp_path / "rows.json").write_text(json.dumps([*rows, {"id": "text", "conversations": turns}]))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "accepted.txt").write_text(f"{tmp_path}/0.png\n../1.png\n../x/../3.png\n{tmp_path}/b.png\n")
    config = VideoLlavaConfig(
        dataset_root_dir=tmp_path,
        align_stage_components=("rows.json", "."),
        keep_media=tmp_path / "lists" / "accepted.txt",
    )
    source = config.load("align")

    assert [sample.id for sample in source] == ["0", "1", "3", "text"]
    assert source.left_out == {"showing media that accepted.txt does not list": 1}


def test_a_missing_list_of_media_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"none.txt is missing"):
        ids(Limits(keep_media=tmp_path / "none.txt"), (1, {}))
