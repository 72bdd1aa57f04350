import pytest

from merv.data.datasets import DatasetConfig
from merv.data.download.names import recipe_of, without_recipe
from merv.data.download.recipe import recipe_for
from merv.errors import ConfigError

WITHOUT = {
    "activitynet-qa": "fetch its files from https://github.com/MILVLG/activitynet-qa",
    "msrvtt-qa": "fetch its files from https://github.com/PKU-YuanGroup/Video-LLaVA",
    "msvd-qa": "fetch its files from https://github.com/PKU-YuanGroup/Video-LLaVA",
    "tgif-qa": "fetch its files from https://github.com/PKU-YuanGroup/Video-LLaVA",
    "perception-test": "fetch its files from https://github.com/google-deepmind/perception_test",
    "captioned-images": "it reads what its own options name",
    "messages": "it reads what its own options name",
    "mixture": "it reads what its own options name",
    "webdataset": "it reads what its own options name",
    "task": "it reads what its own options name",
    **dict.fromkeys(
        ["synthetic", *(f"synthetic-{role}" for role in ("answerer", "gqa", "grounder", "planner", "verifier"))],
        "its clips are drawn on this machine",
    ),
}
"""Datasets no recipe brings, and what is said of them."""


def own():
    return [name for name in DatasetConfig.available() if DatasetConfig.get(name).__module__.startswith("merv.")]


@pytest.mark.parametrize("name", own())
def test_every_dataset_has_a_recipe_or_a_reason(name):
    if name not in WITHOUT:
        assert recipe_of(name).name == recipe_for(name)
        return
    with pytest.raises(ConfigError) as refused:
        recipe_of(name)

    assert f"`{name}`" in str(refused.value)
    assert WITHOUT[name] in str(refused.value)


def test_the_reason_is_found_whatever_the_spelling():
    assert "dataset `perception-test`; " in without_recipe("Perception_Test")
    assert without_recipe("nobody-knows") is None


def test_a_name_that_means_nothing_is_told_with_near_datasets():
    with pytest.raises(ConfigError, match=r"no recipe `nextqa-mcc`; did you mean `nextqa-mc` or"):
        recipe_of("nextqa-mcc")
