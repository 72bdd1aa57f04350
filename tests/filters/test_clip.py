import sys

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from merv.errors import CheckpointError, ConfigError
from merv.filters.clip import Clip, ClipConfig
from merv.filters.images import Unreadable

from .colour_clip import colour_clip, paint
from .pictures import shapes


@pytest.fixture(scope="module")
def tiny():
    config = ClipConfig(model="tiny", init="random", batch_size=4)
    return config.build_clip(config.find_clip(), torch.device("cpu"))


@pytest.fixture
def folder(tmp_path):
    for number in range(7):
        shapes(number).save(tmp_path / f"{number}.png")
    return tmp_path


def test_pictures_and_sentences_are_vectors_of_one_space(tiny):
    images = torch.stack([tiny.transform(shapes(number)) for number in range(3)])

    features, words = tiny.encode_images(images), tiny.encode_texts(["a vase", "a shard"])

    assert (features.shape, words.shape) == ((3, 32), (2, 32))
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    assert not torch.allclose(words[0], words[1])


def test_random_weights_are_the_same_every_time_and_leave_other_randomness_alone(tiny):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()

    again = ClipConfig(model="tiny", init="random").build_clip(None, torch.device("cpu"))

    torch.testing.assert_close(again.encode_texts(["a vase"]), tiny.encode_texts(["a vase"]))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_score_does_not_depend_on_the_other_images_or_the_threads(tiny, folder):
    paths = sorted(folder.iterdir())

    together = tiny.look(paths, num_workers=2)

    assert all(
        torch.equal(tiny.look([path], num_workers=0)[0], row) for path, row in zip(paths, together, strict=True)
    )


def test_batches_give_what_the_network_gives_one_by_one(tiny, folder):
    found = tiny.look(sorted(folder.iterdir()), num_workers=0)

    alone = [tiny.network.encode_image(tiny.transform(shapes(number))[None])[0] for number in range(7)]

    torch.testing.assert_close(torch.stack(found), F.normalize(torch.stack(alone), dim=1), atol=1e-5, rtol=1e-4)


def test_what_cannot_be_read_keeps_its_place_and_has_no_vector(tiny, folder):
    (folder / "3.png").write_bytes(b"no picture")

    found = tiny.look(sorted(folder.iterdir()), num_workers=2)

    assert [isinstance(one, Unreadable) for one in found] == [number == 3 for number in range(7)]


def test_sentences_are_averaged_as_they_come_unless_each_shall_count_the_same():
    clip = colour_clip()

    raw = clip.direction(["red red red", "blue"])
    equal = clip.direction(["red red red", "blue"], normalize_first=True)

    torch.testing.assert_close(raw, F.normalize(torch.tensor([3.0, 0, 1]), dim=0))
    torch.testing.assert_close(equal, F.normalize(torch.tensor([1.0, 0, 1]), dim=0))


def test_a_photograph_of_many_pixels_is_seen_as_a_small_one(tmp_path, tiny):
    large = shapes(2, size=1024)
    large.save(tmp_path / "large.jpg", quality=95)
    [found] = tiny.look([tmp_path / "large.jpg"], num_workers=0)
    whole = tiny.encode_images(tiny.transform(large)[None])[0]

    assert float(found @ whole) > 0.999


def test_weights_of_a_file_are_laid_on_and_told_with_their_hash(tmp_path, tiny):
    shifted = {name: tensor * 0.5 for name, tensor in tiny.network.state_dict().items()}
    save_file(shifted, tmp_path / "half.safetensors")
    config = ClipConfig(model="tiny", pretrained=str(tmp_path / "half.safetensors"))

    clip = config.build_clip(config.find_clip(), torch.device("cpu"))

    torch.testing.assert_close(clip.network.state_dict()["text_projection"], shifted["text_projection"])
    told = clip.describe()
    assert (told["name"], told["init"], len(told["sha256"])) == ("tiny", "pretrained", 64)


def test_weights_of_another_model_are_refused(tmp_path, tiny):
    tensors = dict(tiny.network.state_dict())
    del tensors["logit_scale"]
    save_file(tensors, tmp_path / "other.safetensors")
    config = ClipConfig(model="tiny", pretrained=str(tmp_path / "other.safetensors"))

    with pytest.raises(CheckpointError, match="of another model: `logit_scale` is missing there"):
        config.build_clip(config.find_clip())


def test_bfloat16_gives_nearly_the_same_vectors(tiny):
    half = ClipConfig(model="tiny", init="random", dtype="bfloat16").build_clip(None, torch.device("cpu"))
    images = tiny.transform(shapes(1))[None]

    found = half.encode_images(images)

    assert (found.dtype, half.describe()["dtype"]) == (torch.float32, "bfloat16")
    assert 0.99 < float(found[0] @ tiny.encode_images(images)[0]) < 1
    assert float(F.cosine_similarity(half.encode_texts(["a vase"]), tiny.encode_texts(["a vase"]))) > 0.99


def test_an_unknown_model_is_refused_with_the_one_that_is_meant():
    with pytest.raises(ConfigError, match="open_clip has no model `vit-b-32`; did you mean `ViT-B-32`"):
        ClipConfig(model="vit-b-32").find_clip()


def test_without_open_clip_the_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)

    with pytest.raises(ConfigError, match=r"pip install 'merv\[filters\]'"):
        ClipConfig().find_clip()


@pytest.mark.parametrize(("option", "value"), [("batch_size", 0), ("num_workers", -1)])
def test_sizes_that_cannot_work_are_refused(option, value):
    with pytest.raises(ConfigError, match=f"{option} is {value}"):
        ClipConfig(**{option: value})


def test_threads_are_as_many_as_asked_for():
    assert ClipConfig(num_workers=3).threads == 3
    assert ClipConfig(num_workers=0).threads == 0
    assert ClipConfig().threads >= 1


def test_a_stand_in_is_a_clip_like_any_other(tmp_path):
    clip = colour_clip()

    [row] = clip.look([paint(tmp_path / "a.png", (255, 0, 0))], num_workers=0)

    assert isinstance(clip, Clip)
    assert row.tolist() == [1, 0, 0]
