import logging
import os
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition
from PIL import Image

from merv.errors import SampleError
from merv.video.decode import read_clip
from merv.video.media import MediaRef, Span
from merv.video.sampling import uniform_indices

from .clips import constant, numbers, picture, turn, write_clip

B_FRAMES = {"bf": "3", "g": "12", "b_strategy": "0"}


def decode_through(path):
    """Every frame of the file, (T, 3, H, W), without any cleverness."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return torch.stack(frames).permute(0, 3, 1, 2)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [("libx264", B_FRAMES), ("libx264", {"g": "5", "bf": "0"}), ("libx264", {"g": "250"}), ("mpeg4", {"g": "12"})],
)
def test_frames_are_bit_equal_to_decoding_through(tmp_path, suffix, codec, options):
    path = write_clip(tmp_path / f"a.{suffix}", constant(45), codec=codec, options=options)
    every = decode_through(path)

    for num_frames in (1, 4, 8, 45, 60):
        clip = read_clip(MediaRef(path), num_frames)

        assert torch.equal(clip.frames, every[uniform_indices(45, num_frames, 25.0)])
        assert clip.note == ""


@pytest.mark.parametrize("codec", ["libx265", "libvpx-vp9", "libvpx", "libsvtav1"])
def test_other_codecs_are_bit_equal_to_decoding_through(tmp_path, codec):
    quiet = {"libx265": {"x265-params": "log-level=none:keyint=10:pools=1"}, "libsvtav1": {"preset": "12"}}
    path = write_clip(
        tmp_path / "a.mkv", constant(24), codec=codec, options=quiet.get(codec, {"deadline": "realtime"})
    )

    clip = read_clip(MediaRef(path), 7)

    assert torch.equal(clip.frames, decode_through(path)[uniform_indices(24, 7, 25.0)])


def test_times_and_duration_of_a_constant_rate(tmp_path):
    clip = read_clip(MediaRef(write_clip(tmp_path / "a.mp4", constant(25), options=B_FRAMES)), 5)

    assert numbers(clip.frames) == [0, 6, 12, 18, 24]
    assert clip.times == pytest.approx((0.0, 0.24, 0.48, 0.72, 0.96))
    assert clip.duration == pytest.approx(1.0)


def test_frames_are_stored_channels_last(tmp_path):
    clip = read_clip(MediaRef(write_clip(tmp_path / "a.mp4", constant(5))), 4)

    assert clip.frames.is_contiguous(memory_format=torch.channels_last)


def test_a_span_takes_the_frames_inside_it(tmp_path):
    path = write_clip(tmp_path / "a.mp4", constant(40), options=B_FRAMES)

    clip = read_clip(MediaRef(path, span=Span(0.4, 0.8)), 4)

    assert numbers(clip.frames) == [10, 13, 16, 19]
    assert clip.duration == pytest.approx(1.6)


def test_at_a_varying_rate_frames_are_spread_in_time(tmp_path):
    stamps = [*range(0, 400, 40), 1000, 2000, 4000]
    path = write_clip(tmp_path / "a.mkv", stamps, options=B_FRAMES)

    clip = read_clip(MediaRef(path), 5)

    assert numbers(clip.frames) == [0, 10, 11, 11, 12]
    assert clip.times == (0.0, 1.0, 2.0, 2.0, 4.0)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_that_starts_late_counts_from_its_first_frame(tmp_path, suffix):
    path = write_clip(tmp_path / f"a.{suffix}", [700 + t for t in constant(20)], options=B_FRAMES)

    clip = read_clip(MediaRef(path, span=Span(0.0, 0.4)), 2)

    assert numbers(clip.frames) == [0, 9]
    assert clip.times == pytest.approx((0.0, 0.36))


def test_avi_with_b_frames_is_read_in_display_order(tmp_path):
    options = {"bf": "2", "g": "10", "qmin": "1", "qmax": "2"}
    path = write_clip(tmp_path / "a.avi", range(30), codec="mpeg4", options=options, clock=Fraction(1, 25))

    clip = read_clip(MediaRef(path), 30)

    assert numbers(clip.frames) == list(range(30))
    assert clip.duration == pytest.approx(1.2)


def test_frames_repeat_when_there_are_too_few(tmp_path):
    clip = read_clip(MediaRef(write_clip(tmp_path / "a.mp4", constant(3))), 6)

    assert numbers(clip.frames) == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)], ids=["90", "180", "270"]
)
def test_a_display_matrix_turns_the_picture(tmp_path, matrix, turns):
    path = turn(write_clip(tmp_path / "a.mp4", constant(4)), matrix)

    clip = read_clip(MediaRef(path), 2)

    assert torch.equal(clip.frames, torch.rot90(decode_through(path)[[0, 3]], turns, dims=(2, 3)))


def test_an_animated_gif_is_a_video_with_its_own_timing(tmp_path):
    pages = [Image.fromarray(picture(i)[..., 0], "L") for i in range(4)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=[100, 100, 100, 700])

    clip = read_clip(MediaRef(tmp_path / "a.gif"), 4)

    assert numbers(clip.frames) == [0, 1, 2, 3]
    assert clip.times == pytest.approx((0.0, 0.1, 0.2, 0.3))


def test_a_folder_of_frames_is_a_video_of_three_frames_a_second(tmp_path):
    for i in range(12):
        Image.fromarray(picture(i)).save(tmp_path / f"{i + 1}.png")

    clip = read_clip(MediaRef(tmp_path, span=Span(1.0, 3.0)), 3)

    assert numbers(clip.frames) == [3, 5, 8]
    assert clip.times == pytest.approx((1.0, 5 / 3, 8 / 3))
    assert clip.duration == 4.0


def test_a_folder_with_frames_of_two_sizes_is_refused(tmp_path):
    for i, size in enumerate([(8, 8), (8, 9)]):
        Image.fromarray(picture(i, size)).save(tmp_path / f"{i}.png")

    with pytest.raises(SampleError, match="mixes frames of 8x8 and 8x9"):
        read_clip(MediaRef(tmp_path), 2)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(SampleError, match="holds no images"):
        read_clip(MediaRef(tmp_path), 2)


def test_of_two_video_streams_the_default_one_is_read(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        for size in ((32, 32), (64, 48)):
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height = size
            stream.disposition = Disposition.default if size == (64, 48) else Disposition(0)
        for stream in container.streams.video:
            for i in range(8):
                noise = np.random.default_rng(i).integers(0, 256, (stream.height, stream.width, 3), dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
            container.mux(stream.encode(None))

    assert read_clip(MediaRef(tmp_path / "a.mkv"), 2).frames.shape == (2, 3, 48, 64)


def test_a_file_cut_short_gives_what_it_still_holds(tmp_path):
    path = write_clip(tmp_path / "a.mkv", constant(40), options={"g": "10", "bf": "0"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])

    clip = read_clip(MediaRef(path), 4)

    found = numbers(clip.frames)
    assert found[0] == 0
    assert found == sorted(found)
    assert 5 < found[-1] < 39
    assert clip.duration < 1.6


def test_damage_in_the_middle_is_bridged_and_reported(tmp_path, caplog):
    path = write_clip(tmp_path / "a.mp4", constant(40), options={"g": "10", "bf": "0", "sc_threshold": "0"})
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for pos, size in places[20:30]:
        data[pos : pos + size] = b"\xff" * size
    path.write_bytes(bytes(data))

    with caplog.at_level(logging.WARNING):
        clip = read_clip(MediaRef(path), 40)

    found = numbers(clip.frames)
    assert found[:20] == list(range(20))
    assert found[20:30] == [19] * 10
    assert found[30:] == list(range(30, 40))
    assert clip.note == "10 damaged packets; neighbours stand in for 10 of 40 frames"
    assert str(path) in caplog.text


def test_a_video_of_which_nothing_decodes_is_refused(tmp_path):
    path = write_clip(tmp_path / "a.mp4", constant(5), options={"bf": "0"})
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for pos, size in places:
        data[pos : pos + size] = b"\xff" * size
    path.write_bytes(bytes(data))

    with pytest.raises(SampleError, match="none of the 5 frames wanted decodes"):
        read_clip(MediaRef(path), 5)


def write_sound(path, cover=False):
    """A file with a tone, and a cover picture if asked."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp3" if path.suffix == ".mp3" else "aac", rate=44100, layout="mono")
        if cover:
            art = container.add_stream("png", rate=1)
            art.width, art.height, art.pix_fmt = 16, 16, "rgb24"
            art.disposition = Disposition.attached_pic
            container.mux(art.encode(av.VideoFrame.from_ndarray(picture(1, (16, 16)), format="rgb24")))
            container.mux(art.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 4096), dtype=np.float32), format="fltp", layout="mono")
        tone.sample_rate = 44100
        container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("cover", [False, True])
