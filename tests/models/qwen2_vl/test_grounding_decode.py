import pytest
import torch
from torch.testing import assert_close

from merv.models.qwen2_vl.grounding_decode import decode, overlap, suppress_copies, suppress_published
from merv.models.qwen2_vl.grounding_points import HeadOutput, PointGrid

from .grounding_rows import mask_of


def output_of(logits, distances, *, mask, padded=True):
    points = PointGrid.over(mask, (1, 2, 4, 8), padded=padded)
    video = torch.zeros(1, *mask.shape, 4)
    return HeadOutput(video, video[:, :, 0], logits[None], distances[None], points, mask)


def silent(mask):
    """An output whose boxes have no length and whose scores are low."""
    number = PointGrid.over(mask, (1, 2, 4, 8), padded=True).table.shape[0]
    return torch.full((len(mask), number), -5.0), torch.zeros(len(mask), number, 2)


def boxes_of(output, protocol="merv", **options):
    return decode(output, **{"threshold": 0.75, "max_moments": 100, **options}, protocol=protocol)


def random_boxes(seed, number=40):
    generator = torch.Generator().manual_seed(seed)
    ends = torch.rand(number, 2, generator=generator).sort(1).values
    return torch.cat((ends, torch.rand(number, 1, generator=generator)), 1)


def test_a_box_reaches_from_its_point_in_strides_of_its_level():
    mask = mask_of([16])
    logits, distances = silent(mask)
    # The second point of stride 4: step 4.
    logits[0, 16 + 8 + 1], distances[0, 16 + 8 + 1] = 3.0, torch.tensor([0.5, 2.0])

    (boxes,) = boxes_of(output_of(logits, distances, mask=mask))

    assert_close(boxes[0], torch.tensor([(4 - 2) / 16, (4 + 8) / 16, torch.tensor(3.0).sigmoid()]))


def test_times_are_parts_of_the_rows_own_length():
    mask = mask_of([16, 8])
    logits, distances = silent(mask)
    logits[:, 3], distances[:, 3] = 3.0, torch.tensor([1.0, 1.0])

    boxes = boxes_of(output_of(logits, distances, mask=mask))

    assert_close(boxes[0][0, :2], torch.tensor([2 / 16, 4 / 16]))
    assert_close(boxes[1][0, :2], torch.tensor([2 / 8, 4 / 8]))


@pytest.mark.parametrize(("protocol", "expected"), [("merv", [0.0, 1.0]), ("videomind", [-0.5, 1.5])])
def test_boxes_stay_within_the_clip_except_in_videomind(protocol, expected):
    mask = mask_of([8])
    logits, distances = silent(mask)
    logits[0, 4], distances[0, 4] = 3.0, torch.tensor([8.0, 8.0])

    (boxes,) = boxes_of(output_of(logits, distances, mask=mask), protocol)

    assert boxes[0, :2].tolist() == expected


def test_starts_come_before_ends_even_where_distances_are_negative():
    mask = mask_of([8])
    logits, distances = silent(mask)
    distances[0] = -2.0

    (boxes,) = boxes_of(output_of(logits, distances, mask=mask))

    assert (boxes[:, 0] <= boxes[:, 1]).all()


def test_overflowing_distances_give_the_ends_of_the_clip():
    mask = mask_of([8])
    logits, distances = silent(mask)
    distances[0] = torch.inf

    (boxes,) = boxes_of(output_of(logits, distances, mask=mask))

    assert boxes[:, :2].tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("protocol", ["merv", "videomind"])
def test_padded_points_give_no_boxes(protocol):
    mask = mask_of([16, 5])
    logits, distances = silent(mask)
    distances[...] = 0.3
    output = output_of(logits, distances, mask=mask)
    output.logits[0][~output.points.valid] = 9.0

    for boxes in boxes_of(output, protocol):
        assert boxes[:, 2].max() < 0.5


def test_a_row_without_steps_has_no_moments():
    mask = mask_of([0], 4)
    logits, distances = silent(mask)

    assert boxes_of(output_of(logits, distances, mask=mask))[0].shape == (0, 3)


@pytest.mark.parametrize("seed", range(10))
def test_kept_boxes_are_apart_best_first_and_cover_those_left_out(seed):
    boxes = random_boxes(seed)

    kept = suppress_copies(boxes, 0.75, 100)

    assert (kept[:-1, 2] >= kept[1:, 2]).all()
    for number, box in enumerate(kept):
        assert (overlap(box, kept[number + 1 :]) < 0.75).all()
    for box in boxes:
        better = kept[kept[:, 2] >= box[2]]
        assert (overlap(box, better) >= 0.75).any()


@pytest.mark.parametrize("seed", range(10))
def test_both_procedures_keep_the_same_boxes(seed):
    boxes = random_boxes(seed)

    published = suppress_published(boxes, 0.75, 100)

    assert len(published) == len(boxes)
    assert torch.equal(published[published[:, 2] > 0], suppress_copies(boxes, 0.75, 100))


def test_in_videomind_a_suppressed_box_stays_behind_the_others_with_score_zero():
    boxes = torch.tensor([[0.0, 1.0, 0.9], [0.0, 0.99, 0.8], [0.5, 0.6, 0.7]])

    found = suppress_published(boxes, 0.75, 100)

    assert_close(found, torch.tensor([[0.0, 1.0, 0.9], [0.5, 0.6, 0.7], [0.0, 0.99, 0.0]]))


@pytest.mark.parametrize("protocol", ["merv", "videomind"])
def test_an_answer_has_at_most_so_many_moments(protocol):
    mask = mask_of([32])
    logits, distances = silent(mask)
    distances[...] = 0.4

    (boxes,) = boxes_of(output_of(logits, distances, mask=mask), protocol, max_moments=3)

    assert boxes.shape == (3, 3)


def test_boxes_overlap_from_the_threshold_on():
    boxes = torch.tensor([[0.0, 1.0, 0.9], [0.0, 0.5, 0.8]])

    assert len(suppress_copies(boxes, 0.5, 100)) == 1
    assert len(suppress_copies(boxes, 0.51, 100)) == 2
    assert (suppress_published(boxes, 0.5, 100)[:, 2] > 0).tolist() == [True, False]
    assert (suppress_published(boxes, 0.51, 100)[:, 2] > 0).tolist() == [True, True]


def test_boxes_without_length_overlap_nothing():
    point = torch.tensor([0.5, 0.5, 0.9])

    assert overlap(point, torch.stack((point, torch.tensor([0.0, 1.0, 0.1])))).tolist() == [0.0, 0.0]
