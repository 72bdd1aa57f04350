"""Where the files of a published base are: a folder somebody names, model_zoo, the hub's cache, or the hub."""

from functools import partial
from pathlib import Path

from merv.backbones.hub import HubSource, missing
from merv.backbones.llm import files

ZOO = Path("model_zoo")
"""Folder of base models in VideoMind's and MUPA's instructions: `model_zoo/Qwen2-VL-2B-Instruct`."""
OPTION = "--model.path DIR"


def folder_of(repo: str, path: Path | None, *, weights: bool = True, option: str = OPTION) -> Path:
    """The folder with a base's files; fetched from the hub if it is not on this disk.

    Args:
        repo: the hub's name of the base.
        path: a local folder; None looks into model_zoo and then the hub's cache.
        weights: whether weights are needed beside config and tokenizer.
        option: that names the folder, for the message.

    Raises:
        ConfigError: a file is not to be had; the message says how to get it.
    """
    local = partial(files.local_folder, weights=weights, what=f"base `{repo}`", option=option)
    if path is not None:
        return local(path)
    zoo = ZOO / repo.rpartition("/")[2]
    if zoo.is_dir():
        return local(zoo)
    return files.hub_folder(HubSource(repo), weights=weights, what=f"base `{repo}`", option=option)


def missing_line(repo: str, path: Path | None) -> str | None:
    """The line about a base that is not on this disk; None when it is.  Fetches nothing."""
    zoo = ZOO / repo.rpartition("/")[2]
    here = path or (zoo if zoo.is_dir() else files.cached_folder(HubSource(repo)))
    if here is None:
        return missing(HubSource(repo), "", what=f"base `{repo}`", option=OPTION)
    lacking = files.first_lacking(here, weights=True) if here.is_dir() else "everything: it does not exist"
    return None if lacking is None else f"base `{repo}`: {here} lacks {lacking}; set {OPTION}"
