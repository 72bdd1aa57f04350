import pytest
import torch

from merv.models.collating import distinct, padded


@pytest.mark.parametrize(("side", "expected"), [("left", [9, 9, 1, 2]), ("right", [1, 2, 9, 9])])
def test_padding_stands_on_its_side(side, expected):
    assert padded(torch.tensor([1, 2]), 4, 9, side).tolist() == expected


def test_a_row_of_full_width_stays_as_it_is():
    assert padded(torch.tensor([1, 2]), 2, 9, "left").tolist() == [1, 2]


def test_equal_keys_share_the_first_value():
    assert distinct(["a", "b", "c", "d"], [1, 2, 1, 2]) == (["a", "b"], [0, 1, 0, 1])


def test_nothing_is_shared_of_nothing():
    assert distinct([], []) == ([], [])
