"""A run's lineage names the filters that chose its images."""

import json
from pathlib import Path

import pytest
from filters.pictures import shapes
from helpers import run_words, train

from merv.chat import Turn
from merv.data.conversation_datasets import MessagesConfig
from merv.data.dataset import Source
from merv.data.sample import Sample
from merv.data.shard_dataset import WebDatasetConfig
from merv.filters.lineage import write_lineage
from merv.runs.cli import main
from merv.runs.folder import MEDIA_LOOKED_AT, filters_of
from merv.video.media import MediaRef


def chosen(folder, counts):
    folder.mkdir(parents=True)
    write_lineage(folder, command="merv filter classify", options={}, sources={}, model=None, counts=counts)
    return folder / "filter_lineage.json"


def source_of(media, files=()):
    samples = [Sample(str(path), (Turn("user", "?"),), (MediaRef(path, "image"),)) for path in media]
    return Source("rows", samples, files=files)


def test_filters_beside_annotations_and_above_media_are_found(tmp_path):
    one, two = chosen(tmp_path / "rows", {"kept": 1}), chosen(tmp_path / "sorted", {"kept": 2})

    found = filters_of(source_of([tmp_path / "sorted" / "1" / "a.png"] * 3, [tmp_path / "rows" / "rows.json"]))

    assert {file: lineage["counts"] for file, lineage in found.items()} == {
        str(one): {"kept": 1},
        str(two): {"kept": 2},
    }
    assert filters_of(source_of([tmp_path / "a.png"])) == {}


def test_of_many_samples_some_are_looked_at_from_first_to_last(tmp_path):
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        chosen(folder, {})

    class Counting(list):
        looked_at = 0

        def __getitem__(self, index):
            Counting.looked_at += 1
            return super().__getitem__(index)

    source = source_of([folder / "a.png" for folder in folders for _ in range(MEDIA_LOOKED_AT)])
    source.samples = Counting(source.samples)

    assert len(filters_of(source)) == 10
    assert Counting.looked_at <= 2 * MEDIA_LOOKED_AT


def test_training_on_filtered_images_records_the_filter(tmp_path):
    file = chosen(tmp_path / "sorted", {"high_quality": 4})
    (tmp_path / "sorted" / "1").mkdir()
    rows = []
    for number in range(4):
        shapes(number, 32).save(tmp_path / "sorted" / "1" / f"{number}.png")
        talk = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A vase"}]
        rows.append({"id": str(number), "image": f"1/{number}.png", "conversations": talk})

    file_of_rows = tmp_path / "rows.json"
    file_of_rows.write_text(json.dumps(rows))
    data = ["--dataset.type", "videollava"]
    data += ["--dataset.align_stage_components", f"[{file_of_rows},{tmp_path / 'sorted'}]"]

    assert train(run_words(data, tmp_path, "run", max_steps=1)) == 0

    lineage = json.loads((tmp_path / "run" / "lineage.json").read_text())
    assert lineage["filters"][str(file)]["counts"] == {"high_quality": 4}


@pytest.mark.parametrize("to", ["messages", "webdataset"])
def test_converting_hands_the_filters_on(tmp_path, to, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = chosen(tmp_path / "sorted", {"kept": 2})
    for number in range(2):
        shapes(number, 32).save(tmp_path / "sorted" / f"{number}.png")
    talk = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A vase"}]
    rows = [{"id": str(number), "image": f"{number}.png", "conversations": talk} for number in range(2)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    words = ["--dataset.align_stage_components", "[rows.json,sorted]", "--dataset.dataset_root_dir", "."]

    assert main(["data", "convert", "videollava", *words, "--stage", "align", "--to", to, "--out", "out"]) == 0
    if to == "webdataset":
        config = WebDatasetConfig(shards="out")
    else:
        config = MessagesConfig(annotations=Path("out/messages.jsonl"), media_root=Path("sorted"))
    handed = filters_of(config.load("align"))[str(tmp_path / "out" / "filter_lineage.json")]
    assert handed["command"] == "merv data convert"
    assert handed["filters"][str(file)]["counts"] == {"kept": 2}
