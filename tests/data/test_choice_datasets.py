import logging

import draccus
import pytest
from evaluation.tasks.small import (
    LONGVIDEOBENCH,
    LVBENCH,
    MERV_ANSWERS,
    MERV_QUESTIONS,
    MLVU,
    PERCEPTION,
    small,
    write,
)

from merv.data.choice_dataset import ListsDatasetConfig
from merv.data.datasets import DatasetConfig
from merv.errors import ConfigError
from merv.video.media import Span

from .choice_layout import CHOICES, NUM_SAMPLES, write_choices, write_parquet


def config_of(name, root, **options):
    return DatasetConfig.new(name, dataset_root_dir=root, **options)


@pytest.mark.parametrize("name", CHOICES)
def test_a_set_asks_what_the_task_of_its_name_asks(tmp_path, name):
    asked = small(name, write_choices(tmp_path)).build().samples()

    samples = config_of(name, tmp_path).load("align")

    assert len(samples) == NUM_SAMPLES[name]
    assert [sample.id for sample in samples] == [f"{name}-{sample.id}" for sample in asked]
    for field in ("question", "options", "answer"):
        assert [sample.meta[field] for sample in samples] == [sample.meta[field] for sample in asked]
    assert [sample.media[0].span for sample in samples] == [sample.media[0].span for sample in asked]
    assert samples[0].media == asked[0].media


@pytest.mark.parametrize("name", CHOICES)
def test_a_sample_is_a_choice_that_every_stage_learns_alike(tmp_path, name):
    config = config_of(name, write_choices(tmp_path))

    source = config.load("align")

    assert {sample.meta["task"] for sample in source} == {"choice"}
    assert [turn.role for turn in source[0].turns] == ["user", "assistant"]
    assert source[0].turns[1].text == source[0].meta["options"][source[0].meta["answer"]]
    assert list(source) == list(config.load("full-finetune"))
    assert source.files
    assert not source.bad_rows


@pytest.mark.parametrize("name", CHOICES)
def test_a_set_names_all_it_misses_in_one_line_with_the_expected_tree(tmp_path, name):
    config = config_of(name, tmp_path / "none")

    with pytest.raises(ConfigError) as caught:
        config.load("align")

    assert "\n" not in str(caught.value)
    assert all(str(path) in str(caught.value) for path in config.files())
    assert f"download it from {config.published} or set dataset_root_dir" in str(caught.value)
    assert all(path.name in caught.value.below for path in config.files())


@pytest.mark.parametrize("name", CHOICES)
def test_configs_survive_a_round_trip_through_draccus(tmp_path, name):
    config = config_of(name, tmp_path, annotations=tmp_path / "list.json")

    assert draccus.decode(DatasetConfig, draccus.encode(config, DatasetConfig)) == config


@pytest.mark.parametrize(
    ("name", "list_there", "list_found", "videos"),
    [
        ("videomme", "videomme", "", "videos"),
        ("lvbench", "", "LVBench", "videos_3fps_480_noaudio"),
        ("longvideobench", "", "", "videos_3fps_480_noaudio"),
    ],
)
def test_the_places_where_videomind_keeps_files_are_found(tmp_path, name, list_there, list_found, videos):
    folder = write_choices(tmp_path) / name
    config = config_of(name, tmp_path)
    before = list(config.load("align"))
    path = config.annotation_path
    assert path.parent == folder / list_there
    (folder / list_found).mkdir(exist_ok=True)
    path.rename(folder / list_found / path.name)
    config.media_path.rename(folder / videos)

    after = config.load("align")

    assert [sample.turns for sample in after] == [sample.turns for sample in before]
    assert after[0].media[0].path.parent == folder / videos


def test_stretches_of_mvbench_and_folders_of_frames(tmp_path):
    frames = write_choices(tmp_path) / "mvbench/video/tvqa/frames_fps3_hq/castle_clip_14"
    frames.mkdir(parents=True)

    media = {sample.id: sample.media[0] for sample in config_of("mvbench", tmp_path).load("align")}

    assert media["mvbench-action_sequence_0"].span == Span(0.25, 1.0)
    assert media["mvbench-action_antonym_0"].span is None
    assert media["mvbench-episodic_reasoning_0"].path == frames


