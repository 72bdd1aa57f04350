"""Processors that put other things in a placeholder's place: breaks between rows, times, tiles, words around."""

import pytest
from tiny_vlms import LLAVA_TEMPLATE

from merv.chat import MEDIA
from merv.models.hf_vlm.look import LookConfig
from merv.models.hf_vlm.processor import HfProcessor
from merv.models.hf_vlm.tiny import ARIA_TEMPLATE, QWEN_TEMPLATE, QWEN_TOKENS, tokenizer_with

from .samples import ANSWERS, CONVERSATIONS, learned, talk

ENDS = ("<|im_start|>", "<|im_end|>")
SQUARE = {"height": 56, "width": 56}
TILES = [[56, 112], [112, 56], [112, 112]]


def naming(tokenizer, **names):
    """The tokenizer with attributes for some of its tokens."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        extra_special_tokens=names,
    )


def marking(token):
    """Aria's template with one token for an image."""
    return ARIA_TEMPLATE.replace("<fim_prefix><|img|><fim_suffix>", token)


def qwen3_vl():
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    tokenizer = tokenizer_with(QWEN_TOKENS, "<|im_end|>", QWEN_TEMPLATE)
    tokenizer.bos_token = None
    images = Qwen2VLImageProcessor(patch_size=16, size={"shortest_edge": 1024, "longest_edge": 4096})
    videos = Qwen3VLVideoProcessor(size={"shortest_edge": 1024, "longest_edge": 32**3})
    return Qwen3VLProcessor(images, tokenizer, videos, chat_template=QWEN_TEMPLATE)


def gemma3():
    from transformers import Gemma3ImageProcessor, Gemma3Processor

    template = marking("<boi>")
    tokenizer = tokenizer_with(["<boi>", "<eoi>", "<img>", *ENDS], "<|im_end|>", template)
    tokenizer = naming(tokenizer, image_token="<img>", boi_token="<boi>", eoi_token="<eoi>")
    return Gemma3Processor(Gemma3ImageProcessor(size=SQUARE), tokenizer, chat_template=template, image_seq_length=4)


def idefics3():
    from transformers import Idefics3ImageProcessor, Idefics3Processor

    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    special = [*ENDS, "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles]
    images = Idefics3ImageProcessor(size={"longest_edge": 112}, max_image_size={"longest_edge": 56})
    tokenizer = tokenizer_with(special, "<|im_end|>", marking("<image>"))
    return Idefics3Processor(images, tokenizer, chat_template=marking("<image>"), image_seq_len=4)


def llava_next():
    from transformers import LlavaNextImageProcessor, LlavaNextProcessor

    images = LlavaNextImageProcessor(size={"shortest_edge": 56}, crop_size=SQUARE, image_grid_pinpoints=TILES)
    tokenizer = tokenizer_with(["<image>"], "</s>", LLAVA_TEMPLATE)
    more = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    return LlavaNextProcessor(images, tokenizer, chat_template=LLAVA_TEMPLATE, **more)


def pixtral():
    from transformers import PixtralImageProcessor, PixtralProcessor

    images = PixtralImageProcessor(size={"longest_edge": 112}, patch_size={"height": 14, "width": 14})
    tokenizer = tokenizer_with([*ENDS, "[IMG]", "[IMG_BREAK]", "[IMG_END]"], "<|im_end|>", marking("[IMG]"))
    return PixtralProcessor(images, tokenizer, patch_size=14, chat_template=marking("[IMG]"))


KINDS = {"qwen3-vl": qwen3_vl, "gemma3": gemma3, "idefics3": idefics3, "llava-next": llava_next, "pixtral": pixtral}


@pytest.fixture(scope="module")
def processors():
    return {name: HfProcessor(make(), LookConfig(fps=1.0)) for name, make in KINDS.items()}


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", KINDS)
def test_answers_learn_whatever_stands_for_an_image(processors, media, name, conversation):
    processor = processors[name]

    found = learned(processor, processor.prepare(CONVERSATIONS[conversation](media)))

    end = "</s>" if name == "llava-next" else "<|im_end|>"
    assert [answer.strip() for answer in found] == [f"{answer}{end}" for answer in ANSWERS[conversation]]


@pytest.mark.parametrize("name", KINDS)
def test_rows_join_and_stand_ins_come_for_what_lacks(processors, media, name):
    processor = processors[name]
    processor.expect({"image", "video"})
    words, images = (processor.prepare(CONVERSATIONS[kind](media)) for kind in ("text alone", "several images"))
    video = processor.prepare(talk(f"See {MEDIA}", "it rolls", media=[media["clip"]]))

    batch = processor.collate([words, images, video])

    assert batch.stand_in is None
    assert batch.visual_tokens[0] == 0
    assert min(batch.visual_tokens[1:]) > 0
    assert processor.collate([words]).stand_in is not None


def test_times_between_the_frames_of_a_video_do_not_learn(processors, media):
    processor = processors["qwen3-vl"]
    example = processor.prepare(talk(f"See {MEDIA}", "it rolls", media=[media["clip"]]))

    text = processor.tokenizer.decode(example.input_ids)

    # Six frames, two a step, a third of a second from one to the next: 0, 1, 2.33, 3.33, 4.67, 5.67 seconds.
    assert [f"<{seconds} seconds>" in text for seconds in ("0.5", "2.8", "5.2")] == [True] * 3
    assert learned(processor, example) == ["it rolls<|im_end|>"]
