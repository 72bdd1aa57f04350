import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from merv.chat import MEDIA
from merv.data.sample import IGNORE_INDEX, Example, Sample, Turn
from merv.errors import SampleError
from merv.video.decode import read_clip
from merv.video.media import MediaRef

from .rows import ANSWER, clip, mixed_rows, row, still, tiny_model


@pytest.fixture(scope="module")
def processor():
    sizes = {"tiny-frames": {"image_size": 16}, "tiny-motion": {"image_size": 16}}
    return tiny_model(backbone_options=sizes).processor


def learned(example):
    return example.labels[example.labels != IGNORE_INDEX].tolist()


def test_a_clip_is_decoded_once_and_shipped_as_bytes_for_each_distinct_view(processor, tmp_path, monkeypatch):
    calls = []

    def count(ref, num_frames):
        calls.append((ref, num_frames))
        return read_clip(ref, num_frames)

    monkeypatch.setattr("merv.video.decode.read_clip", count)
    media = clip(tmp_path)

    example = processor.prepare(row(media))

    assert calls == [(media, 8)]
    assert {name: tuple(frames.shape) for name, frames in example.frames.items()} == {
        "16-naive-bicubic": (8, 3, 16, 16),
        "32-naive-bicubic": (8, 3, 32, 32),
    }
    assert {frames.dtype for frames in example.frames.values()} == {torch.uint8}
    assert example.num_bytes == 8 * 3 * (16**2 + 32**2) + 2 * 8 * len(example.input_ids)


def test_a_still_is_one_frame_and_text_has_none(processor, tmp_path):
    picture, text = processor.prepare(row(still(tmp_path))), processor.prepare(row())

    assert {frames.shape[0] for frames in picture.frames.values()} == {1}
    assert (picture.has_visual, text.has_visual, dict(text.frames)) == (True, False, {})


def test_marks_of_media_are_not_read_as_words(processor, tmp_path):
    plain = row(still(tmp_path))
    question, *rest = plain.turns
    marked = replace(plain, turns=(Turn("user", f"{MEDIA}\n{question.text}"), *rest))

    assert processor.prepare(marked).input_ids.tolist() == processor.prepare(plain).input_ids.tolist()


def test_training_rows_learn_the_answer_and_its_end(processor):
    example = processor.prepare(row())

    tokenizer = processor.tokenizer
    assert tokenizer.decode(learned(example)) == f" {ANSWER}{tokenizer.eos_token}"
    assert example.labels[0] == IGNORE_INDEX


def test_prompts_are_the_training_row_up_to_the_answer(processor):
    training, prompt = processor.prepare(row()), processor.prepare(row(), answer=False)

    assert training.input_ids[: len(prompt.input_ids)].tolist() == prompt.input_ids.tolist()
    assert len(prompt.input_ids) == len(training.input_ids) - len(learned(training))
    assert learned(prompt) == []


def test_a_text_that_is_too_long_is_cut_at_its_end(processor):
    whole = processor.prepare(row(answer="a star"))
    long = processor.prepare(row(answer="a star " * 300))

    assert len(long.input_ids) == processor.max_text_tokens == 256 - 16
    assert_close(long.input_ids[: len(whole.input_ids) - 1], whole.input_ids[:-1])
    assert len(long.labels) == len(long.input_ids)


def test_a_prompt_that_is_too_long_is_refused(processor):
    with pytest.raises(SampleError, match=r"the prompt has \d+ tokens; 240 fit beside the video"):
        processor.prepare(row(question="red " * 300), answer=False)


def test_a_question_that_leaves_no_room_for_the_answer_is_refused(processor):
    with pytest.raises(SampleError, match="no answer within the first 240 tokens; raise llm_max_length"):
        processor.prepare(row(question="red " * 300))


def test_two_media_in_one_row_are_refused(processor, tmp_path):
    with pytest.raises(SampleError, match="2 media in one row; this model takes one video or image"):
        processor.prepare(row(clip(tmp_path), still(tmp_path)))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ((), "turns are empty"),
        ((Turn("assistant", "yes"),), r"turns are \['assistant'\]; expected user, assistant"),
        ((Turn("user", "a?"), Turn("user", "b?")), r"turns are \['user', 'user'\]"),
        ((Turn("user", "a?"),), "ends with a question; a training row needs its answer"),
    ],
)
def test_turns_out_of_order_are_refused_before_anything_is_opened(processor, tmp_path, turns, message):
    missing = MediaRef(tmp_path / "missing.mp4")

    with pytest.raises(SampleError, match=message):
        processor.prepare(Sample("s", turns, (missing,)))


def test_a_missing_file_is_refused_by_name(processor, tmp_path):
    with pytest.raises(SampleError, match=r"missing\.mp4. does not exist"):
        processor.prepare(row(MediaRef(tmp_path / "missing.mp4")))


def test_a_batch_keeps_the_order_of_its_examples(processor, tmp_path):
    examples = [processor.prepare(sample) for sample in mixed_rows(tmp_path)]

    batch = processor.collate(examples, indices=[7, 3, 5, 1, 9])

    assert batch.sample_ids == ("text", "clip", "still", "long", "short clip")
    assert batch.indices == (7, 3, 5, 1, 9)
    assert batch.visual_rows.tolist() == [1, 2, 4]
    assert batch.num_frames == (8, 1, 8)
    for name, frames in batch.frames.items():
        assert_close(frames, torch.cat([examples[number].frames[name] for number in (1, 2, 4)]))
    assert batch.num_target_tokens() == sum(len(learned(example)) for example in examples)


def test_a_batch_of_text_has_no_frames(processor):
    batch = processor.collate([processor.prepare(row()), processor.prepare(row())])

    assert (batch.visual_rows.tolist(), batch.num_frames, batch.frames) == ([], (), {})
    assert batch.visual_rows.dtype == torch.int64


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), pad=st.sampled_from(["right", "left"]))
def test_padding_stands_on_one_side_and_carries_no_loss(processor, lengths, pad):
    rows = [torch.arange(1, length + 1) for length in lengths]

    batch = processor.collate([Example(ids, ids) for ids in rows], pad=pad)

    for ids, labels, mask, values in zip(batch.input_ids, batch.labels, batch.attention_mask, rows, strict=True):
        assert ids[mask].tolist() == labels[mask].tolist() == values.tolist()
        assert set(ids[~mask].tolist()) <= {processor.tokenizer.pad_token_id}
        assert set(labels[~mask].tolist()) <= {IGNORE_INDEX}
        edge = mask[: len(values)] if pad == "right" else mask[len(mask) - len(values) :]
        assert edge.all()
    assert batch.input_ids.shape[1] == max(lengths)


def test_a_processor_travels_to_workers(processor, tmp_path):
    sample = row(clip(tmp_path))

    copy = pickle.loads(pickle.dumps(processor))

    assert_close(copy.prepare(sample).input_ids, processor.prepare(sample).input_ids)
    assert copy.prepare(sample).frames.keys() == processor.prepare(sample).frames.keys()


def test_length_counts_the_words_without_opening_media(processor, tmp_path):
    sample = row(MediaRef(tmp_path / "missing.mp4"), question="What is it?", answer="a red star")

    assert processor.length(sample) == 6