def test_lists_without_options_are_left_out_with_their_count(tmp_path, caplog):
    row = {name: value for name, value in MLVU.items() if name != "candidates"}
    for part in ("8_sub_scene", "9_summary"):
        write(write_choices(tmp_path) / f"mlvu/json/{part}.json", [{**row, "question_type": part}] * 2)

    with caplog.at_level(logging.INFO, "merv.data.limits"):
        source = config_of("mlvu", tmp_path).load("align")

    assert len(source) == 10
    assert caplog.messages == ["dataset `mlvu`: 10 samples of 14 rows; left out: 4 without options"]


def test_a_bad_row_of_one_of_several_lists_is_named_by_its_list_and_its_place_there(tmp_path):
    path = write_choices(tmp_path) / "mlvu/json/2_needle.json"
    good = {**MLVU, "question_type": "findNeedle"}
    write(path, [good, {**good, "video": 7.5}, {**good, "answer": "Pink"}, "needle", {**good, "question": ""}, good])

    source = config_of("mlvu", tmp_path).load("align")

    assert {bad.path for bad in source.bad_rows} == {str(path)}
    assert [(bad.row, bad.reason) for bad in source.bad_rows] == [
        (1, "field video: found float 7.5; expected text"),
        (2, "the answer is none of its 4 options"),
        (3, 'found str "needle"; expected an object'),
        (4, "question: found ''; expected words"),
    ]
    assert [sample.id for sample in source][1:3] == ["mlvu-2_needle_0", "mlvu-2_needle_5"]
    assert [source.origin(row) for row in range(1, 3)] == [("mlvu", 0), ("mlvu", 5)]


def test_limits_hold_for_sets_of_several_lists(tmp_path):
    with pytest.raises(ConfigError, match=r"0 samples of 10 rows; left out: 10 about videos longer than 200 s"):
        config_of("mlvu", write_choices(tmp_path), max_video_len=200.0).load("align")


def test_lvbench_asks_for_moments(tmp_path):
    moment = config_of("lvbench", write_choices(tmp_path), form="grounding").load("align")[0]
    both = config_of("lvbench", tmp_path, form="grounded-answer").load("align")[0]

    assert moment.meta == {"task": "moment", "query": "Which year?", "windows": [(1.0, 2.0)], "duration": 30.0}
    assert (both.meta["task"], both.meta["windows"]) == ("grounded-choice", [(1.0, 2.0)])
    assert (both.meta["options"], both.meta["answer"]) == (["1900", "1901", "1902", "1903"], 2)


def test_lvbench_can_be_cut_to_the_answer(tmp_path):
    source = config_of("lvbench", write_choices(tmp_path), crop=True, min_crop_len=0.0).load("align")

    assert [sample.media[0].span for sample in source] == [Span(1.0, 2.0), Span(3.0, 4.0)]


def test_times_without_length_or_running_backwards_cost_no_answer(tmp_path):
    one = LVBENCH[0]["qa"][0]
    times = ["00:01-00:02", "00:05-00:05", "00:05-00:04"]
    qa = [{**one, "uid": str(i), "time_reference": time} for i, time in enumerate(times)]
    write(write_choices(tmp_path) / "lvbench/video_info.meta.jsonl", [{**LVBENCH[0], "qa": qa}])

    assert len(config_of("lvbench", tmp_path).load("align")) == 3
    asked = config_of("lvbench", tmp_path, form="grounding").load("align")
    assert len(asked) == 1
    assert [(bad.row, bad.reason) for bad in asked.bad_rows] == [(2, "window 5 - 4 s runs backwards")]


@pytest.mark.parametrize("name", [name for name in CHOICES if name != "lvbench"])
def test_the_others_say_nothing_of_moments(name):
    with pytest.raises(ConfigError, match=rf"form is grounding, of which rows of `{name}` say nothing; take answer"):
        DatasetConfig.new(name, form="grounding")


