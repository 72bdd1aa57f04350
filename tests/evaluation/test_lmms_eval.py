import numpy as np
import pytest
import torch
from PIL import Image

from merv.errors import SampleError
from merv.evaluation.lmms_eval import FAILED, Asked, answer, batches, cut, generation_options, media_of
from merv.models.base import ModelConfig
from merv.video.decode import read_clip
from merv.video.media import MediaRef

from .byte_processor import ByteProcessor
from .fakes import RuleLM

GREEDY = {"max_new_tokens": 16, "do_sample": False, "num_beams": 1}


class Recorder(ByteProcessor):
    """Remembers the samples, and what their media hold while they are prepared."""

    def __init__(self):
        self.samples = []
        self.clips = []

    def prepare(self, sample, *, answer=True):
        example = super().prepare(sample, answer=answer)
        self.samples.append(sample)
        self.clips += [read_clip(ref, 2).frames for ref in sample.media]
        return example


def recording(says=lambda prompt: f"said {prompt}"):
    model = RuleLM(says).eval()
    model.processor = Recorder()
    return model


def picture(red, mode="RGB", size=(4, 3)):
    return Image.new("RGB", size, (red, 0, 0)).convert(mode)


def asked(*shown, options=None, context=None):
    """A question about each of `shown`, and the documents behind them."""
    documents = {"toy": {"test": [{"shown": visuals} for visuals in shown]}}
    questions = [
        Asked(context or f"what {i}", options or {"max_new_tokens": 16}, lambda doc: doc["shown"], i, "toy", "test")
        for i in range(len(shown))
    ]
    return questions, documents


def test_questions_are_answered_in_one_batch_and_in_order():
    model = recording()

    assert answer(model, *asked([], None, [])) == ["said what 0", "said what 1", "said what 2"]

    assert model.asked == ["what 0", "what 1", "what 2"]
    assert model.options == GREEDY
    assert [sample.id for sample in model.processor.samples] == ["toy/0", "toy/1", "toy/2"]


def test_a_picture_is_a_still_image_and_several_are_a_video():
    model = recording()
    frames = [picture(red) for red in (10, 20)]

    answer(model, *asked([picture(7)], frames, [frames]))

    first, second, third = model.processor.samples
    assert [sample.media[0].kind for sample in (first, second, third)] == ["image", "video", "video"]
    assert [clip[:, 0, 0, 0].tolist() for clip in model.processor.clips] == [[7], [10, 20], [10, 20]]
    assert not first.media[0].path.exists(), "what was written for the batch is removed again"


def test_a_path_is_shown_as_it_is(tmp_path):
    picture(5).save(tmp_path / "a.png")
    (tmp_path / "b.mp4").touch()

    assert media_of([str(tmp_path / "a.png")], tmp_path / "new") == (MediaRef(tmp_path / "a.png", "image"),)
    assert media_of([str(tmp_path / "b.mp4")], tmp_path / "new") == (MediaRef(tmp_path / "b.mp4"),)
    assert media_of(None, tmp_path / "new") == ()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_pictures_of_any_mode_can_be_shown(tmp_path, mode):
    [ref] = media_of([picture(255, mode)], tmp_path / "new")

    assert read_clip(ref, 1).frames.shape == (1, 3, 3, 4)


