import pytest
import torch

from merv.errors import SampleError
from merv.models.qwen2_vl.batch import PATCHES

from .role_rows import grounding, role_config, sample


@pytest.fixture(scope="module")
def processor():
    return role_config("grounder").build().processor


@pytest.fixture
def batch(processor, clips):
    """A clip, a text, another clip, and the first clip again."""
    rows = [grounding(clips[name], (0.5, 0.9), name=name) for name in ("wide", "short", "wide")]
    one, two, again = processor.prepare_all(rows)
    text = processor.for_role("planner").prepare(sample(question="What?", plan=[]))
    assert not isinstance(again, SampleError)
    return processor.collate([one, text, two, again], indices=(5, 6, 7, 8))


def test_rows_know_their_clips(batch):
    assert [batch.clip_of(row) for row in range(4)] == [0, None, 1, 0]
    assert len(batch.grids) == 2


def test_rows_with_moments_are_what_a_head_learns_from(batch):
    assert batch.num_target_rows() == 3
    assert batch.num_target_tokens() == len(batch.targets) > 3


@pytest.mark.parametrize("rows", [[2], [1], [3, 0], [0, 1, 2, 3], [1, 2]], ids=str)
def test_chosen_rows_are_the_rows(batch, rows):
    chosen = batch.choose(rows)

    assert torch.equal(chosen.input_ids, batch.input_ids[rows])
    assert torch.equal(chosen.attention_mask, batch.attention_mask[rows])
    assert torch.equal(chosen.positions, batch.positions[:, rows])
    assert [chosen.clip_of(number) for number in range(len(rows))] == [batch.clip_of(row) for row in rows]
    for name in ("roles", "first_video", "calls", "moments", "shown", "sample_ids", "indices"):
        assert getattr(chosen, name) == tuple(getattr(batch, name)[row] for row in rows)
    width = batch.labels.shape[1]
    counted = [int(((batch.targets // width) == row).sum()) for row in rows]
    assert [int(((chosen.targets // width) == number).sum()) for number in range(len(rows))] == counted


def test_a_choice_leaves_the_batch_as_it_is(batch):
    before = batch.input_ids.clone()

    batch.choose([2])

    assert torch.equal(batch.input_ids, before)
    assert batch.size == 4
    assert batch.num_target_rows() == 3


def test_moving_takes_positions_and_patches_along(batch):
    moved = batch.to(torch.device("meta"))

    assert moved.positions.is_meta
    assert moved.frames[PATCHES].is_meta
    assert moved.shows.is_meta
    assert moved.grids == batch.grids
    assert not batch.positions.is_meta


@pytest.mark.parametrize("pad", ["left", "right"])
def test_a_batch_pads_on_the_side_it_is_told(processor, clips, pad):
    rows = [grounding(clips[name], (0.5, 0.9)) for name in ("short", "wide")]
    examples = [processor.prepare(row) for row in rows]

    batch = processor.collate(examples, pad=pad, indices=(4, 7))

    for number, example in enumerate(examples):
        assert torch.equal(batch.input_ids[number][batch.attention_mask[number]], example.input_ids)
        assert batch.input_ids[number, batch.first_video[number]] == processor.ids.video
        assert batch.input_ids[number, batch.first_video[number] - 1] != processor.ids.video
        [call] = batch.calls[number]
        assert batch.input_ids[number, call + 1] == processor.ids.reg
    assert batch.attention_mask[0, -1 if pad == "left" else 0]
    assert not batch.attention_mask[0, 0 if pad == "left" else -1]
    assert batch.num_target_rows() == 2
    assert batch.indices == (4, 7)


def test_a_batch_of_text_has_no_frames(processor):
    planner = processor.for_role("planner")

    batch = planner.collate([planner.prepare(sample(question="What?"), answer=False)])

    assert (batch.frames, batch.grids, batch.first_video) == ({}, (), (-1,))
    assert batch.num_target_rows() == 0
