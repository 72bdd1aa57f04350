import logging

import draccus
import pytest

from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.role_dataset import RoleDatasetConfig
from merv.data.role_datasets import DidemoConfig, QvhighlightsConfig, VerifyingConfig
from merv.errors import ConfigError

from .role_layout import VIDEOS, WINDOWS, write, write_layout

NAMES = [name for name in DatasetConfig.available() if issubclass(DatasetConfig.get(name), RoleDatasetConfig)]
OURS = ("merv.data.role_datasets", "merv.data.role_question_datasets")
SETS = [name for name in NAMES if DatasetConfig.get(name).__module__ in OURS]

EXPECTED = {
    "qvhighlights": ("moment", 1, f"qvhighlights/{VIDEOS}/a_b_60.0_210.0.mp4"),
    "tacos": ("moment", 1, f"tacos/{VIDEOS}/s1-d2-cam-002.mp4"),
    "didemo": ("moment", 1, f"didemo/{VIDEOS}/a@b.mp4"),
    "queryd": ("moment", 1, f"queryd/{VIDEOS}/abc.mp4"),
    "cosmo_cap": ("moment", 1, f"cosmo_cap/{VIDEOS}/abc.mp4"),
    "internvid_vtime": ("moment", 1, "internvid_vtime/videos_crop_3fps_480_noaudio/abc.mp4"),
    "hirest_grounding": ("moment", 1, f"hirest/{VIDEOS}/abc.mp4"),
    "hirest_step": ("moment", 2, f"hirest/{VIDEOS}/abc.mp4"),
    "verifying": ("candidate", 3, f"didemo/{VIDEOS}/a@b.mp4"),
    "planning": ("plan", 1, "nextqa/NExTVideo/11/4010.mp4"),
    "nextqa-mc": ("choice", 1, "nextqa/NExTVideo/11/4010.mp4"),
    "qvhighlights-qa": ("grounded-choice", 1, f"qvhighlights/{VIDEOS}/a_b_60.0_210.0.mp4"),
    "tacos-qa": ("grounded-choice", 1, f"tacos/{VIDEOS}/s1-d2-cam-002.mp4"),
    "cosmo-cap-qa": ("grounded-choice", 1, f"cosmo_cap/{VIDEOS}/abc.mp4"),
    "deve-qa": ("grounded-choice", 1, f"deve_qa/{VIDEOS}/v_x.mp4"),
}


def qvhighlights(tmp_path, *rows, **options):
    write(tmp_path / "qvhighlights" / "highlight_train_release.jsonl", *rows)
    (tmp_path / "qvhighlights" / VIDEOS).mkdir(exist_ok=True)
    return QvhighlightsConfig(dataset_root_dir=tmp_path, **options)


@pytest.mark.parametrize("name", SETS)
def test_every_set_reads_its_published_layout(tmp_path, name):
    task, count, video = EXPECTED[name]

    source = DatasetConfig.new(name, dataset_root_dir=write_layout(tmp_path)).load("align")

    assert isinstance(source, Source)
    assert [sample.meta["task"] for sample in source] == [task] * count
    assert source[0].media[0].path == tmp_path / video
    assert [turn.role for turn in source[0].turns] == ["user", "assistant"]
    assert len({sample.id for sample in source}) == count
    assert source.files
    assert not source.bad_rows


@pytest.mark.parametrize("name", SETS)
def test_every_stage_reads_the_same_rows(tmp_path, name):
    config = DatasetConfig.new(name, dataset_root_dir=write_layout(tmp_path))

    assert list(config.load("align")) == list(config.load("full-finetune"))


@pytest.mark.parametrize("name", SETS)
def test_a_set_names_all_it_misses_in_one_line_with_the_expected_tree(tmp_path, name):
    config = DatasetConfig.new(name, dataset_root_dir=tmp_path / "none")

    with pytest.raises(ConfigError) as caught:
        config.load("align")

    line = str(caught.value)
    assert "\n" not in line
    assert all(str(path) in line for path in config.files())
    assert "set dataset_root_dir" in line
    assert all(path.name in caught.value.below for path in config.files())


def test_one_missing_file_is_named_alone(tmp_path):
    write_layout(tmp_path)
    (tmp_path / "didemo" / "durations.json").unlink()

    with pytest.raises(
        ConfigError, match=r"^dataset `didemo`: \S+/didemo/durations.json is missing; download it from"
    ):
        DidemoConfig(dataset_root_dir=tmp_path).load("align")


@pytest.mark.parametrize("name", NAMES)
def test_configs_survive_a_round_trip_through_draccus(name):
    config = DatasetConfig.new(name)

    assert draccus.decode(DatasetConfig, draccus.encode(config, DatasetConfig)) == config


LONG = {"duration": 501, "qid": "long"}
SHORT = {"duration": 4.9, "relevant_windows": [[1, 2]], "qid": "short"}
WORDY = {"query": "go " * 201, "qid": "wordy"}


