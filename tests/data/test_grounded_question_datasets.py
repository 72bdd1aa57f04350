import logging

import pytest

from merv.data.datasets import DatasetConfig
from merv.data.grounded_question_datasets import CgbenchConfig, NextGqaConfig, QaEgo4dConfig, RextimeConfig, StarConfig
from merv.errors import ConfigError
from merv.video.media import Span

from .question_layout import (
    CGBENCH,
    EGO4D,
    NEXTGQA,
    OPTIONS,
    REXTIME,
    REXTIME_MOMENT,
    STAR,
    TRUTHS,
    write_layout,
    write_rows,
)
from .role_layout import VIDEOS, write

EXPECTED = {  # id, windows, seconds, options, answer, video
    "nextgqa": ("11_0", [(2, 4), (20, 24.5)], 30, OPTIONS, 1, "nextqa/NExTVideo/1001/11.mp4"),
    "rextime": ("q0", [(2, 4)], 10.5, OPTIONS[:4], 1, f"activitynet/{VIDEOS}/v_abcdefghijk.mp4"),
    "cgbench": ("14", [(300, 302), (308, 310)], 611, CGBENCH["choices"], 2, f"cgbench/{VIDEOS}/BV1.mp4"),
    "qa_ego4d": ("s_0", [(2, 4.05)], 30, None, None, f"ego4d/v1/{VIDEOS}/clip.mp4"),
}
CROPS = {
    "nextgqa": Span(2.0, 24.5),
    "rextime": Span(0.0, 10.5),
    "cgbench": Span(297.0, 313.0),
    "qa_ego4d": Span(0.0, 16.0),
}
SETS = [*EXPECTED, "star"]
with_moments = pytest.mark.parametrize("name", EXPECTED)
each_set = pytest.mark.parametrize("name", SETS)


def load(name, root, **options):
    return DatasetConfig.new(name, dataset_root_dir=root, **options).load("align")


def test_every_set_of_the_module_is_tested():
    ours = [
        name
        for name in DatasetConfig.available()
        if DatasetConfig.get(name).__module__.endswith(".grounded_question_datasets")
    ]

    assert sorted(ours) == sorted(SETS)


@with_moments
def test_an_answer_is_asked_of_all_of_the_video(tmp_path, name):
    identity, windows, seconds, options, answer, video = EXPECTED[name]

    source = load(name, write_layout(tmp_path))

    sample = source[0]
    assert (sample.id, sample.meta["task"]) == (f"{name}-{identity}", "choice")
    assert (sample.meta["windows"], sample.meta["duration"]) == (windows, seconds)
    assert (sample.media[0].path, sample.media[0].span) == (tmp_path / video, None)
    if options:
        assert (sample.meta["options"], sample.meta["answer"]) == (options, answer)
    assert sample.turns[1].text == sample.meta["options"][sample.meta["answer"]]
    assert not source.bad_rows


@with_moments
def test_grounding_asks_for_the_windows(tmp_path, name):
    _, windows, seconds, _, _, video = EXPECTED[name]

    sample = load(name, write_layout(tmp_path), form="grounding")[0]

    assert sample.meta.keys() == {"task", "query", "windows", "duration"}
    assert (sample.meta["task"], sample.meta["windows"], sample.meta["duration"]) == ("moment", windows, seconds)
    assert (sample.media[0].path, sample.media[0].span) == (tmp_path / video, None)


@with_moments
def test_a_grounded_answer_asks_for_both(tmp_path, name):
    sample = load(name, write_layout(tmp_path), form="grounded-answer")[0]

    assert (sample.meta["task"], sample.meta["windows"]) == ("grounded-choice", EXPECTED[name][1])
    assert sample.meta["options"][sample.meta["answer"]].lower() in ("run", "jump", "on the mat")


@with_moments
def test_a_crop_shows_the_part_with_the_answer(tmp_path, name):
    sample = load(name, write_layout(tmp_path), crop=True)[0]

    assert (sample.meta["task"], sample.media[0].span) == ("choice", CROPS[name])
    assert "windows" not in sample.meta


