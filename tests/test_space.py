from collections import namedtuple

import pytest

from merv import space
from merv.errors import ConfigError
from merv.space import check_apart, check_space, replaced, write

Usage = namedtuple("Usage", "total used free")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_too_little_disk_is_told_with_both_numbers(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: asked.append(path) or Usage(10, 0, 2_500_000_000))

    check_space(tmp_path / "a" / "b", 2_500_000_000)
    with pytest.raises(ConfigError, match=r"a/b needs 2\.60 GB and .* has 2\.50 GB free; name an --out on a larger"):
        check_space(tmp_path / "a" / "b", 2_600_000_000)

    assert asked == [tmp_path, tmp_path]


def test_a_folder_appears_at_the_end(tmp_path):
    out = tmp_path / "deep" / "out"

    with replaced(out, overwrite=False) as partial:
        (partial / "file").write_text("new")
        assert not out.exists()

    assert (out / "file").read_text() == "new"
    assert names(out.parent) == ["out"]


def test_a_failure_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "file").write_text("old")

    def fail_half_way():
        with replaced(out, overwrite=True) as partial:
            (partial / "file").write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()

    assert (out / "file").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_overwrite_replaces_the_whole_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")

    with replaced(out, overwrite=True) as partial:
        (partial / "new").write_text("new")

    assert names(out) == ["new"]
    assert names(tmp_path) == ["out"]


def test_a_folder_that_is_there_needs_overwrite(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("old")

    with (
        pytest.raises(ConfigError, match="out is there already; name another --out, or add --overwrite"),
        replaced(tmp_path / "out", overwrite=False),
    ):
        pass


def test_an_empty_folder_needs_no_overwrite_and_a_file_is_refused_with_it(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")

    with replaced(tmp_path / "empty", overwrite=False) as partial:
        (partial / "new").write_text("new")
    with pytest.raises(ConfigError, match="is a file; name another --out"), replaced(tmp_path / "file", True):
        pass

    assert names(tmp_path / "empty") == ["new"]


def test_what_a_killed_process_left_does_not_get_in(tmp_path):
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "stale").write_text("stale")

    with replaced(tmp_path / "out", overwrite=False) as partial:
        (partial / "new").write_text("new")

    assert names(tmp_path / "out") == ["new"]


def test_a_folder_is_not_replaced_by_what_is_made_of_it(tmp_path):
    source = tmp_path / "runs" / "a"
    source.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "runs")

    for out in (source, tmp_path / "runs", tmp_path / "link"):
        with pytest.raises(ConfigError, match=r"holds .*runs/a, of which it would be made; name another --out"):
            check_apart(out, source)
    check_apart(source / "merged", source, tmp_path / "not-there")
    check_apart(tmp_path / "runs" / "b", source)


def test_a_file_is_replaced_as_a_whole_or_stays_as_it_was(tmp_path):
    path = tmp_path / "rows.jsonl"
    write(path, "first \ud800")

    with pytest.raises(TypeError):
        write(path, 5)

    assert path.read_text() == "first \\ud800"
    assert list(tmp_path.iterdir()) == [path]