def test_the_test_split_is_refused_in_one_line(tmp_path):
    path = write_choices(tmp_path) / "longvideobench/lvb_test_wo_gt.json"
    write(path, [{name: v for name, v in row.items() if name != "correct_choice"} for row in LONGVIDEOBENCH])

    with pytest.raises(ConfigError, match=r"0 samples of 2 rows; left out: 2 without an answer, as a test split's$"):
        config_of("longvideobench", tmp_path, annotations=path).load("align")


def test_longvideobench_may_be_a_table(tmp_path):
    folder = write_choices(tmp_path) / "longvideobench"
    listed = list(config_of("longvideobench", tmp_path).load("align"))
    rows = [{name: value for name, value in row.items() if name != "candidates"} for row in LONGVIDEOBENCH]
    for row, given in zip(rows, LONGVIDEOBENCH, strict=True):
        row |= {f"option{i}": option for i, option in enumerate([*given["candidates"], "N/A"])}
    write_parquet(folder / "validation-00000-of-00001.parquet", rows)
    (folder / "lvb_val.json").unlink()

    assert list(config_of("longvideobench", tmp_path).load("align")) == listed


def test_perception_test_has_lists_of_three_splits(tmp_path):
    folder = write_choices(tmp_path) / "perception_test"
    (folder / "mc_question_valid.json").rename(folder / "mc_question_train.json")

    source = config_of("perception-test", tmp_path, split="train").load("align")

    assert [sample.media[0].span for sample in source] == [Span(0.0, 1.5), None]
    with pytest.raises(ConfigError, match=r"mc_question_valid\.json is missing; download it from https://"):
        config_of("perception-test", tmp_path).load("align")


def test_the_pair_of_the_valid_split_stands_for_no_other(tmp_path):
    folder = write_choices(tmp_path) / "perception_test"
    write(folder / "test_q.json", MERV_QUESTIONS)
    write(folder / "test_a.json", MERV_ANSWERS)

    with pytest.raises(ConfigError, match=r"mc_question_train\.json is missing"):
        config_of("perception-test", tmp_path, split="train").load("align")


def test_a_bad_question_of_perception_test_is_called_by_its_video(tmp_path):
    path = write_choices(tmp_path) / "perception_test/mc_question_valid.json"
    about = PERCEPTION["video_1"]
    first, second = about["mc_question"]
    write(path, {"video_1": {**about, "mc_question": [first, {**second, "answer_id": 3}]}})

    source = config_of("perception-test", tmp_path).load("align")

    assert [(bad.row, bad.id, bad.reason) for bad in source.bad_rows] == [
        (1, "video_1_1", "answer 3 is none of its 3 options")
    ]


def test_perception_test_may_be_a_pair_in_merv_s_form(tmp_path):
    folder = write_choices(tmp_path) / "perception_test"
    (folder / "mc_question_valid.json").unlink()
    write(folder / "test_q.json", MERV_QUESTIONS)
    config = config_of("perception-test", tmp_path, fps=4.0)
    with pytest.raises(ConfigError, match=r"test_a\.json is missing"):
        config.load("align")
    write(folder / "test_a.json", MERV_ANSWERS)

    source = config.load("align")

    assert [(sample.id, sample.meta["answer"]) for sample in source] == [
        ("perception-test-q1", 2),
        ("perception-test-q2", 0),
    ]
    assert [path.name for path in source.files] == ["test_q.json", "test_a.json"]


def test_a_list_in_the_place_of_an_object_of_videos_is_refused(tmp_path):
    write(write_choices(tmp_path) / "perception_test/mc_question_valid.json", [1])

    with pytest.raises(
        ConfigError, match=r"mc_question_valid\.json holds list \[1\]; expected an object of questions by"
    ):
        config_of("perception-test", tmp_path).load("align")


def test_a_wrong_root_shows_the_lists_and_the_videos(tmp_path):
    with pytest.raises(ConfigError) as caught:
        config_of("mvbench", tmp_path).load("align")

    shown = caught.value.below.splitlines()
    assert shown[0] == str(tmp_path / "mvbench")
    assert {"├── json", "│   ├── action_count.json", "└── video"} <= set(shown)


def test_a_base_of_lists_names_none():
    for method in (ListsDatasetConfig().lists, lambda: ListsDatasetConfig().question_of({}, "x", 0)):
        with pytest.raises(TypeError, match=r"does not define"):
            method()
