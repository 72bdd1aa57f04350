from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.testing import assert_close

from merv.data.sample import IGNORE_INDEX
from merv.models.splice import insert_visual

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "parts"
SHARED = ROOT / ".." / "shared" / "golden"
PADDING = 0.0
"""Embedding of a padding position; text and visual tokens are numbered from 1 and from 1000."""


def batch(lengths, *, num_visual, rows, pad="right", width=None):
    """Rows of numbered tokens with embedding width 1: text 1, 2, ..; visual 1000, 1001, .. (10 more for each row)."""
    width = width or max(lengths)
    embeds = torch.full((len(lengths), width, 1), PADDING)
    labels = torch.full((len(lengths), width), IGNORE_INDEX)
    mask = torch.zeros(len(lengths), width, dtype=torch.bool)
    for row, length in enumerate(lengths):
        text = slice(0, length) if pad == "right" else slice(width - length, width)
        embeds[row, text, 0] = torch.arange(1.0, length + 1)
        labels[row, text] = torch.arange(1, length + 1)
        mask[row, text] = True
    visual = 1000 + 10 * torch.arange(len(rows))[:, None, None] + torch.arange(num_visual)[None, :, None]
    return {
        "embeds": embeds,
        "visual": visual.float(),
        "rows": torch.tensor(rows, dtype=torch.long),
        "labels": labels,
        "attention_mask": mask,
    }


def read(spliced):
    """What the LLM attends to, row by row."""
    pairs = zip(spliced.embeds[..., 0], spliced.attention_mask, strict=True)
    return [embeds[mask].int().tolist() for embeds, mask in pairs]


@st.composite
def batches(draw):
    lengths = draw(st.lists(st.integers(2, 7), min_size=1, max_size=5))
    chosen = [row for row in range(len(lengths)) if draw(st.booleans())]
    return {
        "lengths": lengths,
        "rows": chosen,
        "num_visual": draw(st.integers(1, 4)),
        "width": max(lengths) + draw(st.integers(0, 2)),
    }


def test_visual_tokens_follow_the_bos_and_text_rows_are_padded_at_the_end():
    spliced = insert_visual(**batch([3, 2, 3], num_visual=2, rows=[0, 2]))

    assert spliced.embeds[..., 0].tolist() == [
        [1, 1000, 1001, 2, 3],
        [1, 2, 0, 0, 0],
        [1, 1010, 1011, 2, 3],
    ]
    assert spliced.attention_mask.int().tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]


def test_left_padded_rows_take_visual_tokens_after_the_bos_behind_the_padding():
    spliced = insert_visual(**batch([3, 2, 2], num_visual=2, rows=[0, 2], pad="left"), pad="left")

    assert spliced.embeds[..., 0].tolist() == [
        [1, 1000, 1001, 2, 3],
        [0, 0, 0, 1, 2],
        [0, 1, 1010, 1011, 2],
    ]
    assert spliced.attention_mask.int().tolist() == [[1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 1, 1, 1, 1]]


def test_each_row_may_have_its_own_position():
    spliced = insert_visual(**batch([3, 3, 3], num_visual=1, rows=[0, 1]), after=torch.tensor([0, 3, 2]))

    assert read(spliced) == [[1000, 1, 2, 3], [1, 2, 3, 1010], [1, 2, 3]]


@pytest.mark.parametrize("after", [2, 3, 5])
def test_a_position_past_the_row_puts_visual_tokens_at_its_end(after):
    spliced = insert_visual(**batch([2], num_visual=2, rows=[0]), after=after)

    assert read(spliced) == [[1, 2, 1000, 1001]]


@settings(max_examples=60, deadline=None)
@given(case=batches(), pad=st.sampled_from(["right", "left"]), after=st.integers(0, 2))
def test_text_keeps_its_order_around_one_block_of_visual_tokens(case, pad, after):
    spliced = insert_visual(**batch(**case, pad=pad), after=after, pad=pad)

    for row, (length, seen) in enumerate(zip(case["lengths"], read(spliced), strict=True)):
        text = list(range(1, length + 1))
        if row in case["rows"]:
            first = 1000 + 10 * case["rows"].index(row)
            text[after:after] = range(first, first + case["num_visual"])
        assert seen == text


@settings(max_examples=60, deadline=None)
@given(case=batches(), pad=st.sampled_from(["right", "left"]))
def test_labels_are_never_on_visual_positions_and_stay_with_their_tokens(case, pad):
    spliced = insert_visual(**batch(**case, pad=pad), pad=pad)
    embeds = spliced.embeds[..., 0]

    is_text = (embeds > 0) & (embeds < 1000)
    assert (spliced.labels[~is_text] == IGNORE_INDEX).all()
    assert_close(spliced.labels[is_text], embeds[is_text].long())


@settings(max_examples=60, deadline=None)
@given(case=batches(), pad=st.sampled_from(["right", "left"]))
def test_mask_counts_the_text_and_the_visual_tokens_of_each_row(case, pad):
    spliced = insert_visual(**batch(**case, pad=pad), pad=pad)

    expected = [n + case["num_visual"] * (row in case["rows"]) for row, n in enumerate(case["lengths"])]
    assert spliced.attention_mask.sum(1).tolist() == expected
    assert spliced.attention_mask.shape[1] == case["width"] + case["num_visual"]


@settings(max_examples=60, deadline=None)
@given(case=batches())
def test_left_and_right_padding_show_the_same_tokens(case):
    right = insert_visual(**batch(**case, pad="right"), pad="right")
    left = insert_visual(**batch(**case, pad="left"), pad="left")

    assert read(left) == read(right)


