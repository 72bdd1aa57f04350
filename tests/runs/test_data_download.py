import re

import pytest
import yaml
from backbones.hub_server import running_hub

from merv.data.download import transfer
from merv.data.download.recipe import find_recipe
from merv.errors import ConfigError
from merv.runs.cli import main
from merv.runs.data_download import DataDownloadConfig, named

REPO = "someone/sets"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setattr(transfer, "WAIT_S", 0.0)
    monkeypatch.chdir(tmp_path)
    with running_hub(monkeypatch, tmp_path / "cache") as hub:
        hub.repos[REPO] = {"list.json": b"[]"}
        yield hub


@pytest.fixture
def own(tmp_path):
    """A recipe of one's own."""
    file = tmp_path / "mine.yaml"
    data = {
        "what": "w",
        "page": "https://page",
        "folder": "mine",
        "sources": [{"dataset": REPO}],
        "tree": ["list.json"],
    }
    file.write_text(yaml.safe_dump(data))
    return str(file)


def command(*words):
    return main(["data", "download", *words])


def test_without_a_name_all_are_listed_with_sizes_and_licences(capsys):
    assert command() == 0

    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert re.search(r"24\.25 GB +mit for lists", lines["nextqa"])
    assert re.search(r" \? +unknown", lines["tacos_qa"])
    assert re.search(r"1\.49 GB +bsd-3-clause \[1\] ", lines["tacos"])
    assert lines["[1]"] == "[1] bsd-3-clause as VideoMind states it; videos and lists under their owners' terms"
    assert "12 recipes" in lines["mupa"]


def test_a_recipe_of_ones_own_is_fetched_and_checked(hub, own, tmp_path, capsys):
    assert command("--recipe", own, "--root", "here") == 0
    assert command("--verify", "--recipe", own, "--root", "here") == 0

    assert (tmp_path / "here" / "mine" / "list.json").read_bytes() == b"[]"
    assert "mine: 1 files in here/mine are as they were fetched" in capsys.readouterr().out


def test_files_that_changed_are_told(hub, own, tmp_path, capsys):
    command("--recipe", own)
    (tmp_path / "data" / "mine" / "list.json").write_text("{}")

    assert command("--recipe", own, "--verify") == 2

    line = capsys.readouterr().err
    assert line.startswith(
        "merv data download: error: data/mine: 1 changed (list.json) of 1 files in SHA256SUMS; delete"
    )
    assert line.endswith(f"then: merv data download --recipe {own}\n")


def test_a_mistake_is_one_line_and_status_2(hub, own, capsys):
    hub.refusals[REPO] = "broken"

    assert command("--recipe", own) == 2
    assert command("nowhere") == 2
    assert command("tacos", "--recipe", own) == 2
    assert command("tacos", "--workers", "0") == 2

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("merv data download: error: ") for line in lines)
    assert "workers is 0; it has to be from 1 to 64" in lines[3]


def test_ctrl_c_says_what_to_type(hub, own, capsys, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(transfer.Transfer, "run", interrupted)

    assert command("--recipe", own, "--root", "with space") == 2

    line = capsys.readouterr().err
    assert line.endswith(f"what came is kept, to go on: merv data download --recipe {own} --root 'with space'\n")


@pytest.mark.parametrize(
    "words",
    [
        ["tacos", "didemo", "--root", "r", "--dry_run"],
        ["--root", "r", "--dry-run", "tacos", "didemo"],
        ["--dry_run", "tacos,didemo", "--root=r"],
        ["tacos", "--dry_run=true", "didemo", "--root", "r"],
    ],
)
def test_names_may_stand_anywhere(words):
    from merv.conf.parse import parse

    config = parse(DataDownloadConfig, named(["download", *words]))

    assert (config.names, str(config.root), config.dry_run) == (["tacos", "didemo"], "r", True)


def test_a_name_for_several_recipes_stands_for_each_once():
    config = DataDownloadConfig(names=["tacos", "videomind", "mupa"])

    names = [recipe.name for recipe in config.recipes()]

    assert len(names) == len(set(names))
    assert {"tacos", "nextqa", "deve_qa"} <= set(names)
    assert "videomind" not in names


def test_a_recipe_of_ones_own_may_stand_for_one_that_stands_for_others(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"what": "w", "page": "https://page", "includes": ["mupa", "nextqa"]}))

    names = [recipe.name for recipe in DataDownloadConfig(recipe=file).recipes()]

    assert names == [*find_recipe("mupa").includes, "nextqa"]


def test_names_of_datasets_do(capsys):
    names = [recipe.name for recipe in DataDownloadConfig(names=["tacos-qa", "hirest_step", "hirest"]).recipes()]

    assert names == ["tacos_qa", "hirest"]
    assert command("synthetic") == 2
    assert "`synthetic` is not downloaded: its clips are drawn" in capsys.readouterr().err


def test_datasets_and_bases_have_a_place_each():
    config = DataDownloadConfig()

    assert str(config.root_of(find_recipe("tacos"))) == "data"
    assert str(config.root_of(find_recipe("Aria"))) == "model_zoo"


def test_names_and_a_recipe_are_not_given_together(tmp_path):
    with pytest.raises(ConfigError, match="give one of them"):
        DataDownloadConfig(names=["tacos"], recipe=tmp_path / "mine.yaml")
