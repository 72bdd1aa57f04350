import math

import pytest
import torch
from torch.testing import assert_close

from merv.models.qwen2_vl.grounding_loss import PointTargets, coordinate_loss, focal_loss, point_targets
from merv.models.qwen2_vl.grounding_points import HeadOutput, PointGrid

from .grounding_rows import mask_of, moments, rows, tiny_head

STRIDES = (1, 2, 4, 8)
PROTOCOLS = ["merv", "videomind"]


def assign(length, *spans, protocol="merv", strides=STRIDES):
    """Places, strides and distances of the points of one row that get a moment; spans are in steps."""
    points = PointGrid.over(mask_of([length]), strides, padded=True)
    known = torch.ones(1, len(spans), dtype=torch.bool)
    goal = point_targets(points, torch.tensor([spans], dtype=torch.float32), known, 1.5, protocol)
    chosen = points.table[goal.positive[0]]
    return [
        (int(place), int(stride), *distances)
        for (place, _, _, stride), distances in zip(
            chosen.tolist(), goal.distances[0][goal.positive[0]].tolist(), strict=True
        )
    ]


def assign_slowly(length, spans):
    """The rule of `point_targets`, a point and a moment at a time, for clips of eight steps and more."""
    points = [(index * s, number) for number, s in enumerate(STRIDES) for index in range(length // s)]
    bounds = [(0, 2), (2, 4), (4, 8), (8, math.inf)]
    wants = {point: [] for point in points}
    for start, end in spans:
        middle, fitting = (start + end) / 2, []
        for place, number in points:
            near = abs(place - middle) <= 1.5 * STRIDES[number] and start <= place <= end
            if near and bounds[number][0] <= max(place - start, end - place) <= bounds[number][1]:
                fitting.append((place, number))
        if not fitting:
            half = (end - start) / 2
            level = next(number for number, (least, most) in enumerate(bounds) if least <= half < most)
            fitting = [min((p for p in points if p[1] == level), key=lambda p: abs(p[0] - middle))]
        for point in fitting:
            wants[point].append((end - start, start, end))
    found = []
    for (place, number), moments_ in wants.items():
        if moments_:
            _, start, end = min(moments_)
            stride = STRIDES[number]
            found.append((place, stride, max(0, place - start) / stride, max(0, end - place) / stride))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_points_get_what_the_rule_says(seed):
    generator = torch.Generator().manual_seed(seed)
    length = int(torch.randint(8, 60, (), generator=generator))
    number = int(torch.randint(1, 5, (), generator=generator))
    spans = (torch.rand(number, 2, generator=generator) * length).sort(1).values.tolist()

    found = assign(length, *spans)

    assert [row[:2] for row in found] == [row[:2] for row in assign_slowly(length, spans)]
    assert_close(torch.tensor(found), torch.tensor(assign_slowly(length, spans)), rtol=1e-5, atol=1e-5)


def test_a_moment_between_two_points_gets_the_nearest_and_no_distance_below_zero():
    assert assign(16, (3.25, 3.75)) == [(3, 1, 0.0, 0.75)]
    assert assign(16, (3.5, 3.875)) == [(4, 1, 0.5, 0.0)]


def test_a_moment_without_length_gets_a_point():
    assert assign(16, (3.0, 3.0)) == [(3, 1, 0.0, 0.0)]
    assert assign(16, (3.25, 3.25)) == [(3, 1, 0.0, 0.25)]


@pytest.mark.parametrize("length", [1, 2, 5, 8, 37, 150, 1500])
def test_the_whole_clip_and_its_ends_always_get_points(length):
    for span in ((0.0, 1.0), (0.0, 0.0), (1.0, 1.0), (0.999, 1.0), (0.4, 0.4001)):
        found = assign(length, tuple(part * length for part in span))

        assert found
        assert all(place < length and min(distances) >= 0 for place, _, *distances in found)


def test_of_several_moments_a_point_gets_the_shortest_that_fits_it():
    both = assign(16, (2.0, 5.0), (0.0, 5.5))

    short = assign(16, (2.0, 5.0))
    assert short
    assert set(short) < set(both)


def test_each_moment_of_a_row_gets_points():
    found = assign(40, (1.0, 4.0), (20.0, 38.0))

    assert set(found) == {*assign(40, (1.0, 4.0)), *assign(40, (20.0, 38.0))}


def test_padding_of_the_moments_is_no_moment():
    points = PointGrid.over(mask_of([16, 16]), STRIDES, padded=True)
    spans = torch.tensor([[[2.0, 5.0], [0.0, 0.0]], [[2.0, 5.0], [8.0, 12.0]]])

    goal = point_targets(points, spans, torch.tensor([[True, False], [True, True]]), 1.5, "merv")

    assert points.table[goal.positive[0], 0].tolist() == [row[0] for row in assign(16, (2.0, 5.0))]
    assert goal.positive[1].sum() > goal.positive[0].sum()


def test_a_padded_point_at_the_end_of_a_short_clip_gets_a_moment_only_in_videomind():
    # Step 5 of a clip of 5 is padding, and as far from the moment's middle as its points may be.
    assert 5 in {place for place, *_ in assign(5, (4.0, 5.0), protocol="videomind")}
    assert 5 not in {place for place, *_ in assign(5, (4.0, 5.0))}


def test_a_moment_between_two_points_teaches_videomind_no_coordinates():
    assert assign(16, (3.25, 3.75), protocol="videomind") == []

    head = tiny_head(protocol="videomind").train()
    losses = head.losses(head(*rows([16])), [moments(16, (3.25 / 16, 3.75 / 16))])

    assert losses.reg.item() == 0
    assert losses.total.isfinite().all()


@pytest.mark.parametrize("strides", [(1,), (1, 2), (1, 4, 16)])
def test_any_ascending_powers_of_two_serve(strides):
    for span in ((0.0, 30.0), (4.5, 4.75), (3.0, 9.0)):
        assert assign(30, span, strides=strides)


def output_of(logits, *, mask, distances=None, strides=STRIDES):
    points = PointGrid.over(mask, strides, padded=True)
    video = torch.zeros(len(logits), *mask.shape, 4)
    distances = torch.zeros(*logits.shape, 2) if distances is None else distances
    return HeadOutput(video, video[:, :, 0], logits, distances, points, mask)


def test_focal_loss_is_the_mean_over_real_points_and_the_sum_over_copies():
    mask, strides = mask_of([3], 4), (1, 2)
    logits = torch.tensor([[[2.0, -1.0, 0.5, 9.0, 0.0, 9.0]], [[0.0, 0.0, 0.0, 9.0, 0.0, 9.0]]])
    positive = torch.tensor([[True, False, False, False, True, False]])

    found = focal_loss(output_of(logits, mask=mask, strides=strides), positive)

    def focal(logit, right):
        likely = 1 / (1 + math.exp(-logit if right else logit))
        return -math.log(likely) * (1 - likely) ** 2

    first = [focal(2.0, True), focal(-1.0, False), focal(0.5, False), focal(0.0, True)]
    assert_close(found, torch.tensor([(sum(first) + 4 * focal(0.0, True)) / 4]))


def test_coordinate_loss_is_the_mean_over_distances_of_positive_points():
    distances = torch.full((1, 2, 3, 2), math.inf)
    distances[0, 0, 0], distances[0, 0, 2] = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 4.0])
    goal = PointTargets(torch.tensor([[True, False, True], [False] * 3]), torch.ones(2, 3, 2))
    output = output_of(torch.zeros(1, 2, 3), mask=mask_of([3, 3]), distances=distances, strides=(1,))

    assert_close(coordinate_loss(output, goal), torch.tensor([(0 + 1 + 0.5 + 3) / 4, 0]))


