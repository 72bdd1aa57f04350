import pytest
from filters.colour_clip import paint

from merv.errors import ConfigError
from merv.filters.lineage import FILE, filters_above
from merv.runs.filter_options import FolderOptions, named, told


@pytest.fixture
def folder(tmp_path):
    paint(tmp_path / "in" / "a.png", "red")
    paint(tmp_path / "in" / "below" / "b.png", "red")
    return tmp_path / "in"


@pytest.mark.parametrize(
    "args",
    [
        ["best-view", "pictures", "--overwrite", "--out", "x"],
        ["best-view", "--overwrite", "pictures", "--out", "x"],
        ["--overwrite", "--out", "x", "best-view", "pictures"],
    ],
)
def test_the_folder_may_stand_anywhere(args):
    assert set(named(args, "best-view")) == {"--folder=pictures", "--overwrite=true", "--out", "x"}


def test_the_folder_may_be_called_as_the_command_is():
    assert named(["classify", "classify"], "classify") == ["--folder=classify"]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["classify", "a", "b"], "`b` is no option: merv filter classify DIR --out OUT"),
        (["classify", "a", "--folder", "b"], "`a` stands beside --folder"),
        (["classify", "a", "--folder=b"], "`a` stands beside --folder"),
    ],
)
def test_words_that_belong_to_nothing_are_refused(args, line):
    with pytest.raises(ConfigError, match=line):
        named(args, "classify")


def test_images_are_those_below_or_of_the_folder_alone(folder, tmp_path):
    below, alone = (
        FolderOptions(folder=folder, out=tmp_path / "out", recursive=recursive).find_images()
        for recursive in (True, False)
    )

    assert below == [folder / "a.png", folder / "below" / "b.png"]
    assert alone == [folder / "a.png"]


@pytest.mark.parametrize(
    ("out", "line"),
    [("full", "full is there already"), ("in/out", "lies in"), (".", "of which it would be made")],
)
def test_an_out_that_stands_lies_inside_or_around_is_refused(folder, tmp_path, out, line):
    paint(tmp_path / "full" / "a.png", "red")

    with pytest.raises(ConfigError, match=line):
        FolderOptions(folder=folder, out=tmp_path / out, overwrite=out == ".").find_images()


def test_a_full_disk_is_told_before_anything_is_done(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    paths = [folder / "a.png"]

    with pytest.raises(ConfigError, match=r"needs 0\.00 GB and"):
        FolderOptions(folder=folder, out=tmp_path / "out").check_room(paths)
    FolderOptions(folder=folder, out=tmp_path / "out", mode="link").check_room(paths)


def test_the_lineage_has_options_counts_and_the_filters_before(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    FolderOptions(folder=folder, out=folder).write_lineage(folder, "first", [folder / "a.png"], model=None, kept=1)

    FolderOptions(folder=folder, out=out).write_lineage(out, "second", [folder / "a.png"], model={"name": "m"}, kept=1)

    [said] = filters_above([out]).values()
    assert (said["command"], said["counts"], said["model"]) == ("merv filter second", {"kept": 1}, {"name": "m"})
    assert said["options"]["mode"] == "copy"
    assert list(said["inputs"][0]["filters"]) == [str(folder / FILE)]


def test_the_last_words_tell_what_could_not_be_read(tmp_path):
    assert told("done", out=tmp_path, num_unreadable=0) == f"done\nwritten to {tmp_path}\n"
    assert "2 images could not be read" in told("done", out=tmp_path, num_unreadable=2)
