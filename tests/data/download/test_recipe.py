import tomllib

import pytest
import yaml
from docs.reading import ROOT, blocks

from merv.data.datasets import DatasetConfig, VideoLlavaConfig
from merv.data.download import recipe as recipes
from merv.data.download.recipe import available, find_recipe, leaves, one_spelling, read_recipe, recipe_for
from merv.errors import ConfigError

ELSEWHERE = "the videos of DeVE-QA are those of ActivityNet, which lie elsewhere"
OTHERWISE = dict.fromkeys(["deve-qa", "mupa-gqa"], ELSEWHERE)
"""Datasets whose videos a download does not bring to where they are looked for."""


def bring(names, root) -> set[str]:
    """Put what recipes promise below a root, empty; gives the folders among it."""
    folders = set()
    asked = [find_recipe(name) for name in names]
    for recipe in [*asked, *(find_recipe(part) for whole in asked for part in whole.includes)]:
        for path in recipe.tree:
            place = root / recipe.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.mkdir(exist_ok=True) if path.endswith("/") else place.touch()
            folders |= {place} if path.endswith("/") else set()
    return folders


def own_datasets():
    """Names of datasets with files, and the recipe that brings them."""
    for name in DatasetConfig.available():
        if hasattr(DatasetConfig.get(name), "missing") and (recipe := recipe_for(name)):
            yield name, recipe


@pytest.mark.parametrize("name", available())
def test_a_recipe_says_what_where_and_under_which_licence(name):
    recipe = find_recipe(name)

    assert recipe.name == name
    assert recipe.what
    assert recipe.licence
    assert recipe.page.startswith(("https://", "http://"))
    assert set(recipe.needs) | set(recipe.includes) <= set(available())
    assert all(find_recipe(other).sources for other in recipe.includes)


@pytest.mark.parametrize(
    "name",
    ["videollava", "nextqa", "videomind", "mupa", "qvhighlights", "charades_sta", "Qwen2-VL-2B-Instruct", "Aria"],
)
def test_what_merv_trains_on_has_a_recipe(name):
    assert name in available()


@pytest.mark.parametrize(("name", "recipe"), own_datasets())
def test_a_dataset_finds_what_its_recipe_brings(tmp_path, name, recipe):
    if name in OTHERWISE:
        pytest.skip(OTHERWISE[name])
    folders = bring([recipe, *find_recipe(recipe).needs], tmp_path)

    config = DatasetConfig.get(name)(dataset_root_dir=tmp_path)
    members = config.members() if hasattr(config, "members") else [config]
    missing = [path for member in members for path in member.missing()]

    assert [path for path in missing if not folders & set(path.parents)] == []


def test_videollava_comes_to_where_the_dataset_looks(tmp_path):
    bring(["videollava"], tmp_path)
    config = VideoLlavaConfig()

    parts = [*config.align_stage_components, *config.finetune_stage_components]

    assert [part for part in parts if not (tmp_path / part).exists()] == []


def test_models_go_where_bases_are_looked_for():
    kinds = {name: find_recipe(name).kind for name in available()}

    assert kinds["Qwen2-VL-2B-Instruct"] == kinds["VideoMind-7B"] == "model"
    assert all(find_recipe(name).folder == name for name, kind in kinds.items() if kind == "model")


def test_an_unknown_name_is_told_with_near_ones():
    with pytest.raises(ConfigError, match=r"^no recipe `tacoz`; did you mean `tacos` or .*`merv data download` lists"):
        find_recipe("tacoz")


def test_what_a_dataset_is_called_finds_its_recipe_too():
    asked = ["qvhighlights-qa", "hirest_step", "aria-nextqa", "NextQA-MC", "aria", "videomind-planner", "msvd-qa"]

    found = [recipe_for(name) for name in asked]

    assert found == ["qvhighlights_qa", "hirest", "nextqa", "nextqa", "Aria", "planning", None]
    assert find_recipe("hirest-grounding").name == "hirest"


def test_a_name_belongs_to_one_recipe():
    names = [name for known in available() for name in (known, *find_recipe(known).datasets)]

    assert len({one_spelling(name) for name in names}) == len(names)


