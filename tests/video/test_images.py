import numpy as np
import pytest
import torch
from PIL import Image

from merv.errors import SampleError
from merv.video import images
from merv.video.decode import read_clip
from merv.video.images import list_frames, read_image
from merv.video.media import MediaRef


def save(path, pixels, mode=None, **options):
    Image.fromarray(pixels, mode).save(path, **options)
    return path


def test_a_still_image_is_a_clip_of_one_frame(tmp_path):
    pixels = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)

    clip = read_clip(MediaRef(save(tmp_path / "a.png", pixels), "image"), num_frames=16)

    assert torch.equal(clip.frames, torch.from_numpy(pixels).permute(2, 0, 1)[None])
    assert clip.times == (0.0,)
    assert clip.duration == 0.0


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to see it upright
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[0] = 255

    out = read_image(save(tmp_path / "a.png", pixels, exif=exif))

    assert out.shape == (3, 6, 4)
    assert (out[:, :, -1] == 255).all()
    assert (out[:, :, :-1] == 0).all()


def test_transparency_is_laid_on_white(tmp_path):
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[0, 0, 3] = 255

    out = read_image(save(tmp_path / "a.png", pixels))

    assert out[0].tolist() == [[0, 255], [255, 255]]


def test_transparent_palette_entries_are_laid_on_white(tmp_path):
    picture = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "a.png", transparency=0)

    assert read_image(tmp_path / "a.png")[:, 0].T.tolist() == [[255, 255, 255], [40, 50, 60]]


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    pixels = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)

    assert read_image(save(tmp_path / "a.tif", pixels))[0].tolist() == [[0, 100, 255]]


def test_8_bit_grey_in_a_16_bit_file_stays_as_it_is(tmp_path):
    pixels = np.array([[0, 100, 255]], dtype=np.uint16)

    assert read_image(save(tmp_path / "a.png", pixels))[0].tolist() == [[0, 100, 255]]


def test_float_grey_of_0_to_1_is_scaled(tmp_path):
    pixels = np.array([[0.0, 0.2, 1.0]], dtype=np.float32)

    assert read_image(save(tmp_path / "a.tif", pixels))[0].tolist() == [[0, 51, 255]]


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "png"), ("1", "png"), ("CMYK", "jpg"), ("LA", "png"), ("P", "gif")]
)
def test_every_mode_becomes_rgb(tmp_path, mode, suffix):
    Image.new("RGB", (8, 6), (255, 255, 255)).convert(mode).save(tmp_path / f"a.{suffix}")

    out = read_image(tmp_path / f"a.{suffix}")

    assert out.shape == (3, 6, 8)
    assert out.min() > 250


@pytest.mark.parametrize("suffix", ["gif", "tif"])
def test_the_first_of_several_pages_is_read(tmp_path, suffix):
    pages = [Image.new("L", (8, 6), level) for level in (50, 100, 150)]
    pages[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pages[1:])

    assert (read_image(tmp_path / f"a.{suffix}") == 50).all()


def test_frames_of_a_folder_come_in_natural_order(tmp_path):
    for name in ("10.jpg", "9.jpg", "frame.jpg", "1.jpg", "notes.txt"):
        (tmp_path / name).touch()

    assert [f.name for f in list_frames(tmp_path)] == ["1.jpg", "9.jpg", "10.jpg", "frame.jpg"]


def test_a_huge_image_is_refused_before_its_pixels_are_read(tmp_path, monkeypatch):
    save(tmp_path / "a.png", np.zeros((20, 20), dtype=np.uint8))
    monkeypatch.setattr(images, "MAX_PIXELS", 399)

    with pytest.raises(SampleError, match="frames of 20x20"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (b"", "is empty"), (b"<html>no</html>", "cannot be read"), ("cut", "cannot be read")],
)
def test_an_unreadable_image_is_a_sample_error_of_one_line(tmp_path, content, message):
    path = tmp_path / "a.png"
    if content == "cut":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        content = save(path, noise).read_bytes()[:2000]
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SampleError, match=message) as caught:
        read_clip(MediaRef(path, "image"), 4)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
