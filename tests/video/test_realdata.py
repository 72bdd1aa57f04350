"""Files found in the wild, beside a plain decode of every frame and the record of what each holds."""

import contextlib
import json
from pathlib import Path

import av
import pytest
import torch

from merv.errors import SampleError
from merv.video.decode import read_clip
from merv.video.media import MediaRef

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "realdata"
RECORD = FOLDER / "videos" / "probe_pyav.json"

pytestmark = pytest.mark.skipif(not RECORD.exists(), reason="needs the shared real files")

ROWS = {row["file"]: row for row in json.loads(RECORD.read_text())} if RECORD.exists() else {}
READABLE = [name for name, row in ROWS.items() if row.get("decoded_frames")]
IMAGES = sorted(path.name for path in (FOLDER / "images").glob("*"))
BROKEN_IMAGES = {"truncated.jpg", "multipage_rgb.tif"}
TWO_STREAMS = "nasa_13013.mp4"
DAMAGED = "decord_corrupted.mp4"


def ends(path):
    """First and last frame (3, H, W) as stored, before rotation, and how many there are."""
    first, last, count = None, None, 0
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        for last in container.decode(stream):
            first = first or last
            count += 1
        pictures = [torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1) for frame in (first, last)]
    return *pictures, count


@pytest.mark.parametrize("name", [n for n in READABLE if n != DAMAGED])
def test_first_and_last_frame_are_those_of_a_plain_decode(name):
    first, last, count = ends(FOLDER / "videos" / name)

    clip = read_clip(MediaRef(FOLDER / "videos" / name), 8)

    turns = round(ROWS[name]["rotation"] / 90)
    assert torch.equal(clip.frames[0], torch.rot90(first, turns, dims=(1, 2)))
    assert torch.equal(clip.frames[-1], torch.rot90(last, turns, dims=(1, 2)))
    assert clip.note == ""
    if name != TWO_STREAMS:
        assert count == ROWS[name]["decoded_frames"]


@pytest.mark.parametrize("name", [n for n in READABLE if n not in (TWO_STREAMS, DAMAGED)])
def test_times_are_those_of_the_record(name):
    row = ROWS[name]

    clip = read_clip(MediaRef(FOLDER / "videos" / name), 8)

    # AVI stamps come out of the decoder a frame or two astray around B-frames.
    tolerance = 2 * row["max_gap_s"] if name.endswith("avi") else 1e-3
    assert clip.times[0] == 0.0
    assert list(clip.times) == sorted(clip.times)
    assert clip.times[-1] == pytest.approx(row.get("pts_last_s", 0) - row.get("pts_first_s", 0), abs=tolerance)
    assert clip.duration > clip.times[-1]


@pytest.mark.parametrize("name", [n for n in READABLE if n != TWO_STREAMS])
def test_shapes_are_upright(name):
    row = ROWS[name]
    size = (row["height"], row["width"])

    clip = read_clip(MediaRef(FOLDER / "videos" / name), 2)

    assert tuple(clip.frames.shape[-2:]) == (size[::-1] if row["rotation"] % 180 else size)


@pytest.mark.parametrize("name", [n for n in ROWS if n not in READABLE])
def test_unreadable_videos_are_sample_errors_of_one_line(name):
    with pytest.raises(SampleError) as caught:
        read_clip(MediaRef(FOLDER / "videos" / name), 8)

    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_stream_a_player_shows_is_read_of_a_file_with_two():
    clip = read_clip(MediaRef(FOLDER / "videos" / TWO_STREAMS), 4)

    assert tuple(clip.frames.shape[-2:]) == (270, 480)


def test_a_damaged_stream_is_read_to_its_end_and_says_so():
    sound = []
    with av.open(str(FOLDER / "videos" / DAMAGED)) as container, contextlib.suppress(av.InvalidDataError):
        for frame in container.decode(video=0):
            sound.append(torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1))

    clip = read_clip(MediaRef(FOLDER / "videos" / DAMAGED), 50)

    assert len(sound) == ROWS[DAMAGED]["decoded_frames"]
    assert torch.equal(clip.frames[: len(sound)], torch.stack(sound))
    assert not torch.equal(clip.frames[-1], sound[-1])
    assert clip.note == "1 damaged packets; neighbours stand in for 1 of 50 frames"


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_read_or_are_sample_errors(name):
    ref = MediaRef(FOLDER / "images" / name, "image")

    if name in BROKEN_IMAGES:
        with pytest.raises(SampleError, match=name):
            read_clip(ref, 4)
    else:
        assert read_clip(ref, 4).frames.shape[:2] == (1, 3)


def test_an_image_taken_sideways_is_upright():
    sideways = read_clip(MediaRef(FOLDER / "images" / "MADE_exif_orientation_6.jpg", "image"), 1)
    plain = read_clip(MediaRef(FOLDER / "images" / "languagebind_0.jpg", "image"), 1)

    assert sideways.frames.shape[-2:] == plain.frames.shape[-2:][::-1]