def test_a_sound_file_is_no_video_even_with_a_cover(tmp_path, cover):
    path = write_sound(tmp_path / "a.mp3", cover)

    with pytest.raises(SampleError, match="has no video stream, only audio"):
        read_clip(MediaRef(path), 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>404</html>", "cannot be read"),
        (os.urandom(5000), "cannot be read"),
        ("no index", "cannot be read"),
    ],
    ids=["missing", "empty", "html", "noise", "truncated"],
)
def test_an_unreadable_video_is_a_sample_error_of_one_line(tmp_path, content, message):
    path = tmp_path / "a.mp4"
    if content == "no index":
        content = write_clip(path, constant(20)).read_bytes()[:-600]
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SampleError, match=message) as caught:
        read_clip(MediaRef(path), 4)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_with_a_colon_is_a_file_name(tmp_path):
    path = write_clip(tmp_path / "plain.mp4", constant(3)).rename(tmp_path / "http:a 100%.mp4")

    assert len(read_clip(MediaRef(path), 2).frames) == 2


def test_frames_beyond_the_limit_are_refused_before_decoding(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", constant(3))
    monkeypatch.setattr("merv.video.images.MAX_PIXELS", 64 * 48 - 1)

    with pytest.raises(SampleError, match="frames of 64x48"):
        read_clip(MediaRef(path), 2)
