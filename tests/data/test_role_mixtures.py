import shutil

import pytest

from merv.data.datasets import DatasetConfig
from merv.data.role_mixtures import RoleMixtureConfig
from merv.errors import ConfigError

from .role_layout import write_layout

NAMES = [name for name in DatasetConfig.available() if issubclass(DatasetConfig.get(name), RoleMixtureConfig)]
GROUNDING = {
    "qvhighlights",
    "didemo",
    "tacos",
    "queryd",
    "cosmo_cap",
    "internvid_vtime",
    "hirest_grounding",
    "hirest_step",
}
VERIFYING = {f"{name}-verifying-2b" for name in ("qvhighlights", "didemo", "tacos")}
EXPECTED = {
    "videomind-grounder": GROUNDING,
    "mupa-grounder": GROUNDING,
    "videomind-verifier": VERIFYING,
    "videomind-verifier-2b": VERIFYING,
    "mupa-verifier-2b": VERIFYING,
    "videomind-verifier-7b": {name.replace("2b", "7b") for name in VERIFYING},
    "mupa-verifier-7b": {name.replace("2b", "7b") for name in VERIFYING},
    "videomind-planner": {"planning"},
    "videomind-answerer": {"nextqa-mc"},
    "mupa-gqa": {"qvhighlights-qa", "tacos-qa", "cosmo-cap-qa", "deve-qa"},
}


@pytest.mark.parametrize("name", NAMES)
def test_a_mixture_joins_its_sets(tmp_path, name):
    config = DatasetConfig.new(name, dataset_root_dir=write_layout(tmp_path))

    source = config.load("finetune")

    assert source.name == name
    assert {source.origin(row)[0] for row in range(len(source))} == EXPECTED[name]
    assert len({sample.id for sample in source}) == len(source)


def test_the_limits_of_a_mixture_are_those_of_its_sets(tmp_path):
    config = DatasetConfig.new("videomind-verifier", dataset_root_dir=tmp_path, max_video_len=9, dataset_id="mine")

    assert config.name == "mine"
    for member in config.members():
        assert (member.dataset_root_dir, member.max_video_len, member.dataset_id) == (tmp_path, 9, "")


def test_weights_follow_the_order_of_the_sets(tmp_path):
    weights = [0.0] * 7 + [3.0]
    config = DatasetConfig.new("videomind-grounder", dataset_root_dir=write_layout(tmp_path), weights=weights)

    source = config.load("align")

    assert [source.origin(row)[0] for row in range(len(source))] == ["hirest_step"] * 6


@pytest.mark.parametrize("name", NAMES)
def test_a_mixture_names_all_missing_files_of_all_its_sets_at_once(tmp_path, name):
    config = DatasetConfig.new(name, dataset_root_dir=tmp_path)

    with pytest.raises(ConfigError, match=f"^dataset `{name}`: ") as caught:
        config.load("align")

    wanted = [path for member in config.members() for path in member.files()]
    assert "\n" not in str(caught.value)
    assert all(str(caught.value).count(f"{path},") + str(caught.value).count(f"{path} ") == 1 for path in wanted)
    assert all(path.name in caught.value.below for path in wanted)


def test_a_mixture_shows_only_the_sets_that_miss_something(tmp_path):
    write_layout(tmp_path)
    (tmp_path / "tacos" / "train.jsonl").unlink()

    with pytest.raises(ConfigError, match=r"tacos/train.jsonl is missing; download from") as caught:
        DatasetConfig.new("mupa-grounder", dataset_root_dir=tmp_path).load("align")

    assert "queryd" not in str(caught.value) + caught.value.below


def test_a_mixture_over_two_publishers_names_both(tmp_path):
    class Both(RoleMixtureConfig):
        sets = ("planning", "deve-qa")

    with pytest.raises(ConfigError, match=r"VideoMind-Dataset and https://huggingface.co/datasets/soughtlin/MUPA"):
        Both(dataset_root_dir=tmp_path, dataset_id="both").load("align")


def test_rows_alone_need_no_folder_of_videos(tmp_path):
    write_layout(tmp_path)
    for folder in tmp_path.rglob("videos_3fps_480_noaudio"):
        if folder.parent.name != "hirest":  # takes rows whose video is there
            shutil.rmtree(folder)
    config = DatasetConfig.new("videomind-verifier", dataset_root_dir=tmp_path)

    assert len(config.load_rows("align"))
    with pytest.raises(ConfigError, match=r"videos_3fps_480_noaudio.* are missing"):
        config.load("align")
    (tmp_path / "verifying" / "verifying_tacos_2b.json").unlink()
    with pytest.raises(ConfigError, match=r"verifying_tacos_2b\.json is missing"):
        config.load_rows("align")
