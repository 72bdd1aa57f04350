"""Frames by a budget: chosen as recorded, resized while they are decoded."""

import numpy as np
import pytest
import torch
from PIL import Image

from merv.errors import SampleError
from merv.video.budget import VisualBudget
from merv.video.decode import read_clip, read_sampled
from merv.video.media import MediaRef, Span
from merv.video.transforms import resize_frames

from .clips import constant, numbers, picture, turn, write_clip

SMALL = VisualBudget(fps=5.0, max_frames=8, min_pixels=784, max_pixels=2 * 784)
B_FRAMES = {"bf": "3", "g": "12", "b_strategy": "0"}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """H.264 with B-frames: 40 frames in 1.6 s."""
    return write_clip(tmp_path_factory.mktemp("video") / "a.mp4", constant(40), options=B_FRAMES)


def noise_clip(folder, count=6, size=(90, 70)):
    """A folder of frames of noise, on which every detail of resizing shows."""
    generator = np.random.default_rng(0)
    for number in range(count):
        pixels = generator.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return MediaRef(folder)


def test_a_video_gives_the_frames_of_the_budget_in_its_size(video):
    clip = read_sampled(MediaRef(video), SMALL)

    assert numbers(clip.frames) == SMALL.indices(40, 25.0) == [0, 6, 11, 17, 22, 28, 33, 39]
    assert clip.frames.shape == (8, 3, 28, 28)
    assert clip.frames.dtype == torch.uint8
    assert clip.times == pytest.approx([number / 25 for number in (0, 6, 11, 17, 22, 28, 33, 39)])
    assert (clip.duration, clip.span) == (pytest.approx(1.6), Span(0.0, clip.duration))


def test_frames_resized_while_decoding_equal_resizing_all_at_once(video):
    budget = VisualBudget(fps=25.0, max_frames=40, min_pixels=4 * 784, max_pixels=12 * 784)

    clip = read_sampled(MediaRef(video), budget)

    assert clip.frames.shape[-2:] == budget.size(48, 64) == (56, 56)
    assert torch.equal(clip.frames, resize_frames(read_clip(MediaRef(video), 40).frames, (56, 56)))


@pytest.mark.parametrize(("low", "high"), [(784, 2 * 784), (20 * 784, 30 * 784)], ids=["smaller", "larger"])
def test_noise_resized_one_by_one_equals_resizing_all_at_once(tmp_path, low, high):
    budget = VisualBudget(fps=3.0, max_frames=6, min_pixels=low, max_pixels=high)
    ref = noise_clip(tmp_path)

    clip = read_sampled(ref, budget)

    assert torch.equal(clip.frames, resize_frames(read_clip(ref, 6).frames, budget.size(70, 90)))


@pytest.mark.parametrize("size", [[28, 56], [140, 168]], ids=["smaller", "larger"])
def test_resizing_is_bicubic_with_antialias(size):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as published

    coarse = torch.randint(0, 256, (2, 3, 7, 9), generator=torch.Generator().manual_seed(0)).float()
    frames = torch.nn.functional.interpolate(coarse, (70, 90), mode="bilinear").round().byte()

    floats = published.resize(frames, size, InterpolationMode.BICUBIC, antialias=True)

    # VideoMind's torchvision computes in float32 and rounds once; bytes are rounded between rows and columns too.
    assert (resize_frames(frames, tuple(size)).int() - floats.int()).abs().max() <= 1


def test_frames_that_fit_stay_as_they_are():
    frames = torch.zeros(2, 3, 28, 56, dtype=torch.uint8)

    assert resize_frames(frames, (28, 56)) is frames


def test_a_span_is_cropped_both_ends_included(video):
    clip = read_sampled(MediaRef(video, span=Span(0.4, 0.8)), SMALL)

    assert numbers(clip.frames) == [10, 13, 17, 20]
    assert clip.span == Span(0.4, 0.8)
    assert clip.duration == pytest.approx(1.6)


def test_an_end_past_the_video_is_its_end(video):
    clip = read_sampled(MediaRef(video, span=Span(1.0, 90.0)), SMALL)

    assert numbers(clip.frames)[-1] == 39
    assert clip.span == Span(1.0, clip.duration)


@pytest.mark.parametrize("start", [1.6, 70.0])
def test_a_span_that_begins_after_the_end_is_refused_in_one_line(video, start):
    with pytest.raises(SampleError, match=rf"lasts 1.60 s, but the span begins at {start:.2f} s") as caught:
        read_sampled(MediaRef(video, span=Span(start, 90.0)), SMALL)

    assert str(video) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_span_that_begins_after_the_end_of_a_folder_is_refused(tmp_path):
    ref = noise_clip(tmp_path)

    with pytest.raises(SampleError, match=r"lasts 2.00 s, but the span begins at 2.50 s"):
        read_sampled(MediaRef(ref.path, span=Span(2.5, 3.0)), SMALL)


