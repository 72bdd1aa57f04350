"""`merv filter classify`: images sorted by a classifier, none lost, none replaced."""

import json
import os
from unittest import mock

import pytest
import torch
from filters.pictures import shapes
from safetensors.torch import load_file

from merv import space
from merv.filters.classifier_data import View
from merv.filters.classifier_files import save_classifier
from merv.filters.classifier_net import build_net
from merv.runs.cli import main


@pytest.fixture
def model(tmp_path):
    """A net that is sure that dark images are bad and bright ones good, and does not know about grey ones."""
    net = build_net("tiny")
    for parameter in net.parameters():
        parameter.data.zero_()
    for conv in (net.body[0], net.body[3], net.body[6]):
        conv.weight.data[0, :, 1, 1] = 1 / 3 if conv.in_channels == 3 else 0
        conv.weight.data[0, 0, 1, 1] = conv.weight.data[0, 0, 1, 1] or 1
    for norm in (net.body[1], net.body[4], net.body[7]):
        norm.weight.data.fill_(1)
    net.body[1].bias.data.fill_(2)  # normalised pixels from -2 are seen
    net.fc[0].weight.data[0, 0] = 1
    net.fc[3].weight.data[0, 0] = 1
    net.fc[6].weight.data[:, 0] = torch.tensor([-5.0, 5.0])
    net.fc[6].bias.data[:] = torch.tensor([10.9, -10.9])
    folder = tmp_path / "quality"
    folder.mkdir()
    save_classifier(folder, net.state_dict(), "tiny", View(16, "stretch"), {})
    return folder


@pytest.fixture
def images(tmp_path):
    """Two bright ones of equal names, a dark one, a grey one, and one that is no image."""
    folder = tmp_path / "images"
    for name, level in {"a/1.png": 255, "b/1.png": 240, "b/dark.png": 0, "grey.png": 127}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shapes(1, 16).point(lambda _, level=level: level).save(folder / name)
    (folder / "b" / "no.jpg").write_text("no image")
    return folder


def classify(images, out, model, *more):
    with mock.patch("merv.runtime.setup_logging"):
        return main(["filter", "classify", str(images), "--model", str(model), "--out", str(out), *more])


def report(out):
    return json.loads((out / "classification_report.json").read_text())


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_images_are_sorted_with_their_folders_and_those_it_is_not_sure_of_apart(images, model, tmp_path, capsys):
    assert classify(images, tmp_path / "sorted", model, "--confidence_threshold", "0.9") == 0

    reports = ["classification_report.json", "filter_lineage.json"]
    assert tree(tmp_path / "sorted") == ["0/b/dark.png", "1/a/1.png", "1/b/1.png", *reports, "unsure/grey.png"]
    assert (tmp_path / "sorted/1/b/1.png").read_bytes() == (images / "b/1.png").read_bytes()
    said = capsys.readouterr().out
    assert "2 images of high quality, 1 of low quality, 1 unsure" in said
    assert "1 images could not be read; the report names them" in said


def test_links_to_nothing_are_listed_and_cost_nothing(images, model, tmp_path):
    (images / "gone.png").symlink_to("nowhere.png")

    assert classify(images, tmp_path / "out", model) == 0

    assert [row["filename"] for row in report(tmp_path / "out")["unreadable"]] == ["b/no.jpg", "gone.png"]