@settings(max_examples=60, deadline=None)
@given(case=batches(), pad=st.sampled_from(["right", "left"]))
def test_attended_positions_of_a_row_are_contiguous_and_on_the_unpadded_side(case, pad):
    mask = insert_visual(**batch(**case, pad=pad), pad=pad).attention_mask.int()

    steps = mask.diff(dim=1)
    assert (steps <= 0).all() if pad == "right" else (steps >= 0).all()


def test_batch_of_text_alone_runs_and_masks_the_visual_positions():
    inputs = batch([3, 2], num_visual=2, rows=[])
    inputs["visual"] = torch.full((1, 2, 1), 7.0)

    spliced = insert_visual(**inputs)

    assert spliced.embeds.shape == (2, 5, 1)
    assert read(spliced) == [[1, 2, 3], [1, 2]]


def test_dummy_rows_are_left_out_and_get_a_gradient_of_zero():
    inputs = batch([3, 2], num_visual=2, rows=[1, 0])
    visual = inputs.pop("visual").requires_grad_()

    spliced = insert_visual(visual=visual, **{**inputs, "rows": torch.tensor([1])})
    spliced.embeds.sum().backward()

    assert read(spliced) == [[1, 2, 3], [1, 1000, 1001, 2]]
    assert visual.grad[..., 0].tolist() == [[1, 1], [0, 0]]


def test_text_alone_still_gives_visual_tokens_a_gradient():
    inputs = batch([3, 2], num_visual=2, rows=[])
    visual = torch.ones(1, 2, 1, requires_grad=True)

    insert_visual(**{**inputs, "visual": visual, "embeds": inputs["embeds"].requires_grad_()}).embeds.sum().backward()

    assert visual.grad.count_nonzero() == 0
    assert inputs["embeds"].grad.eq(1).all()


def test_rows_may_come_in_any_order():
    spliced = insert_visual(**batch([2, 2], num_visual=1, rows=[1, 0]))

    assert read(spliced) == [[1, 1010, 2], [1, 1000, 2]]


def test_result_keeps_the_dtypes_of_text_embeddings_and_a_bool_mask():
    inputs = batch([2, 2], num_visual=1, rows=[0])
    inputs |= {"embeds": inputs["embeds"].bfloat16(), "attention_mask": inputs["attention_mask"].long()}

    spliced = insert_visual(**inputs)

    assert (spliced.embeds.dtype, spliced.labels.dtype, spliced.attention_mask.dtype) == (
        torch.bfloat16,
        torch.int64,
        torch.bool,
    )


@pytest.mark.parametrize("rows", [[], [0], [0, 1]])
def test_the_same_operations_run_whatever_rows_have_frames(rows):
    def operations(rows):
        inputs = batch([3, 2], num_visual=2, rows=[0, 1])
        inputs |= {"rows": torch.tensor(rows, dtype=torch.long), "visual": inputs["visual"].requires_grad_()}
        names, todo = [], [insert_visual(**inputs).embeds.grad_fn]
        while todo:
            node = todo.pop()
            names.append(type(node).__name__)
            todo += [parent for parent, _ in node.next_functions if parent is not None]
        return names

    assert operations(rows) == operations([1])


def compare_with_recorded(recorded, num_visual, prefix=""):
    """Our rows keep the batch's order; the original's are those with frames, then those without."""
    labels, mask = recorded[f"in.{prefix}labels"], recorded[f"in.{prefix}attention_mask"]
    rows = recorded.get(f"in.{prefix}multimodal_indices", torch.tensor([], dtype=torch.long))
    text_rows = torch.tensor([row for row in range(len(labels)) if row not in rows.tolist()], dtype=torch.long)
    embeds, visual = torch.zeros(*labels.shape, 3), torch.ones(max(len(rows), 1), num_visual, 3)

    spliced = insert_visual(embeds, visual, rows, labels=labels, attention_mask=mask)

    order = torch.cat([rows, text_rows])
    expected = recorded[f"out.{prefix}fused_labels"], recorded[f"out.{prefix}fused_attention_mask"]
    for ours, original in zip((spliced.labels, spliced.attention_mask.long()), expected, strict=True):
        assert_close(ours[order][:, : original.shape[1]], original, atol=0, rtol=0)
    return spliced


def test_mixed_batch_has_the_recorded_labels_and_mask():
    compare_with_recorded(load_file(GOLDEN / "splice_mixed.safetensors"), num_visual=32)


def test_text_batch_has_the_recorded_labels_and_mask_and_then_padding():
    recorded = load_file(GOLDEN / "splice_mixed.safetensors")

    spliced = compare_with_recorded(recorded, num_visual=32, prefix="textonly.")

    length = recorded["out.textonly.fused_labels"].shape[1]
    assert (spliced.labels[:, length:] == IGNORE_INDEX).all()
    assert not spliced.attention_mask[:, length:].any()


@pytest.mark.parametrize("case", ["lq", "lq_mixed", "concat", "concat_channel", "single"])
def test_whole_runs_of_the_original_have_our_labels_and_mask(case):
    if not SHARED.exists():
        pytest.skip("recorded runs of the original are not beside this checkout")
    recorded = load_file(SHARED / f"c_merv_{case}.safetensors")

    compare_with_recorded(recorded, num_visual=recorded["out.fused_labels"].shape[1] - recorded["in.labels"].shape[1])
