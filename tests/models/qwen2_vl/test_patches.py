"""Patches are those of transformers' processors for the same pixels."""

import pytest
import torch
from torch.testing import assert_close

from merv.models.qwen2_vl.patches import MEAN, STD, normalise, to_patches

LEVELS = {"do_resize": False, "do_rescale": True, "do_normalize": True, "return_tensors": "pt"}


def frames_of(count, height, width):
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("count", "steps"), [(1, 1), (2, 1), (4, 2), (5, 3), (7, 4)])
def test_a_clip_becomes_what_transformers_makes_of_it(count, steps):
    from transformers import Qwen2VLVideoProcessor

    frames = frames_of(count, 56, 84)
    processor = Qwen2VLVideoProcessor(image_mean=MEAN, image_std=STD)
    expected = processor(videos=[frames], do_sample_frames=False, **LEVELS)

    patches, grid = to_patches(frames)

    assert patches.dtype == torch.uint8
    assert list(grid) == expected.video_grid_thw[0].tolist() == [steps, 4, 6]
    assert_close(normalise(patches), expected.pixel_values_videos, rtol=1e-5, atol=1e-5)


def test_a_still_becomes_what_transformers_makes_of_it():
    from transformers import Qwen2VLImageProcessor

    still = frames_of(1, 84, 56)
    expected = Qwen2VLImageProcessor(image_mean=MEAN, image_std=STD)(images=[still[0]], **LEVELS)

    patches, grid = to_patches(still)

    assert list(grid) == expected.image_grid_thw[0].tolist()
    assert_close(normalise(patches), expected.pixel_values, rtol=1e-5, atol=1e-5)


def test_the_statistics_are_those_transformers_has_for_qwen2_vl():
    from transformers import Qwen2VLVideoProcessor

    processor = Qwen2VLVideoProcessor()

    assert_close(tuple(processor.image_mean), MEAN)
    assert_close(tuple(processor.image_std), STD)


def test_frames_stored_channels_last_give_the_same_patches():
    frames = frames_of(4, 56, 28)

    found, _ = to_patches(frames.contiguous(memory_format=torch.channels_last))

    assert torch.equal(found, to_patches(frames)[0])
    assert found.is_contiguous()


def test_small_patches_follow_their_tokens():
    frames = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(2, 3, 4, 4)

    patches, grid = to_patches(frames, patch=1, temporal=2, merge=2)

    assert grid == (1, 4, 4)
    assert patches[:, 0].tolist() == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]


def test_the_frames_of_a_step_stand_together_in_a_patch():
    frames = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 3, 2, 2) + torch.tensor(
        [0, 50, 100], dtype=torch.uint8
    ).view(1, 3, 1, 1)

    patches, grid = to_patches(frames, patch=1, temporal=2, merge=2)

    assert grid == (2, 2, 2)
    assert patches[0].tolist() == [0, 1, 50, 51, 100, 101]
    assert patches[-1].tolist() == [2, 3, 52, 53, 102, 103]


def test_normalising_to_bfloat16_computes_in_float32():
    patches, _ = to_patches(frames_of(2, 28, 28))

    assert torch.equal(normalise(patches, torch.bfloat16), normalise(patches).bfloat16())


def test_frames_that_do_not_divide_into_tokens_are_our_mistake():
    with pytest.raises(AssertionError, match="frames of 28x42, patches merge to 28x28"):
        to_patches(frames_of(2, 28, 42))
