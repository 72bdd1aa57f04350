import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from merv.errors import SampleError
from merv.video.budget import VisualBudget
from merv.video.decode import read_chosen, read_clip, read_sampled
from merv.video.media import MediaRef, Span, Within
from merv.video.places import Piece, is_present, opened

from .clips import constant, picture, write_clip

B_FRAMES = {"bf": "3", "g": "12", "b_strategy": "0"}
JUNK = b"\x47ftypRIFF" * 57


def shard(tmp_path, *files):
    """A file with others inside, each between bytes that look like media; gives where each of them lies."""
    found, content = [], JUNK
    for file in files:
        found.append((len(content), file.stat().st_size))
        content += file.read_bytes() + JUNK
    path = tmp_path / "000000.tar"
    path.write_bytes(content)
    return path, found


def piece_of(tmp_path, file, kind="video", span=None):
    path, found = shard(tmp_path, file)
    return MediaRef(path, kind, span, Within(file.name, tuple(found)))


def assert_same(found, expected):
    assert torch.equal(found.frames, expected.frames)
    assert (found.times, found.duration, found.span) == (expected.times, expected.duration, expected.span)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("span", [None, Span(0.5, 1.2)])
def test_a_video_within_a_file_gives_the_frames_of_the_video_bit_for_bit(tmp_path, suffix, span):
    file = write_clip(tmp_path / f"a.{suffix}", constant(45), options=B_FRAMES)
    ref = piece_of(tmp_path, file, span=span)

    assert_same(read_clip(ref, 7), read_clip(MediaRef(file, span=span), 7))
    assert_same(read_sampled(ref, VisualBudget()), read_sampled(MediaRef(file, span=span), VisualBudget()))
    chosen = [3, 0, 44]
    assert_same(read_chosen(ref, lambda _: chosen), read_chosen(MediaRef(file, span=span), lambda _: chosen))


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("jpg", {}), ("webp", {}), ("gif", {}), ("bmp", {}), ("tif", {"compression": "tiff_lzw"})],
)
def test_an_image_within_a_file_is_the_image(tmp_path, suffix, options):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(picture(3)).save(file, **options)

    assert_same(read_clip(piece_of(tmp_path, file, "image"), 1), read_clip(MediaRef(file, "image"), 1))


def test_frames_within_a_file_are_a_video_as_a_folder_of_them_is(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    files = [folder / f"{number}.png" for number in range(12)]
    for number, file in enumerate(files):
        Image.fromarray(picture(number)).save(file)
    path, found = shard(tmp_path, *files)
    ref = MediaRef(path, within=Within("frames", tuple(found), is_folder=True))

    assert_same(read_clip(ref, 5), read_clip(MediaRef(folder), 5))
    assert_same(read_sampled(ref, VisualBudget()), read_sampled(MediaRef(folder), VisualBudget()))


def test_media_of_one_file_are_told_apart(tmp_path):
    one, other = (MediaRef(tmp_path / "0.tar", within=Within("a", ((start, 5),))) for start in (0, 512))

    assert one != other
    assert len({one, other, pickle.loads(pickle.dumps(one))}) == 2
    assert one.where == f"{tmp_path}/0.tar:a"
    assert MediaRef(tmp_path / "a.mp4").where == str(tmp_path / "a.mp4")


def test_a_piece_is_read_as_a_file_of_its_size(tmp_path):
    path = tmp_path / "all"
    path.write_bytes(bytes(range(200)))

    with opened(Piece(path, 50, 100, "a.bin")) as file:
        assert file.read() == bytes(range(50, 150))
        assert (file.read(1), file.seek(-10, 2), file.read(), file.tell()) == (b"", 90, bytes(range(140, 150)), 100)
        assert (file.seek(7), file.seek(3, 1), file.read(2)) == (7, 10, bytes([60, 61]))
        assert file.seek(1000) == 1000
        assert file.read() == b""
        with pytest.raises(OSError, match="before the beginning"):
            file.seek(-200, 2)
        with pytest.raises(OSError, match="fileno"):
            file.fileno()


@pytest.mark.parametrize(("kind", "suffix"), [("video", "mp4"), ("image", "png")])
def test_a_piece_that_is_not_all_there_says_so(tmp_path, kind, suffix):
    ref = MediaRef(tmp_path / "0.tar", kind, within=Within(f"a.{suffix}", ((100, 50),)))

    with pytest.raises(SampleError, match=rf"{kind} `.*0\.tar:a\.{suffix}` does not exist"):
        read_clip(ref, 1)
    ref.path.write_bytes(bytes(120))
    with pytest.raises(SampleError, match=r"ends at byte 150, and .*0\.tar was cut short at 120; fetch it again"):
        read_clip(ref, 1)
    ref.path.write_bytes(np.random.default_rng(0).bytes(300))
    with pytest.raises(SampleError, match=r"`.*0\.tar:a\.\w+` cannot be read"):
        read_clip(ref, 1)


def test_an_empty_piece_is_an_empty_file(tmp_path):
    ref = MediaRef(tmp_path / "0.tar", within=Within("a.mp4", ((0, 0),)))
    ref.path.write_bytes(bytes(120))

    with pytest.raises(SampleError, match=r"a\.mp4` is empty \(0 bytes\)"):
        read_clip(ref, 1)


def test_a_playlist_in_a_shard_opens_no_file(tmp_path):
    secret = write_clip(tmp_path / "secret.ts", constant(10))
    playlist = tmp_path / "a.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")

    with pytest.raises(SampleError, match=r"cannot be read|holds no frames|no video stream"):
        read_clip(piece_of(tmp_path, playlist), 1)


class Copying:
    """Brings a file by copying it."""

    def __init__(self, source):
        self.source = source

    def bring(self, path):
        path.write_bytes(self.source.read_bytes())


def test_a_file_that_is_absent_is_brought(tmp_path):
    file = write_clip(tmp_path / "a.mp4", constant(10))
    path, found = shard(tmp_path, file)
    source = path.rename(tmp_path / "elsewhere")
    ref = MediaRef(path, within=Within("a.mp4", tuple(found), bringer=Copying(source)))

    assert_same(read_clip(ref, 3), read_clip(MediaRef(file), 3))
    path.unlink()
    assert is_present(ref)
    assert not is_present(MediaRef(tmp_path / "none"))