def test_saliency_loss_compares_the_drawn_step_with_those_no_more_salient():
    head = tiny_head().train()
    output = head(*rows([9]))
    target = moments(9, (0.0, 0.4))
    output.video, output.query = torch.zeros(1, 1, 9, 3), torch.tensor([[[1.0, 0.0, 0.0]]])
    output.video[0, 0, :, 1] = 1.0
    output.video[0, 0, target.positive] = torch.tensor([1.0, 0.0, 0.0])

    near = head.losses(output, [target]).sal
    output.video[0, 0, 8] = torch.tensor([1.0, 0.0, 0.0])
    rival = head.losses(output, [target]).sal

    # Scale 1 / 0.07: the drawn step is as like the query as can be, then shares that with one other step.
    assert_close(near, torch.tensor([0.05 * math.log1p(8 * math.exp(-1 / 0.07))]))
    assert_close(rival, torch.tensor([0.05 * math.log(2 + 7 * math.exp(-1 / 0.07))]))
    target.saliency[8] = 2
    assert head.losses(output, [target]).sal < near


def test_saliency_scale_is_at_most_100():
    head, given, targets = tiny_head().train(), rows([9]), [moments(9, (0.0, 0.4))]
    output = head(*given)
    found = []
    for scale in (99.0, 100.0, 1000.0):
        head.bundle_loss._loss_sal.scale.fill_(math.log(scale))
        found.append(head.losses(output, targets).sal.item())

    assert found[0] != pytest.approx(found[1], rel=1e-4)
    assert found[1] == pytest.approx(found[2], rel=1e-4)