def test_star_shows_the_stretch_a_question_is_about(tmp_path):
    (sample,) = load("star", write_layout(tmp_path))

    assert (sample.id, sample.meta["task"]) == ("star-Sequence_T1_7", "choice")
    assert (sample.meta["options"], sample.meta["answer"]) == (["Box.", "Door.", "Bag.", "Cup."], 1)
    assert sample.media[0].path == tmp_path / "charades_sta" / VIDEOS / "ABCDE.mp4"
    assert (sample.media[0].span, sample.meta["duration"]) == (Span(1.5, 9.0), 7.5)


@each_set
def test_a_wrong_root_is_told_in_one_line_with_the_expected_tree(tmp_path, name):
    config = DatasetConfig.new(name, dataset_root_dir=tmp_path / "none")

    with pytest.raises(ConfigError, match=f"^dataset `{name}`: .* missing; download it from .*") as caught:
        config.load("align")

    assert "\n" not in str(caught.value)
    assert all(str(path) in str(caught.value) and path.name in caught.value.below for path in config.files())


@each_set
def test_a_row_of_another_shape_is_a_bad_row_with_number_field_and_what_was_found(tmp_path, name):
    config = DatasetConfig.new(name, dataset_root_dir=write_layout(tmp_path))
    good = {"nextgqa": NEXTGQA, "star": STAR, "rextime": REXTIME, "cgbench": CGBENCH, "qa_ego4d": EGO4D}[name]
    path = config.files()[0]
    if path.suffix == ".csv":
        write_rows(path, [good, {**good, "question": ""}])
    else:
        write(path, [good, {**good, "question": None}])

    source = config.load("align")

    assert len(source) == 1
    assert [(bad.row, bad.path) for bad in source.bad_rows] == [(1, str(path))]
    assert source.bad_rows[0].reason.startswith("field question: found ")


@pytest.mark.parametrize(
    ("name", "split", "list_name"),
    [
        ("nextgqa", "test", "nextgqa/test.csv"),
        ("star", "val", "star/STAR_val.json"),
        ("rextime", "val", "rextime/rextime_val.json"),
        ("cgbench", "all", "cgbench/cgbench.json"),
        ("qa_ego4d", "train", "qa_ego4d/annotations.QaEgo4D_train.json"),
        ("qa_ego4d", "val", "qa_ego4d/annotations.QaEgo4D_val_options.json"),
        ("qa_ego4d", "test", "qa_ego4d/annotations.QaEgo4D_test_options.json"),
    ],
)
def test_a_split_is_its_list(tmp_path, name, split, list_name):
    config = DatasetConfig.new(name, dataset_root_dir=tmp_path, split=split)

    assert config.files()[0] == tmp_path / list_name


@pytest.mark.parametrize(
    ("config", "path", "row", "lacks"),
    [
        (StarConfig, "star/STAR_test.json", STAR, ("answer",)),
        (RextimeConfig, "rextime/rextime_test_release.json", REXTIME, ("ans", "span")),
    ],
)
def test_a_test_split_without_answers_is_refused_in_one_line(tmp_path, config, path, row, lacks):
    write(write_layout(tmp_path) / path, [{name: row[name] for name in row if name not in lacks}] * 3)

    with pytest.raises(ConfigError, match=r"3 without an answer, as a test split's$") as caught:
        config(dataset_root_dir=tmp_path, split="test").load("align")

    assert "\n" not in str(caught.value)


def test_videos_of_nextgqa_may_stand_under_videos_and_by_their_number(tmp_path):
    root = write_layout(tmp_path)
    (root / "nextqa" / "NExTVideo").rmdir()
    write(root / "nextqa" / "videos" / "11.mp4", "")

    (sample,) = load("nextgqa", root)

    assert sample.media[0].path == root / "nextqa" / "videos" / "11.mp4"


def test_a_video_without_windows_is_a_bad_row_of_nextgqa(tmp_path):
    root = write_layout(tmp_path)
    write(root / "nextgqa" / "gsub_val.json", {**TRUTHS, "12": {}})
    write_rows(root / "nextgqa" / "val.csv", [NEXTGQA, {**NEXTGQA, "video_id": "12"}])

    source = NextGqaConfig(dataset_root_dir=root).load("align")

    assert [bad.reason for bad in source.bad_rows] == ["the windows have none for question 0 of video 12"]


