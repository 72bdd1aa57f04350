"""What is read of images and videos, how many frames, and how large."""

from types import SimpleNamespace

import pytest
import torch

from merv.errors import ConfigError, SampleError
from merv.models.hf_vlm.frames import opener_for
from merv.models.hf_vlm.look import LookConfig, area_needed, image_options, native_video, video_budget
from merv.video.decode import read_chosen, read_clip
from merv.video.images import read_image
from merv.video.media import MediaRef, Span

from .samples import published


def opener(processor, **options):
    look = LookConfig(**options)
    images = image_options(look, processor.image_processor)
    return opener_for(look, processor, images, native=native_video(look, processor))[0]


def shown(processor, ref, meta=None, **options):
    made = opener(processor, **options)
    return made.open(ref, made.count(ref, meta or {}))


def test_a_still_image_comes_as_it_is(vlm_folder, media):
    found = shown(published(vlm_folder("llava")), media["wide"])

    assert found.items == ("image",)
    assert torch.equal(found.frames[0], read_image(media["wide"].path))


def test_a_video_stays_one_for_a_model_that_takes_videos(vlm_folder, media):
    found = shown(published(vlm_folder("qwen2-vl")), media["clip"], fps=1.0)

    assert found.items == ("video",)
    # Six seconds at one frame a second, 100x60 pixels to multiples of 28.
    assert found.frames[0].shape == (6, 3, 56, 112)
    assert found.frames[0].dtype == torch.uint8


def test_times_of_a_video_are_those_of_its_frames(vlm_folder, media):
    processor = published(vlm_folder("qwen2.5-vl"))

    whole = shown(processor, media["clip"], fps=1.0).clock
    half = shown(processor, MediaRef(media["clip"].path, span=Span(3.0, 6.0)), num_frames=4).clock

    assert whole["total_num_frames"] / whole["fps"] == whole["duration"] == 6.0
    assert whole["frames_indices"] == [0, 1000, 2333, 3333, 4667, 5667]
    assert half["duration"] == 3.0
    assert half["frames_indices"][0] == 0
    assert len(half["frames_indices"]) == 4


def test_frames_as_images_are_spread_over_the_video(vlm_folder, media):
    found = shown(published(vlm_folder("llava")), media["clip"], num_frames=4)

    assert found.items == ("image",) * 4
    for frame, expected in zip(found.frames, read_clip(media["clip"], 4).frames, strict=True):
        assert torch.equal(frame, expected)


def test_frames_from_the_left_are_arias(vlm_folder, media):
    found = shown(published(vlm_folder("aria")), media["clip"], num_frames=4, frame_choice="left")

    # int(18 / 4) * i
    expected = [read_image(media["clip"].path / f"{number:02d}.png") for number in (0, 4, 8, 12)]
    assert all(torch.equal(*pair) for pair in zip(found.frames, expected, strict=True))


def test_a_rows_own_number_of_frames_wins(vlm_folder, media):
    aria, qwen = published(vlm_folder("aria")), published(vlm_folder("qwen2-vl"))

    assert len(shown(aria, media["clip"], num_frames=3).frames) == 3
    assert len(shown(aria, media["clip"]).frames) == 8
    assert len(shown(aria, media["clip"], {"num_frames": 5}, num_frames=3).frames) == 5
    assert len(shown(qwen, media["clip"], {"num_frames": 6}, num_frames=4).frames[0]) == 6
    assert len(shown(qwen, media["clip"], {"num_frames": 1}).frames[0]) == 2  # a time step has two


@pytest.mark.parametrize("number", [0, -1, 2.5, True, "8"])
def test_a_senseless_number_of_frames_is_refused(vlm_folder, media, number):
    with pytest.raises(SampleError, match=r"the row's num_frames is .*; expected a whole number above 0"):
        shown(published(vlm_folder("aria")), media["clip"], {"num_frames": number})


def test_a_span_behind_the_end_is_refused(vlm_folder, media):
    late = MediaRef(media["clip"].path, span=Span(7.0, 9.0))

    with pytest.raises(SampleError, match=r"lasts 6.00 s, but the span begins at 7.00 s"):
        shown(published(vlm_folder("aria")), late, num_frames=2)


def test_large_frames_shrink_as_they_are_decoded_but_not_below_what_is_used(vlm_folder, media):
    square = opener(published(vlm_folder("llava"))).budget  # the short side becomes 56
    aria = opener(published(vlm_folder("aria")), max_image_size=490).budget

    assert square.size(60, 100) == (60, 100)
    assert square.size(2160, 3840) == (118, 211)
    assert aria.size(480, 854) == (480, 854)
    height, width = aria.size(2160, 3840)
    assert width > 1.5 * 490
    assert height * width < 2 * 490**2


