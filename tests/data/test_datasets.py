import json
from collections import Counter

import draccus
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.data.dataset import PreparedDataset, Source
from merv.data.datasets import DatasetConfig, Mixture, MixtureConfig, VideoLlavaConfig, draw_rows
from merv.data.ledger import BadRow
from merv.data.sample import Sample
from merv.errors import ConfigError

TALK = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "That."}]


def source(name, size, **options):
    return Source(name, [Sample(f"{name}{i}", ()) for i in range(size)], **options)


def videollava(tmp_path, **options):
    folder = tmp_path / "download" / "videollava"
    folder.mkdir(parents=True)
    for file in ("valley_llavaimage.json", "videochatgpt_llavaimage_tune.json"):
        rows = [{"id": "broken"}, {"id": file, "video": "a.mp4", "conversations": TALK}]
        (folder / file).write_text(json.dumps(rows))
    return VideoLlavaConfig(dataset_root_dir=tmp_path, **options)


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("align", "valley_llavaimage.json"),
        ("full-align", "valley_llavaimage.json"),
        ("finetune", "videochatgpt_llavaimage_tune.json"),
        ("full-finetune", "videochatgpt_llavaimage_tune.json"),
    ],
)
def test_videollava_reads_the_file_of_the_stage(tmp_path, stage, file):
    loaded = videollava(tmp_path).load(stage)

    assert [sample.id for sample in loaded] == [file]
    assert loaded.origin(0) == ("videollava", 1)
    assert [(bad.dataset, bad.row, bad.id) for bad in loaded.bad_rows] == [("videollava", 0, "broken")]


def test_missing_videollava_shows_the_expected_tree(tmp_path):
    with pytest.raises(ConfigError, match=r"valley_llavaimage\.json is missing") as caught:
        VideoLlavaConfig(dataset_root_dir=tmp_path).load("align")
    assert "├── llava_image_tune" in caught.value.below


def test_an_unknown_stage_is_refused():
    with pytest.raises(ConfigError, match="dataset `videollava` has no stage `pretrain`"):
        VideoLlavaConfig().load("pretrain")


@pytest.mark.parametrize("name", ["videollava", "mixture"])
def test_configs_survive_a_round_trip_through_draccus(name):
    config = DatasetConfig.get(name)()
    if isinstance(config, MixtureConfig):
        config = MixtureConfig(datasets=[VideoLlavaConfig(dataset_id="a"), VideoLlavaConfig()], weights=[1, 0.5])

    assert draccus.decode(DatasetConfig, draccus.encode(config, DatasetConfig)) == config


def test_a_mixture_config_loads_its_datasets(tmp_path):
    config = MixtureConfig(datasets=[videollava(tmp_path, dataset_id="a"), videollava(tmp_path / "b")], weights=[2, 1])

    loaded = config.load("align")

    assert loaded.name == "mixture"
    assert [loaded.origin(i) for i in range(len(loaded))] == [("a", 1), ("a", 1), ("videollava", 1)]
    assert [bad.dataset for bad in loaded.bad_rows] == ["a", "videollava"]


@given(size=st.integers(0, 50), weight=st.floats(0, 4), seed=st.integers(0, 5))
def test_drawn_rows_are_as_many_and_as_even_as_the_weight_says(size, weight, seed):
    rows = draw_rows(size, weight, seed=seed)

    assert len(rows) == int(weight * size + 0.5)
    counts = [Counter(rows)[row] for row in range(size)]
    assert max(counts, default=0) - min(counts, default=0) <= 1
    assert rows == draw_rows(size, weight, seed=seed)


def test_fractions_draw_other_rows_with_another_seed():
    first = Mixture([source("a", 100)], [0.5], seed=1)
    again = Mixture([source("a", 100)], [0.5], seed=1)
    other = Mixture([source("a", 100)], [0.5], seed=2)

    assert [s.id for s in first] == [s.id for s in again]
    assert {s.id for s in first} != {s.id for s in other}


@pytest.mark.parametrize(
    ("sources", "weights", "message"),
    [
        ([], None, "datasets is empty"),
        ([source("a", 3)], [1, 2], "2 weights for 1 datasets"),
        ([source("a", 3)], [-1], "weight -1 of dataset `a`"),
        ([source("a", 3)], [float("nan")], "weight nan of dataset `a`"),
    ],
)
def test_mixtures_that_make_no_sense_are_refused(sources, weights, message):
    with pytest.raises(ConfigError, match=message):
        Mixture(sources, weights)


def test_a_mixture_tells_what_its_sources_left_out_and_cut():
    sources = [
        source("a", 2, left_out={"long": 1, "old": 2}, num_cut=3),
        source("b", 2, left_out={"long": 4}, num_cut=1),
    ]

    mixture = Mixture(sources)

    assert mixture.left_out == {"long": 5, "old": 2}
    assert mixture.num_cut == 4


def test_a_prepared_dataset_applies_its_function_and_wraps_around():
    dataset = PreparedDataset(source("a", 3, rows=[0, 5, 9]), prepare=lambda sample: sample.id.upper())

    assert dataset[1] == "A1"
    assert [dataset.replacement(i) for i in range(3)] == [1, 2, 0]
    assert dataset.bad_row(1, "no frames") == BadRow("a", 5, "a1", "", "no frames")


def test_a_mixture_hands_on_that_media_may_be_missing():
    class Config(DatasetConfig):
        def load(self, stage):
            raise AssertionError("media are asked for")

        def load_rows(self, stage):
            return Source("rows", [Sample("a", ())])

    assert [sample.id for sample in MixtureConfig(datasets=[Config()]).load_rows("align")] == ["a"]
