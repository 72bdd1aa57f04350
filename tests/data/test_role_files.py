from pathlib import Path

from merv.data.role_files import brought_by, missing_line, tree


def test_a_tree_has_a_branch_for_each_file_below_the_shared_folder():
    paths = [Path("data/b/train.json"), Path("data/a/durations.json"), Path("data/a/train.json")]

    assert tree([*paths, paths[0]]).splitlines() == [
        "data",
        "├── a",
        "│   ├── durations.json",
        "│   └── train.json",
        "└── b",
        "    └── train.json",
    ]


def test_one_file_is_missing_and_several_are():
    assert missing_line([Path("a")]) == "a is missing"
    assert missing_line([Path("a"), Path("b")]) == "a, b are missing"


def test_a_set_with_a_recipe_says_how_to_get_it():
    assert brought_by("hirest_step") == " (`merv data download hirest` brings it)"
    assert brought_by("msvd-qa") == brought_by("nobody's") == ""
