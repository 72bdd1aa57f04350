import pytest

from merv.data.build.folder import OPTIONS, claim
from merv.errors import ConfigError


def test_the_same_options_go_on_in_the_same_folder(tmp_path):
    claim(tmp_path / "a/b", {"seed": 7, "source.root": tmp_path})
    claim(tmp_path / "a/b", {"seed": 7, "source.root": tmp_path})

    assert [path.name for path in (tmp_path / "a/b").iterdir()] == [OPTIONS]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seed": 8, "x": 1}, "holds what was made with other options: seed `7` and not `8`; name another --out"),
        ({"seed": 7}, "x `1` and not absent"),
        ({"seed": 7, "x": 1, "y": 2}, "y absent and not `2`"),
        ({"a": 1, "b": 2, "c": 3}, "and 2 more; name"),
    ],
)
def test_other_options_are_refused_by_name(tmp_path, options, says):
    claim(tmp_path / "a", {"seed": 7, "x": 1})
    (tmp_path / "a/report.json").touch()

    with pytest.raises(ConfigError, match=says):
        claim(tmp_path / "a", options)


def test_a_file_and_a_folder_of_something_else_are_refused(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="file is a file; name another --out"):
        claim(tmp_path / "file", {})
    with pytest.raises(ConfigError, match="is there already and holds no questions of this command"):
        claim(tmp_path, {})


def test_a_folder_in_which_nothing_was_made_may_begin_anew(tmp_path):
    claim(tmp_path / "a", {"seed": 7})
    claim(tmp_path / "a", {"seed": 8})

    assert '"seed": 8' in (tmp_path / "a" / OPTIONS).read_text()


@pytest.mark.parametrize("text", ["{", "[]"])
def test_options_that_cannot_be_read_are_refused(tmp_path, text):
    (tmp_path / OPTIONS).write_text(text)
    (tmp_path / "report.json").touch()

    with pytest.raises(ConfigError, match=r"options\.json .*name another --out"):
        claim(tmp_path, {})