def test_a_folder_without_a_name_is_no_place_to_write_to(images, model, tmp_path, capsys, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    assert classify(images, ".", model) == 2

    assert ". has no name under which it could appear as a whole; name another --out" in capsys.readouterr().err


def test_the_report_has_totals_and_a_row_an_image(images, model, tmp_path):
    assert classify(images, tmp_path / "sorted", model, "--confidence_threshold", "0.9") == 0

    found = report(tmp_path / "sorted")
    totals = ("total_images", "low_quality_images", "high_quality_images", "unsure_images", "unreadable_images")
    assert [found[name] for name in totals] == [4, 1, 2, 1, 1]
    rows = {row["image_path"]: row for row in found["results"]}
    assert list(rows) == ["a/1.png", "b/1.png", "b/dark.png", "grey.png"]
    dark = rows["b/dark.png"]
    assert list(dark) == ["image_path", "predicted_class", "quality_label", "confidence", "probabilities", "sorted_to"]
    assert (dark["predicted_class"], dark["quality_label"]) == (0, "low_quality")
    assert dark["confidence"] == dark["probabilities"]["low_quality"] > 0.9
    assert sum(dark["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert rows["grey.png"]["sorted_to"] == "unsure"
    assert rows["grey.png"]["confidence"] < 0.9
    [lost] = found["unreadable"]
    assert lost["filename"] == "b/no.jpg"


def test_batches_change_nothing_and_at_a_half_nothing_is_unsure(images, model, tmp_path):
    found = []
    for size in ("1", "3"):
        assert classify(images, tmp_path / size, model, "--batch_size", size) == 0
        found.append(report(tmp_path / size)["results"])

    assert found[0] == found[1]
    assert {row["sorted_to"] for row in found[0]} == {"0", "1"}


def test_links_are_no_copies_and_lists_are_no_images(images, model, tmp_path):
    assert classify(images, tmp_path / "links", model, "--mode", "link") == 0
    assert classify(images, tmp_path / "lists", model, "--mode", "list") == 0

    assert (tmp_path / "links/1/a/1.png").samefile(images / "a/1.png")
    reports = ["classification_report.json", "filter_lineage.json"]
    assert tree(tmp_path / "lists") == ["0.txt", "1.txt", *reports, "unsure.txt"]
    assert str(images / "a/1.png") in (tmp_path / "lists/1.txt").read_text().splitlines()


def test_a_checkpoint_of_the_original_sorts_too(images, model, tmp_path, monkeypatch):
    monkeypatch.setattr("merv.filters.classifier_files.ORIGINAL", "tiny")
    monkeypatch.setattr("merv.filters.classifier_files.ORIGINAL_SIZE", 16)
    state = {f"resnet.{name}": tensor for name, tensor in load_file(model / "model.safetensors").items()}
    torch.save({"epoch": 1, "model_state_dict": state, "val_acc": 99.0}, tmp_path / "best.pth")

    assert classify(images, tmp_path / "mine", model) == 0
    assert classify(images, tmp_path / "theirs", tmp_path / "best.pth") == 0

    assert report(tmp_path / "mine")["results"] == report(tmp_path / "theirs")["results"]


def test_lineage_leads_from_image_to_weights_and_through_filters(images, model, tmp_path):
    assert classify(images, tmp_path / "one", model) == 0
    assert classify(tmp_path / "one" / "1", tmp_path / "two", model) == 0

    lineage = json.loads((tmp_path / "two" / "filter_lineage.json").read_text())
    [source] = lineage["inputs"]
    [(file, before)] = source["filters"].items()
    assert file == str(tmp_path / "one" / "filter_lineage.json")
    assert before["counts"]["unreadable"] == 1
    assert lineage["model"]["sha256"] == before["model"]["sha256"]


def test_what_a_user_can_cause_is_one_line_and_leaves_nothing(images, model, tmp_path, capsys):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_text("x")
    before = sorted(os.listdir(tmp_path))

    def refused(folder, out, model, *more):
        assert classify(folder, out, model, *more) == 2
        [line] = capsys.readouterr().err.splitlines()
        return line.removeprefix("merv filter classify: error: ")

    out = tmp_path / "out"
    assert "none of 1 images could be read; the first: image" in refused(bad, out, model)
    assert "holds no images" in refused(model, out, model)
    assert "is no classifier: it has no config.json" in refused(images, out, images)
    assert "there is no" in refused(images, out, tmp_path / "missing")
    assert "lies in" in refused(images, images / "out", model)
    assert "is there already" in refused(images, bad, model)
    assert "confidence_threshold is 2; it is a probability" in refused(
        images, out, model, "--confidence_threshold", "2"
    )
    assert "batch_size is 0" in refused(images, out, model, "--batch_size", "0")
    assert "num_workers is -1" in refused(images, out, model, "--num_workers", "-1")
    assert "`more` is no option" in refused(images, out, model, "more")
    with mock.patch.object(space.shutil, "disk_usage", return_value=mock.Mock(free=10)):
        assert "name an --out on a larger disk" in refused(images, out, model)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_model_folder_of_another_shape_is_one_line(images, model, tmp_path, capsys):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "arch": "resnet18"}))

    assert classify(images, tmp_path / "out", model) == 2

    assert "is of another net than resnet18" in capsys.readouterr().err