def test_names_of_datasets_in_recipes_are_registered():
    names = {dataset for known in available() for dataset in find_recipe(known).datasets}

    assert names <= set(DatasetConfig.available())


def write(path, **changes):
    data = {"what": "w", "page": "https://p", "sources": [{"dataset": "a/b"}], **changes}
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None}))
    return path


def test_a_recipe_of_ones_own_is_named_after_its_file(tmp_path):
    assert read_recipe(write(tmp_path / "mine.yaml")).name == "mine"
    assert read_recipe(write(tmp_path / "mine.yaml", name="other")).name == "other"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": [{"dataset": "a/b", "model": "c/d"}]}, "a source has dataset and model of dataset, model, urls"),
        ({"sources": [{}]}, "a source has none of dataset, model, urls"),
        ({"sources": None}, "give it either sources or includes"),
        ({"includes": ["tacos"]}, "give it either sources or includes"),
        ({"sources": [{"urls": {"a": "file:///etc/passwd"}}]}, "`file:///etc/passwd` is no address"),
        ({"folder": "../out"}, r"`\.\./out` leaves the folder"),
        ({"tree": ["/etc/passwd"]}, "`/etc/passwd` leaves the folder"),
        ({"sources": [{"dataset": "a/b", "into": "a/../../b"}]}, r"`a/\.\./\.\./b` leaves the folder"),
        ({"sources": [{"urls": {"../a": "https://a"}}]}, r"`\.\./a` leaves the folder"),
        ({"archives": [{"files": "*", "into": "/tmp"}]}, "`/tmp` leaves the folder"),
        ({"sources": [{"urls": {"a": None}}]}, "`None` is no address"),
        ({"sources": [{"urls": {"": "https://a"}}]}, "https://a has no name"),
        ({"sources": [{"dataset": "https://huggingface.co/a/b"}]}, "huggingface.co/a/b` is no repository of the hub"),
        ({"sources": [{"model": "a/b/c"}]}, "`a/b/c` is no repository of the hub; write owner/name"),
        ({"sources": [{"dataset": "a/b", "sha256": {"a": "A" * 64}}]}, r"`A+` is no SHA-256 of a; it has 64 digits"),
        ({"licens": "mit"}, "licens"),
        ({"what": None}, "what"),
        ({"size": "much"}, "size"),
        ({"kind": "song"}, "kind"),
    ],
)
def test_a_recipe_nobody_can_follow_is_refused(tmp_path, changes, message):
    file = write(tmp_path / "mine.yaml", **changes)

    with pytest.raises(ConfigError, match=message) as caught:
        read_recipe(file)

    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_recipe_is_refused(tmp_path):
    (tmp_path / "text.yaml").write_text("just words")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "broken.yaml").write_text("a: [")
    messages = {"none": "is missing", "text": "holds no fields", "empty": "holds no fields", "broken": "recipe"}

    for name, message in messages.items():
        with pytest.raises(ConfigError, match=message):
            read_recipe(tmp_path / f"{name}.yaml")


@pytest.mark.parametrize("path", ["/a", "../a", "a/../../b", "a/..", "\\a", "..\\a", "C:\\a", "C:a", "a\0b"])
def test_paths_that_lead_out_are_seen(path):
    assert leaves(path)


@pytest.mark.parametrize("path", ["a", "a/b.mp4", "./a", "..a", "a..b", "v_---9Cp.mp4"])
def test_paths_that_stay_inside_are_seen(path):
    assert not leaves(path)


def test_the_recipe_of_the_page_can_be_followed(tmp_path):
    [shown] = [block for block in blocks(ROOT / "docs" / "download.md") if block.language == "yaml"]
    (tmp_path / "cooking.yaml").write_text(shown.text)

    recipe = read_recipe(tmp_path / "cooking.yaml")

    assert (recipe.name, recipe.folder, len(recipe.sources)) == ("cooking", "cooking", 2)


def test_recipes_are_shipped_with_the_package():
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["merv"]

    package = ROOT / "merv"
    assert {path for pattern in shipped for path in package.glob(pattern)} >= set(recipes.FOLDER.glob("*.yaml"))
