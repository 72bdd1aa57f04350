import pytest
import torch
from PIL import Image

from merv.errors import ConfigError
from merv.filters.classifier_data import (
    AugmentedBatches,
    View,
    augment,
    find_labelled,
    find_unreadable,
    hash_of_split,
    names_of,
    split,
)

from .pictures import draw_labelled, shapes

LABELS = [0] * 40 + [1] * 20


def test_the_folder_an_image_lies_in_is_its_label(tmp_path):
    paths, labels = find_labelled(draw_labelled(tmp_path, 4))

    assert labels == [0] * 4 + [1] * 4
    assert [path.relative_to(tmp_path).parts[0] for path in paths] == ["0"] * 4 + ["1"] * 4
    assert any("more" in path.parts for path in paths)


def test_one_class_only_is_told_with_the_tree_that_was_expected(tmp_path):
    (tmp_path / "0").mkdir()
    shapes(1).save(tmp_path / "0" / "a.png")

    with pytest.raises(ConfigError, match=r"has no folder 1; sort the images") as told:
        find_labelled(tmp_path)
    assert "1/   images of high quality" in told.value.below
    (tmp_path / "1").mkdir()
    with pytest.raises(ConfigError, match=r"1 holds no images"):
        find_labelled(tmp_path)
    with pytest.raises(ConfigError, match="has no folder 0 and no folder 1"):
        find_labelled(tmp_path / "1")
    with pytest.raises(ConfigError, match="is not there; name one with folders 0 and 1"):
        find_labelled(tmp_path / "nowhere")


def test_a_split_is_seeded_and_has_the_same_share_of_both_classes():
    parts = split(LABELS, 42, 0.1, 0.1)

    assert sorted(place for places in parts.values() for place in places) == list(range(60))
    counted = {part: [sum(LABELS[p] == label for p in places) for label in (0, 1)] for part, places in parts.items()}
    assert counted == {"train": [32, 16], "val": [4, 2], "test": [4, 2]}
    assert parts == split(LABELS, 42, 0.1, 0.1)
    assert parts != split(LABELS, 43, 0.1, 0.1)


def test_three_images_of_a_class_are_enough_for_a_split():
    parts = split([0, 0, 0, 1, 1, 1], 1, 0.1, 0.1)

    assert {part: len(places) for part, places in parts.items()} == {"train": 2, "val": 2, "test": 2}


def test_too_few_images_for_a_split_are_one_line():
    with pytest.raises(ConfigError, match=r"folder 1 has 2 readable images; .* 3 in all: add images of high quality"):
        split([0] * 9 + [1] * 2, 1, 0.1, 0.1)
    with pytest.raises(ConfigError, match=r"4 readable images, of which val_share 0.5 and test_share 0.5 leave none"):
        split([0] * 4 + [1] * 9, 1, 0.5, 0.5)


def test_the_hash_of_a_split_changes_with_an_image_that_changes_its_part(tmp_path):
    paths = [tmp_path / "0" / "a.png", tmp_path / "1" / "b.png"]
    one = names_of({"train": [0], "val": [1]}, paths, tmp_path)

    assert one == {"train": ["0/a.png"], "val": ["1/b.png"]}
    assert hash_of_split(one) != hash_of_split({"train": ["1/b.png"], "val": ["0/a.png"]})


def test_a_view_stretches_or_keeps_the_shape_on_grey():
    wide = Image.new("RGB", (20, 10), (255, 0, 0))

    stretched, padded = (View(8, resize).resized(wide) for resize in ("stretch", "pad"))

    assert stretched.getcolors() == [(64, (255, 0, 0))]
    assert sorted(padded.getcolors()) == [(32, (128, 128, 128)), (32, (255, 0, 0))]


def test_a_view_is_torchvisions_resize_and_normalisation():
    from torchvision import transforms

    image = shapes(1, 60)
    theirs = transforms.Compose(
        [
            transforms.Resize((24, 24)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    torch.testing.assert_close(View(24, "stretch")(image), theirs(image))


def test_augmentation_changes_training_images_and_says_the_same_for_the_same_seed():
    image = shapes(1)

    def changed(seed):
        return augment(image, torch.Generator().manual_seed(seed)).tobytes()

    assert changed(1) == changed(1)
    assert len({changed(seed) for seed in range(10)} | {image.tobytes()}) == 11


def test_augmentation_depends_on_the_place_in_the_whole_list_not_on_the_share(tmp_path):
    paths, _ = find_labelled(draw_labelled(tmp_path, 3))
    view = View(24, "stretch")

    def rows(keys, epoch=0, workers=0):
        chosen = [paths[key] for key in keys]
        return torch.stack(list(AugmentedBatches(chosen, keys, view, 2, workers, seed=(7, epoch)).rows()))

    whole = rows(range(6))
    torch.testing.assert_close(whole[1::2], rows([1, 3, 5], workers=2))
    assert not torch.equal(whole, rows(range(6), epoch=1))


def test_what_cannot_be_read_is_found_before_training(tmp_path):
    paths, _ = find_labelled(draw_labelled(tmp_path, 2))
    paths[1].write_bytes(paths[1].read_bytes()[:40])

    assert [one is not None for one in find_unreadable(paths, 2)] == [False, True, False, False]
