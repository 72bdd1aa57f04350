"""From samples to what four models of transformers eat; transformers itself is the judge."""

import copy
import json
import pickle
from dataclasses import replace

import pytest
import torch

from merv.chat import IGNORE_INDEX, MEDIA, Turn
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.models.hf_vlm.look import LookConfig
from merv.models.hf_vlm.messages import as_messages
from merv.models.hf_vlm.processor import HfProcessor
from merv.video import decode
from merv.video.images import read_image
from merv.video.media import MediaRef

from .samples import CONVERSATIONS, NAMES, QWENS, learned, processor_of, published, talk


def of_transformers(processor, sample, *, system="", answering=False, **look):
    """What apply_chat_template makes of the same decoded media."""
    ours = processor_of(look.pop("folder"), system=system, **look)
    seen = [ours._opener.open(ref, ours._opener.count(ref, sample.meta)) for ref in sample.media]
    messages = as_messages(sample.turns, [medium.items for medium in seen], system=system)
    pictures = iter([frame for medium in seen for frame in medium.frames])
    for message in messages:
        for item in message["content"]:
            if item["type"] != "text":
                item[item["type"]] = next(pictures)
    options = {"return_tensors": "pt", "images_kwargs": dict(ours._call.images)}
    if clocks := [dict(medium.clock) for medium in seen if medium.clock]:
        options["videos_kwargs"] = {"video_metadata": clocks, "do_sample_frames": False, "cap_pixels_per_frame": False}
    return processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, add_generation_prompt=answering, processor_kwargs=options
    )


