import json

import pytest

from merv.errors import ConfigError
from merv.filters.lineage import FILE, filters_above, hash_of_list, write_lineage


def written(out, folder, paths):
    out.mkdir(parents=True, exist_ok=True)
    write_lineage(
        out,
        command="merv filter classify",
        options={"model": folder / "quality", "seed": 7},
        sources={folder: paths},
        model={"sha256": "abc"},
        counts={"low_quality": 1},
    )
    return json.loads((out / FILE).read_text())


def test_a_lineage_says_what_was_read_with_what_and_what_became_of_it(tmp_path):
    found = written(tmp_path / "out", tmp_path / "in", [tmp_path / "in" / "a.png"])

    assert found["command"] == "merv filter classify"
    assert found["options"] == {"model": str(tmp_path / "in" / "quality"), "seed": 7}
    assert found["model"] == {"sha256": "abc"}
    assert found["counts"] == {"low_quality": 1}
    assert {"merv", "torch", "pillow"} <= set(found["versions"])
    [source] = found["inputs"]
    assert source["folder"] == str(tmp_path / "in")
    assert source["num_images"] == 1
    assert source["filters"] == {}


def test_a_filter_that_reads_what_another_one_left_holds_its_lineage(tmp_path):
    first = written(tmp_path / "sorted", tmp_path / "in", [])
    second = written(tmp_path / "out", tmp_path / "sorted" / "1", [])

    assert second["inputs"][0]["filters"] == {str(tmp_path / "sorted" / FILE): first}


def test_the_hash_of_a_list_knows_paths_below_the_folder_alone(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"

    assert hash_of_list([one / "a.png"], one) == hash_of_list([other / "a.png"], other)
    assert hash_of_list([one / "a.png"], one) != hash_of_list([one / "b.png"], one)


def test_the_nearest_lineage_of_files_and_folders_is_found_once(tmp_path):
    written(tmp_path / "a", tmp_path, [])
    written(tmp_path / "a" / "b", tmp_path, [])

    found = filters_above([tmp_path / "a" / "rows.json", tmp_path / "a" / "x" / "y", tmp_path / "a" / "b", tmp_path])

    assert sorted(found) == sorted([str(tmp_path / "a" / FILE), str(tmp_path / "a" / "b" / FILE)])


def test_a_lineage_that_is_no_json_is_one_line(tmp_path):
    (tmp_path / FILE).write_text("{")

    with pytest.raises(ConfigError, match=r"filter_lineage.json is no JSON: .*mend it, or move it away"):
        filters_above([tmp_path])