def test_at_a_varying_rate_frames_are_spread_in_time(tmp_path):
    path = write_clip(tmp_path / "a.mkv", [*range(0, 400, 40), 1000, 2000, 4000], options=B_FRAMES)
    budget = VisualBudget(fps=1.0, max_frames=8, min_pixels=784, max_pixels=784)

    clip = read_sampled(MediaRef(path), budget)

    # At 0, 1.33, 2.67 and 4 s the frames of 0, 1, 2 and 4 s are on screen.
    assert clip.times == (0.0, 1.0, 2.0, 4.0)
    assert numbers(clip.frames) == [0, 10, 11, 12]


def test_a_span_at_a_varying_rate_stays_inside(tmp_path):
    path = write_clip(tmp_path / "a.mkv", [*range(0, 400, 40), 1000, 2000, 4000], options=B_FRAMES)

    clip = read_sampled(MediaRef(path, span=Span(1.0, 3.0)), SMALL)

    assert set(clip.times) == {1.0, 2.0}
    assert len(clip.times) == 2
    assert clip.span == Span(1.0, 3.0)


def test_a_span_behind_the_last_frame_of_a_varying_rate_shows_that_frame(tmp_path):
    path = write_clip(tmp_path / "a.mkv", [0, 40, 1000, 4000])

    clip = read_sampled(MediaRef(path, span=Span(4.1, 9.0)), SMALL)

    assert set(clip.times) == {4.0}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_videos_show_an_even_number_of_frames(tmp_path, count):
    clip = read_sampled(MediaRef(write_clip(tmp_path / "a.mp4", constant(count))), SMALL)

    assert numbers(clip.frames) == {1: [0, 0], 2: [0, 1], 3: [0, 2]}[count]


def test_a_folder_of_frames_has_three_frames_a_second(tmp_path):
    for number in range(12):
        Image.fromarray(picture(number)).save(tmp_path / f"{number + 1}.png")

    clip = read_sampled(MediaRef(tmp_path, span=Span(1.0, 3.0)), VisualBudget(fps=2.0, max_frames=4))

    assert numbers(clip.frames) == [3, 5, 7, 9]
    assert clip.times == pytest.approx((1.0, 5 / 3, 7 / 3, 3.0))
    assert (clip.duration, clip.span) == (4.0, Span(1.0, 3.0))


def test_a_folder_that_mixes_sizes_is_read_when_they_come_out_equal(tmp_path):
    for number, size in enumerate([(64, 48), (128, 96)]):
        Image.fromarray(picture(number, size)).save(tmp_path / f"{number}.png")

    assert read_sampled(MediaRef(tmp_path), SMALL).frames.shape == (2, 3, 28, 28)


def test_an_animated_gif_is_a_video_with_its_own_timing(tmp_path):
    pages = [Image.fromarray(picture(number)[..., 0], "L") for number in range(4)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=[100, 100, 100, 700])

    clip = read_sampled(MediaRef(tmp_path / "a.gif"), SMALL)

    assert numbers(clip.frames) == [0, 1, 2, 3]
    assert clip.times == pytest.approx((0.0, 0.1, 0.2, 0.3))


def test_a_still_image_is_one_frame_without_a_span(tmp_path):
    Image.fromarray(picture(3)).save(tmp_path / "a.png")

    clip = read_sampled(MediaRef(tmp_path / "a.png", kind="image"), SMALL)

    assert clip.frames.shape == (1, 3, 28, 28)
    assert (clip.times, clip.duration, clip.span) == ((0.0,), 0.0, Span(0.0, 0.0))


def test_a_rotated_video_is_resized_upright(tmp_path):
    budget = VisualBudget(fps=5.0, max_frames=2, min_pixels=784, max_pixels=3 * 784)
    path = turn(write_clip(tmp_path / "a.mp4", constant(4), size=(96, 32)), (0, 1, -1, 0))

    clip = read_sampled(MediaRef(path), budget)

    assert clip.frames.shape[-2:] == budget.size(96, 32) == (84, 28)
    assert torch.equal(clip.frames, resize_frames(read_clip(MediaRef(path), 4).frames[[0, 3]], (84, 28)))


def test_a_video_too_long_for_its_width_is_refused(tmp_path):
    Image.fromarray(np.zeros((2, 402, 3), dtype=np.uint8)).save(tmp_path / "a.png")

    with pytest.raises(SampleError, match=r"frames of 402x2 pixels .*; crop or drop it$") as caught:
        read_sampled(MediaRef(tmp_path / "a.png", kind="image"), SMALL)

    assert str(tmp_path / "a.png") in str(caught.value)


def test_without_resizing_frames_keep_their_size(video):
    clip = read_sampled(MediaRef(video), SMALL, resize=False)

    assert torch.equal(clip.frames, read_clip(MediaRef(video), 40).frames[SMALL.indices(40, 25.0)])


@pytest.mark.parametrize(
    ("span", "shown"),
    [(None, (0.0, 1.6)), (Span(0.4, 0.8), (0.4, 0.8)), (Span(1.0, 90.0), (1.0, 1.6)), (Span(50.0, 90.0), (1.6, 1.6))],
    ids=["all", "inside", "past the end", "behind the end"],
)
def test_a_fixed_number_of_frames_tells_its_stretch_too(video, span, shown):
    clip = read_clip(MediaRef(video, span=span), 2)

    assert (clip.span.start, clip.span.end) == pytest.approx(shown)