def test_what_a_processor_needs_is_known_or_generous():
    split = SimpleNamespace(split_image=True, split_resolutions=[[490, 980], [490, 3920]])

    assert area_needed(SimpleNamespace(size={"height": 384, "width": 384}), {}) == 2 * 384**2
    assert area_needed(SimpleNamespace(size={"longest_edge": 1536}), {}) == 2048**2
    assert area_needed(SimpleNamespace(max_image_size=980, size=None), {"max_image_size": 490}) == 2 * 490**2
    assert area_needed(split, {}) == 2 * 3920**2


def test_chosen_frames_come_in_the_order_asked(media):
    clip = read_chosen(media["clip"], lambda timeline: [len(timeline.pts) - 1, 0, 0])

    assert clip.times == (17 / 3, 0.0, 0.0)
    assert torch.equal(clip.frames[0], read_image(media["clip"].path / "17.png"))
    assert torch.equal(clip.frames[1], clip.frames[2])
    assert read_chosen(media["wide"], lambda timeline: []).frames.shape == (1, 3, 90, 140)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"num_frames": 0}, "num_frames is 0; give at least 1"),
        ({"max_pixels": -5}, "max_pixels is -5; give at least 1"),
        ({"fps": 0.0}, "fps is 0; it must be above 0"),
        ({"video_as": "film"}, r"video_as is `film`; choose auto \| video \| frames"),
        ({"frame_choice": "right"}, r"frame_choice is `right`; choose even \| left"),
        ({"min_pixels": 10, "max_pixels": 5}, "min_pixels 10 is above max_pixels 5"),
    ],
)
def test_senseless_options_are_refused(options, line):
    with pytest.raises(ConfigError, match=line):
        LookConfig(**options)


def test_options_an_image_processor_does_not_know_are_refused_with_those_it_knows(vlm_folder):
    qwen, aria, llava = (published(vlm_folder(name)).image_processor for name in ("qwen2-vl", "aria", "llava"))

    with pytest.raises(
        ConfigError, match=r"max_image_size is no option of Qwen2VLImageProcessor; it knows min_pixels, max_pixels$"
    ):
        image_options(LookConfig(max_image_size=490), qwen)
    with pytest.raises(ConfigError, match=r"max_pixels is no option of .*; it knows max_image_size, split_image$"):
        image_options(LookConfig(max_pixels=490), aria)
    with pytest.raises(ConfigError, match=r"split_image is no option of .*; it knows none of the sizes$"):
        image_options(LookConfig(split_image=True), llava)


def test_pixel_limits_move_the_published_one_along(vlm_folder):
    qwen = published(vlm_folder("qwen2-vl")).image_processor  # 784 to 3136

    assert image_options(LookConfig(), qwen) == {}
    assert image_options(LookConfig(max_pixels=400), qwen)["size"] == {"shortest_edge": 400, "longest_edge": 400}
    assert image_options(LookConfig(min_pixels=9000), qwen)["size"] == {"shortest_edge": 9000, "longest_edge": 9000}


def test_frames_from_the_left_are_for_images(vlm_folder):
    with pytest.raises(ConfigError, match="frame_choice `left` is for frames as images; set video_as to frames"):
        native_video(LookConfig(frame_choice="left"), published(vlm_folder("qwen2-vl")))


def test_a_video_processor_that_counts_pixels_of_the_whole_video_resizes_itself(vlm_folder):
    from transformers import Qwen3VLVideoProcessor

    whole = Qwen3VLVideoProcessor()

    assert video_budget(LookConfig(), published(vlm_folder("qwen2-vl")).video_processor)[1]
    budget, sized = video_budget(LookConfig(), whole)
    assert not sized
    assert budget.factor == 1
    budget, sized = video_budget(LookConfig(max_pixels=64 * 64), whole)
    assert sized
    assert (budget.factor, budget.max_pixels, budget.frame_factor) == (32, 64 * 64, 2)


def test_a_video_processor_without_pixels_to_count_is_not_limited(vlm_folder):
    from transformers import LlavaOnevisionVideoProcessor

    with pytest.raises(ConfigError, match="min_pixels and max_pixels are no options of LlavaOnevisionVideoProcessor"):
        video_budget(LookConfig(max_pixels=100), LlavaOnevisionVideoProcessor())