def test_rows_beyond_a_limit_are_left_out_and_counted_in_one_line(tmp_path, caplog):
    rows = [{**WINDOWS, **change} for change in (LONG, {}, SHORT, WORDY, LONG)]

    with caplog.at_level(logging.INFO, "merv.data.limits"):
        source = qvhighlights(tmp_path, *rows).load("align")

    assert [sample.id for sample in source] == ["qvhighlights-7"]
    assert source.origin(0) == ("qvhighlights", 1)
    assert source.bad_rows == []
    assert caplog.messages == [
        "dataset `qvhighlights`: 1 samples of 5 rows; left out: 2 about videos longer than 500 s, "
        "1 about videos shorter than 5 s, 1 with more than 200 words"
    ]


def test_limits_can_be_lifted(tmp_path):
    rows = [{**WINDOWS, **change} for change in (LONG, SHORT, WORDY)]
    none = dict.fromkeys(("min_video_len", "max_video_len", "max_num_words"))

    assert len(qvhighlights(tmp_path, *rows, **none).load("align")) == 3
    assert len(qvhighlights(tmp_path, *rows, **none, min_num_words=4).load("align")) == 1


def test_rows_at_a_limit_stay(tmp_path):
    rows = [{**WINDOWS, "duration": 500}, {**WINDOWS, "duration": 5, "relevant_windows": [[1, 2]]}]

    assert len(qvhighlights(tmp_path, *rows, min_num_words=3, max_num_words=3).load("align")) == 2


def test_bad_rows_are_listed_with_their_number(tmp_path, caplog):
    rows = [{**WINDOWS, "relevant_windows": [[5, 5]]}, WINDOWS, "{broken"]

    with caplog.at_level(logging.INFO, "merv.data.limits"):
        source = qvhighlights(tmp_path, *rows).load("align")

    assert [(bad.dataset, bad.row, bad.id) for bad in source.bad_rows] == [
        ("qvhighlights", 0, "7"),
        ("qvhighlights", 2, "2"),
    ]
    assert source.bad_rows[0].reason == "window 5 - 5 s has no length"
    assert "1 samples of 3 rows; bad: 2, the first, row 0: window 5 - 5 s has no length" in caplog.text


def test_a_set_without_a_usable_row_is_refused_with_the_account(tmp_path):
    with pytest.raises(
        ConfigError, match="`qvhighlights`: none of its rows can be used; 0 samples of 1 rows; left out: 1 with"
    ):
        qvhighlights(tmp_path, {**WINDOWS, "relevant_windows": [[1, 2], [3, 4]]}, single=True).load("align")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min_video_len": 9.0, "max_video_len": 8.0}, "min_video_len is 9 and max_video_len 8; that leaves no row"),
        ({"min_num_words": 300}, "min_num_words is 300 and max_num_words 200"),
    ],
)
def test_limits_that_leave_nothing_are_refused(limits, message):
    with pytest.raises(ConfigError, match=message):
        QvhighlightsConfig(**limits)


def test_the_files_of_a_verifier_have_names_of_their_own_in_reports():
    assert VerifyingConfig(source="tacos", size="7b").name == "tacos-verifying-7b"
    assert VerifyingConfig(dataset_id="mine").name == "mine"


def test_didemo_is_shifted_as_published_unless_told_otherwise(tmp_path):
    write_layout(tmp_path)

    def windows(**options):
        return DidemoConfig(dataset_root_dir=tmp_path, **options).load("align")[0].meta["windows"]

    assert windows(shift_s=0) == [(5.0, 12.0)]
    seen = {windows(seed=seed)[0] for seed in range(40)}
    assert seen == {(5.0 + shift, 12.0 + shift) for shift in range(-2, 3)}


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("name", ["qvhighlights", "tacos", "didemo", "queryd", "hirest_grounding", "nextqa-mc"])
def test_the_lists_of_a_split_are_named_as_published(tmp_path, name, split):
    train, other = (DatasetConfig.new(name, dataset_root_dir=tmp_path, split=each) for each in ("train", split))
    names = [str(path.relative_to(tmp_path)) for path in train.files()]

    assert [str(path.relative_to(tmp_path)) for path in other.files()] == [
        path.replace("train", split) for path in names
    ]
    assert "train" in names[0]


def test_didemo_moves_moments_of_the_training_list_alone(tmp_path):
    write_layout(tmp_path)
    for split in ("val", "test"):
        (tmp_path / "didemo" / f"{split}_data.json").write_bytes(
            (tmp_path / "didemo" / "train_data.json").read_bytes()
        )
    windows = {
        (split, shift): [
            sample.meta["windows"]
            for sample in DatasetConfig.new("didemo", dataset_root_dir=tmp_path, split=split, shift_s=shift).load(
                "align"
            )
        ]
        for split in ("train", "val")
        for shift in (None, 0, 2)
    }

    assert windows["val", None] == windows["val", 0] == windows["train", 0]
    assert windows["train", None] == windows["train", 2]
