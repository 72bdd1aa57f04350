import pytest

from merv.errors import ConfigError
from merv.evaluation.task import Item, Parsed
from merv.evaluation.tasks.longvideobench import LongVideoBenchConfig

from .small import LONGVIDEOBENCH, real, small, write

COLUMNS = {"option0": "a ring", "option1": "a cross", "option2": "N/A", "option3": "N/A", "option4": None}


def test_accuracy_is_told_apart_by_group_of_duration(tmp_path):
    task = small("longvideobench", tmp_path).build()

    summary = task.summary([Item(s, task.score(s, Parsed(1)), Parsed(1)) for s in task.samples()])

    assert (summary["accuracy/15s"], summary["accuracy/600s"], summary["accuracy/T2O"]) == (1.0, 0.0, 1.0)


def test_columns_filled_up_with_na_are_no_options(tmp_path):
    row = {name: value for name, value in LONGVIDEOBENCH[0].items() if name != "candidates"}
    path = write(tmp_path / "val.json", [{**row, **COLUMNS}])

    assert LongVideoBenchConfig(annotations=path).build().samples()[0].meta["options"] == ["a ring", "a cross"]


def test_a_right_option_that_is_na_is_refused(tmp_path):
    row = {name: value for name, value in LONGVIDEOBENCH[0].items() if name != "candidates"}
    path = write(tmp_path / "val.json", [{**row, **COLUMNS, "correct_choice": 2}])

    with pytest.raises(ConfigError, match="row 0: answer 2 is none of its 2 options"):
        LongVideoBenchConfig(annotations=path).build()


def test_a_user_s_video_may_be_kept_by_its_number(tmp_path):
    videos = tmp_path / "longvideobench/videos"
    videos.mkdir(parents=True)
    config = small("longvideobench", tmp_path)
    assert config.build().samples()[1].media[0].path.name == "1234567890123456789.mp4"

    (videos / "@user-1234567890123456789.mp4").touch()

    assert config.build().samples()[1].media[0].path.name == "@user-1234567890123456789.mp4"


def test_subtitles_count_from_the_video_s_beginning_and_missing_ones_are_counted(tmp_path):
    lines = [{"timestamp": [10.5, 11.0], "text": "then"}, {"start": "00:00:12.0", "end": "00:00:13.0", "line": "end"}]
    write(tmp_path / "longvideobench/subtitles/abcdefghijk_en.json", lines)

    task = small("longvideobench", tmp_path, subtitles=True, protocol="official").build()

    first, second = (sample.turns[0].text for sample in task.samples())
    assert first.startswith("Subtitles:\nthen\nend\nQuestion: What is seen then?\nA. a ring\n")
    assert second.startswith("Question: What is seen then?")
    assert task.describe()["without_subtitles"] == 1


@pytest.mark.parametrize("absent", [-1, None])
def test_the_test_split_is_refused(tmp_path, absent):
    path = write(tmp_path / "test.json", [{**row, "correct_choice": absent} for row in LONGVIDEOBENCH])

    with pytest.raises(ConfigError, match="has no answers"):
        LongVideoBenchConfig(annotations=path).build()


def test_the_genuine_list_is_read():
    path = real("annotations", "longvideobench", "lvb_val.json")

    samples = LongVideoBenchConfig(annotations=path).build().samples()

    assert len(samples) == 250
    first = samples[0]
    assert (first.id, first.meta["answer"], first.meta["duration"]) == ("86CxyhFV9MI_0", 1, 190.16)
    assert first.meta["groups"] == ("TOS", "600s")
    assert {len(sample.meta["options"]) for sample in samples} == {4, 5}


def test_genuine_tables_hold_the_same_and_the_test_split_no_answers():
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    folder = real("annotations", "longvideobench")

    table = LongVideoBenchConfig(annotations=folder / "validation-00000-of-00001.parquet").build().samples()
    listed = LongVideoBenchConfig(annotations=folder / "lvb_val.json").build().samples()

    assert [(s.id, s.turns, s.meta["answer"]) for s in table] == [(s.id, s.turns, s.meta["answer"]) for s in listed]
    with pytest.raises(ConfigError, match="has no answers"):
        LongVideoBenchConfig(annotations=folder / "test-00000-of-00001.parquet").build()
