import torch

from merv.models.qwen2_vl.grounding_points import PointGrid

from .grounding_rows import mask_of

STRIDES = (1, 2, 4, 8)


def counts(points, what, row=0):
    return [int(level[row].sum()) for level in getattr(points, what).split(points.sizes, dim=1)]


def test_a_level_has_a_point_every_stride_and_a_tail_has_none():
    points = PointGrid.over(mask_of([13]), STRIDES, padded=True)

    assert points.sizes == (13, 6, 3, 1)
    assert points.table[13:19, 0].tolist() == [0, 2, 4, 6, 8, 10]
    assert counts(points, "valid") == [13, 6, 3, 1]


def test_a_level_is_for_moments_between_its_stride_and_the_next():
    points = PointGrid.over(mask_of([8]), STRIDES, padded=True)

    ranges = [tuple(row) for row in points.table[[0, 8, 12, 14], 1:].tolist()]
    assert ranges == [(0, 2, 1), (2, 4, 2), (4, 8, 4), (8, float("inf"), 8)]


def test_a_short_row_has_every_level_when_padded_and_points_of_real_steps_are_valid():
    points = PointGrid.over(mask_of([5]), STRIDES, padded=True)

    assert points.sizes == (8, 4, 2, 1)
    assert counts(points, "present") == [8, 4, 2, 1]
    assert counts(points, "valid") == [5, 3, 2, 1]


def test_a_short_row_lacks_levels_when_not_padded():
    points = PointGrid.over(mask_of([5]), STRIDES, padded=False)

    assert points.sizes == (5, 2, 1)
    assert counts(points, "valid") == counts(points, "present") == [5, 2, 1]


def test_rows_of_a_batch_have_the_points_they_have_alone():
    lengths = [37, 5, 8, 12, 1]
    for padded in (True, False):
        batch = PointGrid.over(mask_of(lengths), STRIDES, padded=padded)
        for row, length in enumerate(lengths):
            single = PointGrid.over(mask_of([length]), STRIDES, padded=padded)
            for what in ("present", "valid"):
                found, expected = counts(batch, what, row), counts(single, what)
                assert found == expected + [0] * (4 - len(expected))


def test_a_clip_may_be_longer_than_the_published_buffer():
    points = PointGrid.over(torch.ones(1, 1500, dtype=torch.bool), STRIDES, padded=True)

    assert points.table[1499, 0] == 1499
