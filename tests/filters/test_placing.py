import errno
import os
from unittest import mock

import pytest

from merv.errors import ConfigError
from merv.filters import placing
from merv.filters.placing import check_outside, place, write_list


@pytest.fixture
def root(tmp_path):
    for name in ("a/1.jpg", "b/1.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        (tmp_path / "images" / name).write_text(name)
    return tmp_path / "images"


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_equal_names_of_two_folders_stay_two_images(root, tmp_path, mode):
    for name in ("a/1.jpg", "b/1.jpg"):
        assert place(root / name, tmp_path / "out", root=root, mode=mode) == tmp_path / "out" / name

    assert [(tmp_path / "out" / name).read_text() for name in ("a/1.jpg", "b/1.jpg")] == ["a/1.jpg", "b/1.jpg"]
    assert sorted(os.listdir(tmp_path / "out" / "a")) == ["1.jpg"]


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_a_file_that_is_there_is_never_replaced(root, tmp_path, mode):
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "a" / "1.jpg").write_text("older")

    placed = [place(root / "a/1.jpg", out, root=root, mode=mode) for _ in range(2)]

    assert placed == [out / "a" / "1-2.jpg", out / "a" / "1-3.jpg"]
    assert (out / "a" / "1.jpg").read_text() == "older"
    assert placed[1].read_text() == "a/1.jpg"


def test_a_link_is_a_hard_one_or_a_symbolic_one_to_another_disk(root, tmp_path):
    hard = place(root / "a/1.jpg", tmp_path / "hard", root=root, mode="link")
    with mock.patch.object(os, "link", side_effect=OSError(errno.EXDEV, "another disk")):
        symbolic = place(root / "a/1.jpg", tmp_path / "symbolic", root=root, mode="link")

    assert hard.samefile(root / "a/1.jpg")
    assert not hard.is_symlink()
    assert symbolic.is_symlink()
    assert symbolic.read_text() == "a/1.jpg"


def test_copies_need_no_hard_links(root, tmp_path):
    with mock.patch.object(os, "link", side_effect=OSError(errno.EPERM, "no links here")):
        copied = place(root / "a/1.jpg", tmp_path / "out", root=root, mode="copy")

    assert copied.read_text() == "a/1.jpg"
    assert os.listdir(copied.parent) == ["1.jpg"]


def test_a_full_disk_leaves_no_half_file(root, tmp_path):
    def half(source, target):
        target.write_text("a/")
        raise OSError(errno.ENOSPC, "No space left on device")

    with mock.patch.object(placing.shutil, "copy2", half), pytest.raises(OSError, match="No space"):
        place(root / "a/1.jpg", tmp_path / "out", root=root, mode="copy")

    assert os.listdir(tmp_path / "out" / "a") == []


def test_a_list_names_images_and_puts_none(root, tmp_path):
    assert place(root / "a/1.jpg", tmp_path / "out", root=root, mode="list") is None
    write_list(tmp_path / "out" / "1.txt", [root / "a/1.jpg", root / "b/1.jpg"])

    assert (tmp_path / "out" / "1.txt").read_text().splitlines() == [str(root / "a/1.jpg"), str(root / "b/1.jpg")]
    assert os.listdir(tmp_path / "out") == ["1.txt"]


def test_a_target_inside_the_folder_that_is_read_is_refused(root, tmp_path):
    (tmp_path / "alias").symlink_to(root)

    with pytest.raises(ConfigError, match=r"images/out lies in .*images, which is read.*name an --out beside it"):
        place(root / "a/1.jpg", root / "out", root=root, mode="copy")
    with pytest.raises(ConfigError, match="lies in"):
        check_outside(tmp_path / "alias" / "out", root)
    check_outside(tmp_path / "images-sorted", root)
