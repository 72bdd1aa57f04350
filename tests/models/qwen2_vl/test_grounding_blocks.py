import math

import pytest
import torch
from torch.testing import assert_close

from merv.models.qwen2_vl.grounding_blocks import ConvHead, ConvPyramid, FusionLayer, relative_positions

from .grounding_rows import mask_of


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_positions_run_to_a_full_turn_at_the_rows_own_last_step():
    found = relative_positions(mask_of([4, 2]), 4)

    for row, length in enumerate((4, 2)):
        for step in range(length):
            angle = 2 * math.pi * (step + 1) / length
            expected = [math.sin(angle), math.cos(angle), math.sin(angle / 100), math.cos(angle / 100)]
            # 1e-6 stands in the original's divisor.
            assert_close(found[row, step], torch.tensor(expected), atol=1e-5, rtol=0)


def test_fusion_does_not_look_at_unknown_tokens():
    layer, tokens = FusionLayer(8, 2, "silu", 0.0), random(1, 6, 8)
    known = mask_of([4], 6)

    found = layer(tokens, known)[:, :4]

    assert_close(found, layer(tokens[:, :4], known[:, :4]))


def test_drop_path_leaves_whole_rows_out_and_keeps_the_mean():
    torch.manual_seed(0)
    layer = FusionLayer(8, 2, "silu", 0.25).train()
    branch = torch.ones(4000, 3, 8)

    found = layer._drop(branch)

    assert found.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (found == found[:, :1, :1]).all()
    # Four standard deviations of the mean of 4000 rows.
    assert found.mean().item() == pytest.approx(1, abs=0.04)


def test_drop_path_is_off_outside_training():
    layer = FusionLayer(8, 2, "silu", 0.9).eval()

    assert torch.equal(layer._drop(torch.ones(50, 1, 8)), torch.ones(50, 1, 8))


def test_pyramid_halves_time_and_leaves_out_strides_longer_than_it():
    pyramid = ConvPyramid(8, (1, 2, 4, 8), "relu")

    assert [level.shape[1] for level in pyramid(random(2, 21, 8))] == [21, 10, 5, 2]
    assert [level.shape[1] for level in pyramid(random(2, 5, 8))] == [5, 2, 1]


def test_head_speaks_in_a_padded_row_as_it_does_alone():
    head, level = ConvHead(8, 2, "silu"), random(1, 9, 8)

    found = head(level, mask_of([6], 9))[:, :6]

    assert_close(found, head(level[:, :6], mask_of([6])))