def test_arrays_are_frames(tmp_path):
    video = np.stack([np.full((3, 4, 3), value, dtype=np.uint8) for value in (1, 2, 3)])

    [several] = media_of([video], tmp_path / "several")
    [listed] = media_of(list(video), tmp_path / "listed")
    [single] = media_of(video[:1], tmp_path / "single")

    assert read_clip(several, 3).frames[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert torch.equal(read_clip(several, 3).frames, read_clip(listed, 3).frames)
    assert single.kind == "image"


@pytest.mark.parametrize(
    "visual", [{"array": [], "sampling_rate": 1}, b"bytes", np.zeros((2, 2)), np.zeros((2, 2, 3), dtype=np.float32)]
)
def test_what_is_no_video_and_no_image_is_refused(tmp_path, visual):
    with pytest.raises(SampleError, match=f"a visual of type {type(visual).__name__}"):
        media_of([visual], tmp_path / "new")


def test_a_question_whose_video_is_no_use_fails_alone(tmp_path, caplog):
    model = recording()

    texts = answer(model, *asked([str(tmp_path / "no.mp4")], [picture(1)], [{"array": []}]))

    assert texts == [FAILED, "said what 1", FAILED]
    assert "toy, document 0: answered with `-`: " in caplog.text
    assert "no.mp4` does not exist" in caplog.text


def test_nothing_is_generated_when_no_video_is_of_use(tmp_path):
    model = recording()

    assert answer(model, *asked([str(tmp_path / "a.mp4")], [str(tmp_path / "b.mp4")])) == [FAILED] * 2

    assert model.asked == []


def test_other_models_placeholders_are_left_out():
    model = recording()

    answer(model, *asked([], context="<image>\nWhat is in <video> this?"))

    assert model.asked == ["What is in  this?"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"max_new_tokens": 1024, "do_sample": False, "num_beams": 1}),
        ({"max_new_tokens": 16, "temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False}, GREEDY),
        ({"max_new_tokens": 16, "temperature": 0.0, "do_sample": True}, GREEDY),
        ({"max_new_tokens": 16, "temperature": 0.7, "do_sample": False}, GREEDY),
        ({"max_new_tokens": 16, "temperature": None, "top_p": None, "num_beams": None}, GREEDY),
        ({"max_new_tokens": 16, "num_beams": 3}, {**GREEDY, "num_beams": 3}),
        (
            {"max_new_tokens": 16, "temperature": 0.7, "top_p": 0.9},
            {**GREEDY, "do_sample": True, "temperature": 0.7, "top_p": 0.9},
        ),
        ({"max_new_tokens": 16, "do_sample": True, "top_k": 5}, {**GREEDY, "do_sample": True, "top_k": 5}),
    ],
)
def test_generation_options_are_those_of_transformers(given, expected):
    assert generation_options(given) == (expected, ())


@pytest.mark.parametrize(
    ("until", "endings"), [("\n\n", ("\n\n",)), (["a", "", "b"], ("a", "b")), (None, ()), ([], ())]
)
def test_endings_are_a_text_or_a_list(until, endings):
    assert generation_options({"until": until})[1] == endings


def test_options_merv_has_no_use_for_are_named_once(caplog):
    for _ in range(2):
        generation_options({"image_aspect_ratio": "pad", "until": []})

    assert caplog.text.count("image_aspect_ratio") == 1


@pytest.mark.parametrize(
    ("text", "until", "expected"),
    [
        ("B. a dog\n\nBecause", ("\n\n",), "B. a dog"),
        ("\n\nB", ("\n\n",), "B"),
        ("one two three", ("three", "two"), "one"),
        ("one", ("two",), "one"),
        (" one ", (), "one"),
        ("stop", ("stop",), ""),
    ],
)
def test_an_answer_ends_before_the_first_ending(text, until, expected):
    assert cut(text, until) == expected


def test_the_endings_of_a_task_are_honoured():
    model = recording(lambda prompt: "A dog.\n\nA cat.")

    assert answer(model, *asked([], options={"until": ["\n\n"]})) == ["A dog."]


def test_batches_hold_requests_of_the_same_options_in_order():
    short, long = {"max_new_tokens": 1}, {"max_new_tokens": 9, "until": ["x"]}
    requests = [Asked("", options, print, i, "t", "s") for i, options in enumerate([short, long, short, short, long])]

    assert list(batches(requests, 2)) == [[0, 2], [3], [1, 4]]
    assert list(batches([], 2)) == []


def test_an_answer_of_merv_tiny_does_not_depend_on_its_batch():
    model = ModelConfig.get("merv-tiny")().build(seed=1).eval()
    frames = [picture(red, size=(32, 32)) for red in (0, 80, 160, 240)]
    questions, documents = asked(frames, [picture(9, size=(20, 30))], [], options={"max_new_tokens": 4})

    together = answer(model, questions, documents)

    assert together == [answer(model, [question], documents)[0] for question in questions]
    assert FAILED not in together
