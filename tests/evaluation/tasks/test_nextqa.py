import json
from pathlib import Path

import pytest

from merv.errors import ConfigError
from merv.evaluation.task import Item, Parsed
from merv.evaluation.tasks.nextqa import NextqaConfig

from .small import NEXTQA, real, small, write, write_csv

GROUPS = {"CW": "Why", "CH": "How", "TN": "Bef&Aft", "TC": "When", "DC": "Cnt", "DL": "Loc", "DO": "Other"}
GROUPS |= {group: f"Acc_{group}" for group in "CTD"}


def test_ids_paths_and_question_marks(tmp_path):
    samples = small("nextqa-mc", tmp_path).build().samples()

    assert [sample.id for sample in samples] == ["11_0", "11_1", "22_0", "22_1"]
    assert samples[0].media[0].path == tmp_path / "nextqa/videos/0001/11.mp4"
    assert [sample.turns[0].text.split("\n")[0] for sample in samples[:2]] == [
        "why does the cat run?",
        "what did the cat do before it ran?",
    ]


def test_previous_is_counted_as_next(tmp_path):
    samples = small("nextqa-mc", tmp_path).build().samples()

    assert [sample.meta["groups"] for sample in samples] == [("CW", "C"), ("TN", "T"), ("TN", "T"), ("DL", "D")]


def test_lmms_eval_leaves_the_question_as_it_is(tmp_path):
    sample = small("nextqa-mc", tmp_path, protocol="lmms-eval").build().samples()[0]

    assert sample.turns[0].text.startswith("why does the cat run\nA. sit\n")


def test_videos_without_a_map_stand_by_their_number(tmp_path):
    config = NextqaConfig(annotations=write_csv(tmp_path / "val.csv", NEXTQA), media_root=tmp_path)
    (tmp_path / "22.mkv").touch()

    assert [s.media[0].path.name for s in config.build().samples()] == ["11.mp4", "11.mp4", "22.mkv", "22.mkv"]


def test_a_map_that_was_named_and_is_missing_or_none_is_refused(tmp_path):
    path = write_csv(tmp_path / "val.csv", NEXTQA)

    with pytest.raises(ConfigError, match=r"map\.json is missing"):
        NextqaConfig(annotations=path, video_map=tmp_path / "map.json").build()
    with pytest.raises(ConfigError, match="holds no object of video paths"):
        NextqaConfig(annotations=path, video_map=write(tmp_path / "map.json", [])).build()


@pytest.mark.parametrize("answer", ["5", "-3", "one"])
def test_an_answer_that_is_no_number_of_an_option_is_refused(tmp_path, answer):
    path = write_csv(tmp_path / "val.csv", [{**NEXTQA[0], "answer": answer}])

    with pytest.raises(ConfigError, match=f"row 0: answer '{answer}' is none of its 5 options"):
        NextqaConfig(annotations=path).build()


def test_a_split_without_answers_is_refused(tmp_path):
    path = write_csv(tmp_path / "test.csv", [{**row, "answer": ""} for row in NEXTQA])

    with pytest.raises(ConfigError, match="has no answers"):
        NextqaConfig(annotations=path).build()


@pytest.mark.parametrize(("split", "kind"), [("val", "CH"), ("test", "TN")])
def test_genuine_rows_are_read(split, kind):
    folder = real("annotations", "nextqa")

    samples = NextqaConfig(annotations=folder / f"{split}.csv").build().samples()

    assert len(samples) == 400
    assert samples[0].meta["kind"] == kind
    if split == "val":
        assert samples[0].id == "4010069381_6"
        assert samples[0].media[0].path == Path("data/eval/nextqa/videos/1106/4010069381.mp4")
        assert samples[0].meta["options"][0] == "roll the handle"
        assert samples[0].meta["answer"] == 0


@pytest.mark.parametrize("pair", ["random_val", "random_test"])
def test_groups_equal_those_of_the_official_script(pair):
    folder = real("golden", "nextqa", pair)
    task = NextqaConfig(annotations=folder / "anno.csv").build()
    said = json.loads((folder / "preds.json").read_text())

    read = [Parsed(said[sample.id]["prediction"]) for sample in task.samples()]
    items = [Item(s, task.score(s, p), p) for s, p in zip(task.samples(), read, strict=True)]
    summary = task.summary(items)

    official = json.loads((folder / "metrics.json").read_text())["metrics_10digits"]
    assert round(100 * summary["accuracy"], 10) == official["Acc"]
    groups = {name: round(100 * summary[f"accuracy/{group}"], 10) for group, name in GROUPS.items()}
    assert groups == {name: official[name] for name in GROUPS.values()}
