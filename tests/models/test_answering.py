import pytest
import torch
from torch.testing import assert_close

import merv.video.decode
from merv.errors import ConfigError, RunStopped, SampleError
from merv.models.answering import media_ref, samples_of
from merv.video.media import MediaRef, Span

from .rows import clip, row, still, tiny_model

SHORT = {"max_new_tokens": 5}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def clips(folder):
    return [clip(folder, "one", seed=1).path, clip(folder, "two", frames=5, seed=2).path, still(folder).path]


def test_a_list_of_videos_and_prompts_is_one_call_and_each_answer_is_its_own(model, clips):
    prompts = ["Which shape moves?", "What?", "Describe the image with many words and then some more."]

    together = model.generate(clips, prompts, **SHORT)

    assert together == [model.generate(video, prompt, **SHORT) for video, prompt in zip(clips, prompts, strict=True)]


@pytest.mark.parametrize("prompts", [["What?"], ["What?", "Which colour?", "Where?"]])
def test_one_of_either_goes_with_all_of_the_other(model, clips, prompts):
    assert len(model.generate(clips[0], prompts, **SHORT)) == len(prompts)
    assert len(model.generate(clips, "What?", **SHORT)) == len(clips)


def test_a_stream_is_the_answer_in_pieces(model, clips):
    whole = model.generate(clips[2], "What?", max_new_tokens=24)

    pieces = list(model.generate(clips[2], "What?", max_new_tokens=24, stream=True))

    assert len([piece for piece in pieces if piece]) > 1
    assert "".join(pieces).strip() == whole


def test_an_error_while_streaming_is_raised_where_it_is_read(model, clips, monkeypatch):
    def fail(*args, **options):
        raise FloatingPointError("logits are NaN")

    monkeypatch.setattr(model.llm, "generate", fail)

    with pytest.raises(FloatingPointError, match="logits are NaN"):
        list(model.generate(clips[0], "What?", stream=True))


def test_several_questions_about_one_clip_decode_and_encode_it_once(model, clips, monkeypatch):
    decoded, encoded = [], []
    read = merv.video.decode.read_clip
    monkeypatch.setattr(merv.video.decode, "read_clip", lambda *args: decoded.append(args[0]) or read(*args))
    handle = model.video_backbones[2].register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))

    answers = model.generate(clips[0], ["What?", "Which colour is it?", "Where?"], **SHORT)
    handle.remove()

    assert len(decoded) == 1
    assert encoded == [1]
    assert answers == [model.generate(clips[0], p, **SHORT) for p in ("What?", "Which colour is it?", "Where?")]


def test_rows_that_share_a_clip_see_what_rows_with_their_own_see(model, folder):
    samples = [row(clip(folder, "one", seed=1), question=q, name=q) for q in ("What?", "Where is it then?")]
    samples.insert(1, row(name="text"))
    samples.append(row(clip(folder, "two", frames=5, seed=2), name="other"))
    shared = model.processor.collate(model.processor.prepare_all(samples))
    apart = model.processor.collate([model.processor.prepare(sample) for sample in samples])

    with torch.no_grad():
        seen, expected = model.splice(shared), model.splice(apart)

    assert shared.shows.tolist() == [0, 0, 1]
    assert apart.shows is None
    assert all(len(shared.frames[name]) < len(frames) for name, frames in apart.frames.items())
    assert_close(seen.embeds, expected.embeds, atol=1e-5, rtol=1e-5)
    assert torch.equal(seen.attention_mask, expected.attention_mask)


def test_what_makes_one_sample_unusable_stands_in_its_place(model, folder):
    good = row(clip(folder, "one", seed=1), name="good")
    lost = row(MediaRef(folder / "no.mp4"), name="lost")

    prepared = model.processor.prepare_all([good, lost, good], answer=False)

    assert [isinstance(example, SampleError) for example in prepared] == [False, True, False]
    assert "no.mp4" in str(prepared[1])


@pytest.mark.parametrize(
    ("name", "seconds", "ref"),
    [
        ("a.mp4", {}, ("video", None)),
        ("a.PNG", {}, ("image", None)),
        ("a.gif", {"end": 2.0}, ("video", Span(0.0, 2.0))),
        ("a.mp4", {"start": 1.5}, ("video", Span(1.5, float("inf")))),
    ],
)
def test_a_path_means_a_video_or_by_its_suffix_an_image(tmp_path, name, seconds, ref):
    (tmp_path / name).touch()

    [found] = media_ref(str(tmp_path / name), **seconds)

    assert (found.kind, found.span) == ref


def test_bad_questions_are_refused_in_one_line(model, clips, tmp_path):
    with pytest.raises(SampleError, match=r"`.*no\.mp4` does not exist; check the path"):
        model.generate(tmp_path / "no.mp4", "What?")
    with pytest.raises(SampleError, match=r"start 3 s and end 1 s: expected 0 <= start <= end"):
        model.generate(clips[0], "What?", start=3, end=1)
    with pytest.raises(ConfigError, match="2 videos and 3 prompts; give as many, or one for all"):
        samples_of(clips[:2], ["a", "b", "c"], None, None)
    with pytest.raises(ConfigError, match="stream gives one answer; found 2 prompts"):
        model.generate(clips[0], ["a", "b"], stream=True)


def test_logits_that_are_no_numbers_end_in_one_line(clips):
    model = tiny_model()
    model.llm.model.lm_head.weight.data.fill_(float("nan"))

    with pytest.raises(RunStopped, match="logits are NaN: its weights are damaged"):
        model.generate(clips[0], "What?", **SHORT)
