"""Rows in a batch say what they say alone; media that stand in for a lacking kind change nothing."""

import pytest
import torch

from merv.chat import IGNORE_INDEX, MEDIA
from merv.data.sample import Example
from merv.models.hf_vlm.batch import HfBatch
from merv.models.hf_vlm.rows import continued, cut, joined

from .samples import NAMES, QWENS, forward, model_of, processor_of, talk


def mixed(name, media):
    """Rows with one image, none, two images, and a video."""
    return [
        talk("What?", "a ball", media=[media["wide"]], name="one"),
        talk("What is a ball?", "a round thing that rolls", name="none"),
        talk(f"{MEDIA}or{MEDIA}?", "the second", "Sure?", "yes", media=[media["tall"], media["square"]], name="two"),
        talk(f"See {MEDIA}", "it rolls", media=[media["clip"]], name="video", num_frames=4),
    ]


@pytest.mark.parametrize("pad", ["right", "left"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_batch_say_what_they_say_alone(vlm_folder, media, name, pad):
    processor, model = processor_of(vlm_folder(name)), model_of(vlm_folder(name))
    examples = [processor.prepare(sample) for sample in mixed(name, media)]

    batch = processor.collate(examples, indices=[5, 3, 8, 1], pad=pad)
    together = forward(model, batch)

    assert isinstance(batch, HfBatch)
    assert (batch.sample_ids, batch.indices) == (("one", "none", "two", "video"), (5, 3, 8, 1))
    assert batch.visual_rows.tolist() == [0, 2, 3]
    assert batch.stand_in is None
    for row, example in enumerate(examples):
        alone = forward(model, processor.collate([example], pad=pad))[0]
        torch.testing.assert_close(together[row][batch.attention_mask[row]], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_told_and_carries_nothing(vlm_folder, media, name):
    processor = processor_of(vlm_folder(name))
    examples = [processor.prepare(sample) for sample in mixed(name, media)]

    batch = processor.collate(examples)

    assert batch.input_ids.shape == batch.labels.shape == batch.attention_mask.shape
    assert batch.attention_mask.sum(1).tolist() == [len(example.input_ids) for example in examples]
    assert (batch.input_ids[~batch.attention_mask] == processor.tokenizer.pad_token_id).all()
    assert (batch.labels[~batch.attention_mask] == IGNORE_INDEX).all()
    assert batch.num_target_tokens() == sum(int((e.labels != IGNORE_INDEX).sum()) for e in examples)
    if name in QWENS:
        assert batch.frames["mm_token_type_ids"].shape == batch.input_ids.shape
        assert (batch.frames["mm_token_type_ids"][~batch.attention_mask] == 0).all()


def test_visual_and_other_tokens_are_counted_apart(vlm_folder, media):
    processor = processor_of(vlm_folder("aria"))
    batch = processor.collate([processor.prepare(sample) for sample in mixed("aria", media)])

    assert batch.visual_tokens == (8, 0, 16, 32)
    assert batch.num_visual_tokens() == 56
    assert batch.num_text_tokens() == int(batch.attention_mask.sum()) - 56


def test_only_experts_learn_from_rows(vlm_folder):
    processor = processor_of(vlm_folder("aria"))
    example = processor.prepare(talk("a", "b"))

    assert processor.collate([example, example]).num_target_rows() == 0
    processor.rows_learn = True
    assert processor.collate([example, example]).num_target_rows() == 2


def test_all_tensors_move_together(vlm_folder, media):
    processor = processor_of(vlm_folder("qwen2.5-vl"))
    batch = processor.collate([processor.prepare(sample) for sample in mixed("qwen2.5-vl", media)])

    moved = batch.to(torch.device("meta"))

    assert {tensor.device.type for tensor in moved.inputs().values()} == {"meta"}
    assert set(moved.inputs()) == {
        "input_ids",
        "mm_token_type_ids",
        "pixel_values",
        "image_grid_thw",
        "pixel_values_videos",
        "video_grid_thw",
        "second_per_grid_ts",
    }


CASES = [(name, {"image"}) for name in NAMES] + [(name, {"video"}) for name in NAMES]
CASES += [(name, {"image", "video"}) for name in QWENS]


@pytest.mark.parametrize(("name", "kinds"), CASES)
def test_a_stand_in_changes_nothing_where_something_is_learned(vlm_folder, media, name, kinds):
    processor, model = processor_of(vlm_folder(name), min_pixels=None), model_of(vlm_folder(name))
    rows = [talk("What is a ball?", "a round thing that rolls"), talk("What?", "a ball")]
    examples = [processor.prepare(sample) for sample in rows]
    without = processor.collate(examples)

    processor.expect(kinds)
    batch = processor.collate(examples)

    assert without.stand_in is None
    assert batch.stand_in == (1, int(batch.attention_mask[1].sum()) - 1)
    assert batch.num_target_tokens() == without.num_target_tokens()
    assert batch.visual_rows.tolist() == []
    assert batch.visual_tokens[0] == 0
    assert batch.visual_tokens[1] > 0
    wanted = {"image": "pixel_values", "video": "pixel_values_videos"}
    named = {wanted[kind] for kind in (kinds if name in QWENS else {"image"})}
    assert {key for key in batch.frames if key.startswith("pixel_values")} == named
    logits, expected = forward(model, batch), forward(model, without)
    for row, example in enumerate(examples):
        length = len(example.input_ids)
        torch.testing.assert_close(logits[row, :length], expected[row, :length], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", QWENS)
def test_only_the_kind_that_lacks_is_stood_in_for(vlm_folder, media, name):
    processor = processor_of(vlm_folder(name))
    processor.expect({"image", "video"})
    rows = mixed(name, media)

    image, video, both = (
        [processor.prepare(rows[number]) for number in numbers] for numbers in ((0, 1), (3,), (0, 3))
    )

    black = processor.collate(image).frames["pixel_values_videos"]
    assert len(black.unique(dim=0)) == 1
    # One time step of one token.
    assert processor.collate(image).frames["video_grid_thw"].tolist() == [[1, 2, 2]]
    assert processor.collate(video).frames["image_grid_thw"].tolist() == [[1, 2, 2]]
    assert processor.collate(both).stand_in is None


def test_the_smallest_image_stands_in_whatever_images_have_to_be(vlm_folder):
    processor = processor_of(vlm_folder("qwen2-vl"), min_pixels=20 * 28 * 28)
    processor.expect({"image"})

    batch = processor.collate([processor.prepare(talk("a", "b"))])

    assert batch.frames["image_grid_thw"].tolist() == [[1, 2, 2]]


def test_nothing_stands_in_for_what_is_to_be_answered(vlm_folder):
    processor = processor_of(vlm_folder("llava"))
    processor.expect({"image"})

    batch = processor.collate([processor.prepare(talk("What?"), answer=False)], pad="left")

    assert batch.stand_in is None
    assert batch.frames == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_of_zero_reaches_the_tower_through_the_stand_in(vlm_folder, name):
    processor, model = processor_of(vlm_folder(name)), model_of(vlm_folder(name))
    processor.expect({"image"})
    batch = processor.collate([processor.prepare(talk("What?", "a ball"))])

    logits = model(**batch.inputs(), attention_mask=batch.attention_mask.long()).logits
    gradients = torch.autograd.grad(
        logits[batch.stand_in].sum(),
        list(model.base_model.get_encoder(modality="image").parameters()),
        allow_unused=True,
    )

    assert any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)


def test_smaller_tensors_are_filled_up_with_zeros():
    small, large = torch.ones(1, 2, 3), torch.full((2, 4, 2), 2.0)

    found = joined([small, large])

    assert found.shape == (3, 4, 3)
    assert torch.equal(found[:1, :2, :3], small)
    assert torch.equal(found[1:, :4, :2], large)
    assert found.sum() == small.sum() + large.sum()
    assert torch.equal(joined([small, small]), torch.ones(2, 2, 3))


def test_tensors_with_a_value_for_each_token_follow_the_tokens():
    def row(first, length, **frames):
        ids = torch.arange(first, first + length)
        return Example(ids, ids.clone(), frames)

    one = row(1, 3, kinds=torch.tensor([1, 1, 0]), pixels=torch.ones(2, 2))
    other = row(4, 2, pixels=torch.zeros(1, 2))

    whole = continued(one, other)

    assert whole.input_ids.tolist() == whole.labels.tolist() == [1, 2, 3, 4, 5]
    assert whole.frames["kinds"].tolist() == [1, 1, 0, 0, 0]
    assert whole.frames["pixels"].shape == (3, 2)
    assert cut(whole, 2).frames["kinds"].tolist() == [1, 1]
    assert cut(whole, 2).frames["pixels"].shape == (3, 2)


def test_tokens_of_a_row_are_told_from_those_of_a_stand_in(vlm_folder):
    processor = processor_of(vlm_folder("qwen2-vl"))
    examples = [processor.prepare(talk("What is a ball?", "a round thing that rolls"))]
    assert processor.collate(examples).own_tokens().all()

    processor.expect({"image", "video"})
    batch = processor.collate(examples)

    own = len(examples[0].input_ids)
    assert batch.own_tokens()[0].tolist() == [True] * own + [False] * (batch.input_ids.shape[1] - own)
