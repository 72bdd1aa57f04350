import torch
from torch.nn import functional as F

from merv.filters import near_duplicates
from merv.filters.near_duplicates import Group, by_resolution, groups_of, num_pixels, similar_pairs

from .pictures import shapes


def test_pairs_are_joined_to_groups_and_the_largest_picture_stays():
    pixels = [10, 10, 30, 10, 20, 20]

    groups = groups_of([(0, 2), (4, 5), (2, 3)], 6, by_resolution(pixels))

    assert groups == [Group(kept=2, removed=(0, 3)), Group(kept=4, removed=(5,))]


def test_the_order_of_pairs_does_not_matter():
    pairs = [(0, 5), (3, 5), (3, 4), (1, 2)]

    one, other = (groups_of(order, 6, by_resolution([1] * 6)) for order in (pairs, pairs[::-1]))

    assert one == other == [Group(0, (3, 4, 5)), Group(1, (2,))]


def test_without_pairs_there_are_no_groups():
    assert groups_of([], 3, by_resolution([1, 1, 1])) == []


def test_a_long_chain_is_one_group():
    total = 50_000

    [group] = groups_of(
        ((place, place + 1) for place in reversed(range(total - 1))), total, by_resolution([1] * total)
    )

    assert (group.kept, len(group.removed)) == (0, total - 1)


def test_similar_pairs_are_those_of_the_whole_matrix_whatever_the_block(monkeypatch):
    features = F.normalize(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    near = (features @ features.T >= 0.8).triu(diagonal=1)

    monkeypatch.setattr(near_duplicates, "_BLOCK", 7)
    found = list(similar_pairs(features, 0.8))

    assert sorted(found) == [tuple(pair) for pair in near.nonzero().tolist()]
    assert found


def test_pixels_are_those_of_the_file(tmp_path):
    shapes(1, size=48).resize((30, 20)).save(tmp_path / "a.jpg")

    assert num_pixels(tmp_path / "a.jpg") == 600