def assert_same_inputs(example, expected):
    """The tensors are those of transformers, but for the mask and the axis of the one row."""
    assert example.input_ids.tolist() == expected["input_ids"][0].tolist()
    assert set(example.frames) == set(expected) - {"input_ids", "attention_mask"}
    for name, value in example.frames.items():
        torch.testing.assert_close(value.reshape(expected[name].shape), expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_those_of_transformers(vlm_folder, media, name, conversation):
    folder = vlm_folder(name)
    sample = CONVERSATIONS[conversation](media)

    example = processor_of(folder).prepare(sample)

    assert_same_inputs(example, of_transformers(published(folder), sample, folder=folder))


@pytest.mark.parametrize("name", QWENS)
def test_videos_are_those_of_transformers(vlm_folder, media, name):
    folder = vlm_folder(name)
    sample = talk(f"{MEDIA}or{MEDIA}", "the first", media=[media["clip"], media["wide"]])

    example = processor_of(folder, fps=1.0).prepare(sample)

    assert_same_inputs(example, of_transformers(published(folder), sample, folder=folder, fps=1.0))
    assert example.frames["video_grid_thw"].tolist() == [[3, 4, 8]]
    assert learned(processor_of(folder), example) == ["the first<|im_end|>"]


def test_time_steps_last_as_long_as_they_do(vlm_folder, media):
    sample = talk("What happens?", "a ball", media=[media["clip"]])

    example = processor_of(vlm_folder("qwen2.5-vl"), fps=1.0).prepare(sample)

    # Six frames of six seconds, two a step.
    torch.testing.assert_close(example.frames["second_per_grid_ts"], torch.tensor([2.0]))


@pytest.mark.parametrize(("name", "each"), [("aria", 8), ("llava", 16)])
def test_videos_become_images_for_models_without_videos(vlm_folder, media, name, each):
    folder = vlm_folder(name)
    sample = talk(f"See {MEDIA}?", "yes", media=[media["clip"]], num_frames=5)

    processor = processor_of(folder)
    example = processor.prepare(sample)

    assert_same_inputs(example, of_transformers(published(folder), sample, folder=folder))
    assert len(example.frames["pixel_values"]) == 5
    assert processor.collate([example]).visual_tokens == (5 * each,)


@pytest.mark.parametrize(("size", "tokens"), [(490, 8), (980, 16)])
def test_aria_takes_images_of_both_sizes(vlm_folder, media, size, tokens):
    folder = vlm_folder("aria")
    sample = talk("What?", "a ball", media=[media["wide"]])

    processor = processor_of(folder, max_image_size=size)
    example = processor.prepare(sample)

    assert_same_inputs(example, of_transformers(published(folder), sample, folder=folder, max_image_size=size))
    assert example.frames["pixel_values"].shape == (1, 3, size, size)
    assert processor.collate([example]).visual_tokens == (tokens,)


def test_pixel_limits_reach_images_and_videos(vlm_folder, media):
    folder = vlm_folder("qwen2-vl")
    processor = processor_of(folder, max_pixels=28 * 28 * 2, fps=1.0)

    found = processor.prepare(talk(MEDIA + MEDIA, "yes", media=[media["wide"], media["clip"]])).frames

    assert found["image_grid_thw"].tolist() == [[1, 2, 2]]
    assert found["video_grid_thw"].tolist() == [[3, 2, 2]]


def test_limits_beyond_the_published_ones_hold(vlm_folder, media):
    processor = processor_of(vlm_folder("qwen2-vl"), min_pixels=80 * 28 * 28, fps=1.0)  # published: at most 64 tokens

    grid = processor.prepare(talk("What?", "yes", media=[media["clip"]])).frames["video_grid_thw"][0]

    assert grid[1] * grid[2] / 4 >= 80


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_ends_where_the_model_is_to_speak(vlm_folder, media, name):
    folder = vlm_folder(name)
    whole = talk("What?", "a ball", "Sure?", "yes", media=[media["wide"]])
    asked = replace(whole, turns=whole.turns[:-1])

    example = processor_of(folder).prepare(whole, answer=False)

    assert_same_inputs(example, of_transformers(published(folder), asked, folder=folder, answering=True))
    assert example.input_ids.tolist() == processor_of(folder).prepare(asked, answer=False).input_ids.tolist()
    assert (example.labels == IGNORE_INDEX).all()


def test_the_system_message_is_said_first(vlm_folder, media):
    processor = processor_of(vlm_folder("qwen2-vl"), system="be brief")

    text = processor.tokenizer.decode(processor.prepare(talk("What?", "a ball")).input_ids)

    assert text.startswith("<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nWhat?")


def test_a_beginning_is_added_once(vlm_folder):
    # Llama's tokenizers add a beginning; a template may have written one.
    processor = copy.deepcopy(published(vlm_folder("llava")))
    tokenizer = processor.tokenizer
    tokenizer.bos_token = "<s>"
    from tokenizers.processors import TemplateProcessing

    bos = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    written = copy.deepcopy(processor)
    written.chat_template = "<s>" + processor.chat_template

    for made in (processor, written):
        ours = HfProcessor(made)
        example = ours.prepare(talk("What?", "a ball"))
        assert example.input_ids.tolist().count(bos) == 1
        assert learned(ours, example) == [" a ball</s>"]


def test_an_answer_the_template_does_not_end_gets_an_end(vlm_folder, media):
    open_ended = copy.deepcopy(published(vlm_folder("llava")))
    open_ended.chat_template = open_ended.chat_template.replace("</s>", " ")
    processor = HfProcessor(open_ended)

    example = processor.prepare(talk("What?", "a ball", "Sure?", "yes", media=[media["wide"]]))

    assert learned(processor, example) == [" a ball", " yes</s>"]
    assert example.input_ids[-1] == processor.tokenizer.eos_token_id


def test_each_medium_is_decoded_once_for_the_samples_that_share_it(vlm_folder, media, monkeypatch):
    opened = []
    monkeypatch.setattr(decode, "read_image", lambda path: opened.append(path.name) or read_image(path))
    rows = [talk(question, "yes", media=[media["clip"]], name=question) for question in ("What?", "Where?", "Who?")]
    processor = processor_of(vlm_folder("llava"), num_frames=2)

    found = processor.prepare_all(
        [*rows, talk("no answer", ""), talk("Lost?", "yes", media=[MediaRef(media["clip"].path / "x", "image")])]
    )

    assert opened == ["00.png", "17.png"]
    assert [example.sample_id for example in found[:3]] == ["What?", "Where?", "Who?"]
    assert [str(error) for error in found[3:4]] == ["the row has no answer; there is nothing to learn from"]
    assert "does not exist" in str(found[4])


@pytest.mark.parametrize("name", NAMES)
def test_it_travels_to_a_worker(vlm_folder, media, name):
    processor = processor_of(vlm_folder(name))
    processor.expect({"image"})
    sample = CONVERSATIONS["several images"](media)

    again = pickle.loads(pickle.dumps(processor))

    assert torch.equal(again.prepare(sample).input_ids, processor.prepare(sample).input_ids)
    assert again.collate([again.prepare(talk("a", "b"))]).stand_in is not None


def test_the_whole_processor_is_saved(vlm_folder, tmp_path):
    processor_of(vlm_folder("aria")).save_pretrained(tmp_path)

    saved = json.loads((tmp_path / "processor_config.json").read_text())
    assert saved["processor_class"] == "AriaProcessor"
    assert published(str(tmp_path)).tokenizer.chat_template or (tmp_path / "chat_template.jinja").is_file()


def test_pixels_travel_in_the_type_they_are_computed_in(vlm_folder, media):
    processor = HfProcessor(published(vlm_folder("qwen2.5-vl")), pixel_dtype=torch.bfloat16)

    found = processor.prepare(talk(MEDIA + MEDIA, "yes", media=[media["wide"], media["clip"]])).frames

    assert found["pixel_values"].dtype == found["pixel_values_videos"].dtype == torch.bfloat16
    assert found["second_per_grid_ts"].dtype == torch.float32
    assert found["image_grid_thw"].dtype == torch.int64


def test_words_at_the_end_of_a_long_row_are_cut(vlm_folder, media):
    sample = talk("What?", "a ball", "And?", "a red ball " * 20, media=[media["wide"]])
    whole = processor_of(vlm_folder("qwen2-vl")).prepare(sample)
    limit = len(whole.input_ids) - 10

    short = processor_of(vlm_folder("qwen2-vl"), max_length=limit).prepare(sample)

    assert torch.equal(short.input_ids, whole.input_ids[:limit])
    assert torch.equal(short.labels, whole.labels[:limit])
    assert short.frames["mm_token_type_ids"].shape == (limit,)
    assert torch.equal(short.frames["pixel_values"], whole.frames["pixel_values"])


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_never_falls_into_image_tokens(vlm_folder, media, name):
    late = talk("What?", "a ball", f"{MEDIA}?", "red", media=[media["wide"]])
    processor = processor_of(vlm_folder(name))
    ids = processor.prepare(late).input_ids
    last = int((ids == processor.processor.image_token_id).nonzero()[-1, 0])
    line = rf"^the row has {len(ids)} tokens, {last} fit, and the cut would fall into image tokens; lower max_fr"

    with pytest.raises(SampleError, match=line):
        processor_of(vlm_folder(name), max_length=last).prepare(late)
    assert len(processor_of(vlm_folder(name), max_length=last + 1).prepare(late).input_ids) == last + 1


def test_a_cut_leaves_something_to_learn(vlm_folder, media):
    row = talk("What? " * 60, "a ball", media=[media["wide"]])

    with pytest.raises(SampleError, match=r"64 fit, and no answer would be left; raise max_length$"):
        processor_of(vlm_folder("qwen2-vl"), max_length=64).prepare(row)


def test_a_prompt_is_not_cut(vlm_folder):
    with pytest.raises(SampleError, match=r"64 fit, and a prompt is not cut; raise max_length$"):
        processor_of(vlm_folder("qwen2-vl"), max_length=64).prepare(talk("What? " * 60), answer=False)


@pytest.mark.parametrize(
    ("name", "words", "kinds", "line"),
    [
        ("qwen2-vl", ("What?",), (), "the row has no answer; there is nothing to learn from"),
        ("qwen2-vl", ("What?", "  "), (), "the row has no answer"),
        ("qwen2-vl", ("system:alone", "What?", ""), (), "the row has no answer"),
        ("llava", (f"{MEDIA}{MEDIA}{MEDIA}?", "yes"), ("wide", "tall"), "3 places for media, the row 2 media"),
        ("llava", ("<image>\nWhat?", "yes"), ("wide",), "the text holds `<image>`, by which the model marks media"),
        ("qwen2-vl", ("<|video_pad|>?", "yes"), (), r"the text holds `<\|video_pad\|>`, by which the model marks"),
        ("aria", (MEDIA * 2, "yes"), ("wide", "clip"), "the row has images and a video; this model is shown"),
    ],
)
def test_rows_that_cannot_be_learnt_from_are_refused(vlm_folder, media, name, words, kinds, line):
    sample = talk(*words, media=[media[kind] for kind in kinds])

    with pytest.raises(SampleError, match=line) as error:
        processor_of(vlm_folder(name)).prepare(sample)

    assert "\n" not in str(error.value)


def test_a_row_without_a_question_is_refused(vlm_folder):
    with pytest.raises(SampleError, match=r"^the row has no question$"):
        processor_of(vlm_folder("aria")).prepare(Sample("r", (Turn("assistant", "hello"),)))


def test_a_video_is_refused_where_the_model_takes_none(vlm_folder, media):
    with pytest.raises(SampleError, match="this model takes images alone; set video_as to frames"):
        processor_of(vlm_folder("llava"), video_as="video").prepare(talk("a", "b", media=[media["clip"]]))


def test_what_a_processor_says_against_a_row_is_told_in_one_line(vlm_folder, tmp_path):
    from PIL import Image

    Image.new("RGB", (2010, 10)).save(tmp_path / "long.png")
    row = talk("What?", "yes", media=[MediaRef(tmp_path / "long.png", "image")])

    with pytest.raises(SampleError, match=r"^Qwen2VLProcessor refuses this: absolute aspect ratio must be smaller"):
        processor_of(vlm_folder("qwen2-vl")).prepare(row)


def test_values_a_processor_refuses_are_refused_when_it_is_built(vlm_folder):
    with pytest.raises(ConfigError, match=r"^max_image_size 700: .*max_image_size must be either 490 or 980$"):
        processor_of(vlm_folder("aria"), max_image_size=700)


def test_processors_without_what_is_needed_are_refused(vlm_folder):
    mute = copy.deepcopy(published(vlm_folder("llava")))
    mute.chat_template = None

    with pytest.raises(ConfigError, match="LlavaProcessor has no chat template; use an instruct model"):
        HfProcessor(mute, LookConfig())
    with pytest.raises(ConfigError, match="has no image processor"):
        HfProcessor(published(vlm_folder("llava")).tokenizer)


def test_rows_are_grouped_by_their_words(vlm_folder):
    assert processor_of(vlm_folder("aria")).length(talk("one two three", "four")) == 4
