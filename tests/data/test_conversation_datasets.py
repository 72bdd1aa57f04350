import json

import draccus
import pytest

from merv.data import Mixture
from merv.data.conversation_datasets import AriaNextqaConfig, CaptionedImagesConfig, MessagesConfig
from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig, MixtureConfig, first_rows
from merv.data.sample import Sample
from merv.errors import ConfigError

TALK = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "A dog."}]
SHOWN = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Who?"}]}, TALK[1]]


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def source(size):
    return Source("a", [Sample(f"{i}", ()) for i in range(size)])


@pytest.mark.parametrize("stage", ["align", "finetune", "full-finetune"])
def test_messages_are_the_same_for_every_stage_with_bad_rows_counted(tmp_path, stage):
    path = write(tmp_path / "rows.jsonl", {"messages": []}, {"messages": TALK})

    loaded = MessagesConfig(annotations=path).load(stage)

    assert [sample.turns[-1].text for sample in loaded] == ["A dog."]
    assert loaded.origin(0) == ("messages", 1)
    assert [(bad.dataset, bad.row) for bad in loaded.bad_rows] == [("messages", 0)]
    assert loaded.files == [path]


def test_media_start_from_the_lists_folder_or_the_one_named(tmp_path):
    row = {"messages": SHOWN, "video": {"path": "a.mp4", "num_frames": 4}}
    path = write(tmp_path / "rows.jsonl", row)
    (tmp_path / "clips").mkdir()

    beside = MessagesConfig(annotations=path).load("finetune")
    named = MessagesConfig(annotations=path, media_root=tmp_path / "clips").load("finetune")

    assert beside[0].media[0].path == tmp_path / "a.mp4"
    assert named[0].media[0].path == tmp_path / "clips" / "a.mp4"


def test_captioned_images_are_read(tmp_path):
    talk = [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "A vase."}]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"images": ["a.png"], "caption": "Red.", "conversations": talk}]))

    loaded = CaptionedImagesConfig(annotations=path, dataset_id="vases").load("finetune")

    assert (loaded.name, loaded[0].meta["caption"]) == ("vases", "Red.")


@pytest.mark.parametrize("config", [MessagesConfig, CaptionedImagesConfig])
def test_a_missing_list_or_folder_names_the_options(tmp_path, config):
    with pytest.raises(ConfigError, match=r"none\.jsonl is missing; set --dataset\.annotations"):
        config(annotations=tmp_path / "none.jsonl").load("finetune")
    with pytest.raises(ConfigError, match=r"clips is missing; set .* --dataset\.media_root"):
        config(annotations=write(tmp_path / "rows.jsonl"), media_root=tmp_path / "clips").load("finetune")


def test_a_list_without_a_usable_row_says_what_is_wrong_with_the_first(tmp_path):
    path = write(tmp_path / "rows.jsonl", 5, {})
    with pytest.raises(
        ConfigError, match="none of its rows can be used; 0 samples of 2 rows; bad: 2, the first, row 0: found int 5"
    ):
        MessagesConfig(annotations=path).load("finetune")
    with pytest.raises(ConfigError, match=r"rows\.jsonl holds no rows; download it again"):
        MessagesConfig(annotations=write(path)).load("finetune")


@pytest.mark.parametrize("split", ["train", "test"])
def test_aria_nextqa_reads_the_list_of_its_split(tmp_path, split):
    row = {"messages": SHOWN, "images": None, "video": {"path": "NExTVideo/1/a.mp4", "num_frames": 128}}
    write(tmp_path / "nextqa" / f"{split}.jsonl", row)
    (tmp_path / "nextqa" / "NExTVideo").mkdir()

    (sample,) = AriaNextqaConfig(dataset_root_dir=tmp_path, split=split).load("finetune")

    assert sample.media[0].path == tmp_path / "nextqa/NExTVideo/1/a.mp4"
    assert sample.meta["num_frames"] == 128


def test_missing_nextqa_shows_the_expected_tree(tmp_path):
    with pytest.raises(ConfigError, match=r"train\.jsonl, .*NExTVideo are missing; download it from https") as caught:
        AriaNextqaConfig(dataset_root_dir=tmp_path).load("finetune")

    assert "└── NExTVideo" in caught.value.below


@pytest.mark.parametrize("name", ["messages", "captioned-images", "aria-nextqa"])
def test_configs_survive_a_round_trip_through_draccus(name):
    config = DatasetConfig.get(name)()

    assert draccus.decode(DatasetConfig, draccus.encode(config, DatasetConfig)) == config


@pytest.mark.parametrize(
    ("weight", "rows"),
    [
        (0.5, [0, 1]),
        (0.99, [0, 1, 2, 3]),
        (0.1, []),
        (1, [0, 1, 2, 3, 4]),
        (1.9, [0, 1, 2, 3, 4]),
        (1.3, [0, 1, 2, 3, 4]),
        (2.5, [0, 1, 2, 3, 4] * 2),
        (0, []),
    ],
)
def test_mixing_first_takes_rows_as_aria_does(weight, rows):
    assert first_rows(5, weight) == rows
    assert [int(sample.id) for sample in Mixture([source(5)], [weight], mixing="first")] == rows


def test_a_mixture_config_hands_its_mixing_on(tmp_path):
    path = write(tmp_path / "rows.jsonl", *[{"id": i, "messages": TALK} for i in range(10)])
    config = MixtureConfig(datasets=[MessagesConfig(annotations=path)], weights=[0.3], mixing="first")

    assert [sample.id for sample in config.load("finetune")] == ["0", "1", "2"]