def test_each_loss_has_its_weight():
    given, targets = rows([12]), [moments(12, (0.2, 0.6))]
    plain, heavy = (
        tiny_head().train(),
        tiny_head(class_weight=10.0, coordinate_weight=3.0, saliency_weight=0.2).train(),
    )

    one, other = (head.losses(head(*given), targets) for head in (plain, heavy))

    assert_close(other.cls, 2 * one.cls)
    assert_close(other.reg, 3 * one.reg)
    assert_close(other.sal, 4 * one.sal)
    assert_close(one.total, one.cls + one.reg + one.sal)
    assert_close(plain.loss(plain(*given), targets), one.total)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_loss_and_gradients_are_finite_whatever_the_moments(protocol):
    head = tiny_head(protocol=protocol).train()
    lengths = [1, 2, 5, 8, 37]
    spans = [(0.0, 1.0), (0.0, 0.0), (1.0, 1.0), (0.31, 0.33), (0.5, 0.9)]

    for number, span in enumerate(spans):
        targets = [moments(length, span if length > 1 else (0.0, 0.5), spans[number - 1]) for length in lengths]
        loss = head.loss(head(*rows(lengths)), targets)
        loss.sum().backward()

        assert loss.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_distance_too_large_for_its_type_at_a_point_without_a_moment_leaves_gradients_finite(protocol):
    head, given = tiny_head(protocol=protocol).train(), rows([16])
    target = [moments(16, (0.0, 0.125))]
    expected = head.losses(head(*given), target).reg

    def swell(_module, _given, said):
        far = torch.zeros_like(said)
        far[:, -2:] = 1000.0 if said.shape[1] == 16 else 0.0  # the last two steps
        return said + far

    with head.coord_head.register_forward_hook(swell):
        losses = head.losses(head(*given), target)
        losses.total.sum().backward()

    assert_close(losses.reg, expected)
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_saliency_of_more_steps_than_the_row_has_is_a_bug():
    head = tiny_head().train()

    with pytest.raises(AssertionError, match="saliency of 12 steps for rows of 9"):
        head.loss(head(*rows([9])), [moments(12, (0.2, 0.6))])


def test_no_rows_have_no_loss_and_reach_every_parameter():
    head = tiny_head().train()
    steps, queries, mask = rows([9])

    loss = head.loss(head(steps[:0], queries[:0], mask[:0]), [])
    loss.sum().backward()

    assert loss.shape == (0,)
    assert all(parameter.grad is not None for parameter in head.parameters())
