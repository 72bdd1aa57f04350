import os

import pytest

from merv.data.formats.media_folder import MediaFolder
from merv.errors import SampleError


def test_a_path_is_joined_and_made_plain(tmp_path):
    assert MediaFolder(tmp_path).locate("video", "a/./b/../c.mp4") == tmp_path / "a" / "c.mp4"


@pytest.mark.parametrize("path", ["..", "../a", "a/../../b", "/etc/passwd", "a\0"])
def test_a_path_that_leads_out_is_refused_with_its_field(tmp_path, path):
    with pytest.raises(SampleError, match=r"field video: .* leads out of"):
        MediaFolder(tmp_path).locate("video", path)


def test_half_a_surrogate_pair_is_no_name_of_a_file(tmp_path):
    with pytest.raises(SampleError, match=r"field video: '\\ud83d\.mp4' cannot be the name of a file"):
        MediaFolder(tmp_path).locate("video", "\ud83d.mp4")


def test_a_folder_is_listed_once(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(folder) or scandir(folder))
    folder = MediaFolder(tmp_path)

    for number in range(5):
        folder.locate("video", f"in/{number}.mp4")

    assert listed == [str(tmp_path / "in")]