def test_clips_of_rextime_are_those_of_qvhighlights(tmp_path):
    source = load("rextime", write_layout(tmp_path))

    assert source[1].media[0].path == tmp_path / "qvhighlights" / VIDEOS / "a_b-c_60.0_80.0.mp4"
    assert source[1].meta["duration"] == 20.0


def moments_of_rextime(root):
    (root / "rextime" / "rextime_train.json").unlink()
    write(root / "rextime" / "rextime_train.jsonl", REXTIME_MOMENT)
    return root


def test_rows_of_rextime_without_options_are_asked_for_the_moment(tmp_path):
    (sample,) = load("rextime", moments_of_rextime(write_layout(tmp_path)), form="grounding")

    assert (sample.id, sample.meta["task"], sample.meta["windows"]) == ("rextime-q1", "moment", [(6.0, 9.0)])


def test_rows_of_rextime_without_options_have_no_answer(tmp_path):
    root = moments_of_rextime(write_layout(tmp_path))

    with pytest.raises(ConfigError, match="bad: 1, the first, row 0: no options to choose from; form"):
        RextimeConfig(dataset_root_dir=root).load("align")


def test_durations_of_rextime_may_be_those_of_the_rows(tmp_path):
    root = write_layout(tmp_path)
    (root / "activitynet" / "durations.json").unlink()
    write(root / "rextime" / "rextime_train.json", [{**REXTIME, "duration": 12}])

    (sample,) = load("rextime", root)

    assert sample.meta["duration"] == 12.0


def test_measured_durations_of_cgbench_replace_the_rounded_ones(tmp_path):
    root = write_layout(tmp_path)
    write(root / "cgbench" / "durations.json", {"BV1": 611.25})

    source = load("cgbench", root)

    assert source[0].meta["duration"] == 611.25
    assert root / "cgbench" / "durations.json" in source.files


def test_questions_of_cgbench_without_clues_have_an_answer_and_no_moment(tmp_path):
    write(write_layout(tmp_path) / "cgbench" / "cgbench_mini.json", [CGBENCH, {**CGBENCH, "clue_intervals": []}])

    assert len(CgbenchConfig(dataset_root_dir=tmp_path).load("align")) == 2
    assert len(CgbenchConfig(dataset_root_dir=tmp_path, form="grounding").load("align")) == 1


def test_qa_ego4d_leaves_out_clips_videomind_leaves_out_and_moments_without_length(tmp_path, caplog):
    root = write_layout(tmp_path)
    clips = {"clip": 30.0, "short": 9.5, "long": 601.0}
    write(root / "ego4d" / "v1" / "durations.json", clips)
    rows = [{**EGO4D, "video_id": clip, "sample_id": clip} for clip in clips]
    point = {**EGO4D, "sample_id": "point", "moment_end_frame": EGO4D["moment_start_frame"]}
    write(root / "qa_ego4d" / "annotations.QaEgo4D_train.json", [*rows, point])

    with caplog.at_level(logging.INFO, "merv.data.limits"):
        answers = load("qa_ego4d", root)
        moments = load("qa_ego4d", root, form="grounding")
    unlimited = QaEgo4dConfig(dataset_root_dir=root, min_video_len=None, max_video_len=None).load("align")

    assert [sample.id for sample in answers] == ["qa_ego4d-clip", "qa_ego4d-point"]
    assert [sample.id for sample in moments] == ["qa_ego4d-clip"]
    assert "left out: 1 whose window has no length, 1 about videos shorter than 10 s, 1 about" in caplog.text
    assert len(unlimited) == 4


def test_a_clip_of_qa_ego4d_without_a_duration_has_an_answer_and_no_moment(tmp_path):
    root = write_layout(tmp_path)
    write(root / "ego4d" / "v1" / "durations.json", {})

    assert len(load("qa_ego4d", root)) == 1
    with pytest.raises(ConfigError, match="bad: 1, the first, row 0: no duration of the video"):
        QaEgo4dConfig(dataset_root_dir=root, form="grounding").load("align")
