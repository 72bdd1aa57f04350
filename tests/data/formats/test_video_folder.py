import pytest

from merv.data.formats.video_folder import SUFFIXES, VideoFolder
from merv.errors import SampleError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return VideoFolder(root)


@pytest.mark.parametrize(
    ("there", "name", "found"),
    [
        ("a.mp4", "a.mp4", "a.mp4"),
        ("a.webm", "a", "a.webm"),
        ("a.mkv", "a.mp4", "a.mkv"),
        ("a.mp4", "a.MOV", "a.mp4"),
        ("deep/er/a.gif", "deep/er/a", "deep/er/a.gif"),
        ("boat.v2.avi", "boat.v2", "boat.v2.avi"),
        ("a.avi.mp4", "a.avi", "a.avi.mp4"),
        ("frames/0001.jpg", "frames", "frames"),
    ],
)
def test_a_video_is_found_with_its_suffix_without_and_with_another(tmp_path, there, name, found):
    assert touch(tmp_path, there).find(name).path == tmp_path / found


def test_suffixes_have_an_order(tmp_path):
    assert touch(tmp_path, *(f"a{suffix}" for suffix in SUFFIXES)).find("a").path.name == "a.mp4"


def test_the_name_as_it_stands_comes_first(tmp_path):
    assert touch(tmp_path, "a.avi", "a.avi.mp4", "a.mp4").find("a.avi").path.name == "a.avi"


@pytest.mark.parametrize(
    ("name", "missing"), [("a", "a.mp4"), ("a.avi", "a.avi"), ("boat.v2", "boat.v2.mp4"), ("no/a", "no/a.mp4")]
)
def test_what_is_not_there_gets_the_usual_suffix_if_it_has_none(tmp_path, name, missing):
    assert VideoFolder(tmp_path).find(name).path == tmp_path / missing


def test_the_first_of_several_names_that_is_there_is_taken(tmp_path):
    folder = touch(tmp_path, "b.mkv", "c.mp4")

    assert folder.find("a", "b", "c").path.name == "b.mkv"
    assert folder.find("x", "y").path.name == "x.mp4"


def test_a_folder_is_listed_once(tmp_path):
    folder = touch(tmp_path, "a.mkv")
    folder.find("a")
    touch(tmp_path, "a.mp4")

    assert folder.find("a").path.name == "a.mkv"


@pytest.mark.parametrize("name", ["../a", "/a", "b/../../a", "a\0"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(SampleError, match="leads out of"):
        VideoFolder(tmp_path).find(name)


@pytest.mark.parametrize("name", ["", ".", "./"])
def test_a_name_of_nothing_is_refused(tmp_path, name):
    with pytest.raises(SampleError, match="names no file"):
        VideoFolder(tmp_path).find(name)
