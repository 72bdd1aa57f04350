import pytest
import torch
from PIL import Image

from merv.errors import ConfigError
from merv.filters.images import ImageBatches, Unreadable, find_images, total_size
from merv.video.images import open_image, read_image

from .pictures import shapes


def as_tensor(image):
    return (
        torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(*image.size[::-1], 3).permute(2, 0, 1)
        / 255
    )


def save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or shapes(1)).save(path, **options)
    return path


def test_images_are_found_by_ending_whatever_its_case_and_sorted_by_path(tmp_path):
    names = ["b/1.JPG", "a/2.png", "a.webp", "a/10.Tiff", "z.bmp", "c.tif", "d.jpeg"]
    for name in [*names, ".hidden.png", ".thumbs/1.png", "a/._2.png", "notes.txt", "f.gif"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()

    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]

    assert found == sorted(names)


def test_a_link_to_nothing_is_an_image_nobody_can_read(tmp_path):
    save(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to("gone.png")

    paths = find_images(tmp_path)
    [batch] = ImageBatches(paths, lambda image: torch.zeros(3, 2, 2))

    assert [path.name for path in paths] == ["1.png", "2.png"]
    assert [one.path.name for one in batch.unreadable] == ["2.png"]
    assert f"image `{tmp_path}/2.png` does not exist" in batch.unreadable[0].reason
    assert total_size(paths) == (tmp_path / "1.png").stat().st_size


def test_folders_below_and_excluded_ones_can_be_left_out(tmp_path):
    for name in ("1.png", "a/1.png", "b/1.png"):
        save(tmp_path / name)

    assert find_images(tmp_path, recursive=False) == [tmp_path / "1.png"]
    assert find_images(tmp_path, exclude=[tmp_path / "a"]) == [tmp_path / "1.png", tmp_path / "b" / "1.png"]


def test_a_folder_that_is_missing_or_empty_is_one_line(tmp_path):
    (tmp_path / "empty" / "below").mkdir(parents=True)
    save(tmp_path / "file.png")

    with pytest.raises(ConfigError, match=r"nowhere is not there; name one with images \(png, jpg, jpeg, bmp"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"file.png is a file"):
        find_images(tmp_path / "file.png")
    with pytest.raises(ConfigError, match=r"empty holds no images: no png, .*webp in it or below"):
        find_images(tmp_path / "empty")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA", "I;16"])
def test_every_mode_becomes_three_channels(tmp_path, mode):
    grey = Image.new("L", (8, 6), 128)
    image = Image.new("I;16", (8, 6), 32896) if mode == "I;16" else grey.convert("RGB").convert(mode)
    image = grey.convert("P") if mode == "P" else image
    path = save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), image)

    [batch] = ImageBatches([path], as_tensor)

    assert batch.tensors.shape == (1, 3, 6, 8)
    if mode != "1":
        torch.testing.assert_close(batch.tensors, torch.full((1, 3, 6, 8), 128 / 255), atol=0.02, rtol=0)


def test_the_orientation_of_a_camera_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    path = save(tmp_path / "a.jpg", Image.new("RGB", (16, 8)), exif=exif)

    [batch] = ImageBatches([path], as_tensor)

    assert batch.tensors.shape == (1, 3, 16, 8)


@pytest.mark.parametrize("num_workers", [0, 3])
def test_what_cannot_be_read_is_named_and_every_path_is_accounted_for(tmp_path, num_workers):
    paths = [save(tmp_path / f"{number}.png", shapes(number)) for number in range(7)]
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[: len(whole) // 2])
    paths[5].write_text("no image")
    (tmp_path / "6.png").write_bytes(b"")

    batches = list(ImageBatches(paths, as_tensor, batch_size=2, num_workers=num_workers))

    assert [batch.places for batch in batches] == [[0, 1], [3, 4], []]
    assert [one.path for batch in batches for one in batch.unreadable] == [paths[2], paths[5], paths[6]]
    assert all("cannot be read" in one.reason or "is empty" in one.reason for b in batches for one in b.unreadable)
    assert batches[2].tensors.shape[0] == 0
    torch.testing.assert_close(batches[1].tensors[0], as_tensor(shapes(3)))


def test_threads_change_nothing_and_a_second_pass_reads_again(tmp_path):
    paths = [save(tmp_path / f"{number}.png", shapes(number)) for number in range(9)]
    alone, threads = (ImageBatches(paths, as_tensor, batch_size=2, num_workers=workers) for workers in (0, 2))

    for _ in range(2):
        for one, other in zip(alone, threads, strict=True):
            assert one.places == other.places
            torch.testing.assert_close(one.tensors, other.tensors)


def test_leaving_the_batches_early_ends_the_threads(tmp_path):
    paths = [save(tmp_path / f"{number}.png") for number in range(30)]

    for batch in ImageBatches(paths, as_tensor, batch_size=2, num_workers=2):
        assert batch.places == [0, 1]
        break


def test_a_large_jpeg_is_decoded_smaller_and_never_below_what_is_asked_for(tmp_path):
    path = save(tmp_path / "a.jpg", shapes(3, 640), quality=95)

    assert open_image(path, at_least=100).size == (160, 160)
    assert open_image(path, at_least=400).size == (640, 640)
    assert open_image(path).size == (640, 640)
    assert read_image(path).shape == (3, 640, 640)


def test_a_row_is_read_when_it_is_asked_for(tmp_path):
    rows = ImageBatches([save(tmp_path / "a.png"), tmp_path / "missing.png"], as_tensor).rows()

    assert next(rows).shape == (3, 48, 48)
    assert isinstance(next(rows), Unreadable)
