"""One file a named model and dataset: the whole config it stands for.  A change of a default shows in the diff.

`make golden` (MERV_WRITE_GOLDEN=1) writes the files anew.
"""

import os
from pathlib import Path

import pytest

from merv.conf.files import dump, load
from merv.conf.parse import parse
from merv.data.datasets import DatasetConfig
from merv.models.base import ModelConfig
from merv.rl import task_dataset  # noqa: F401 - registers its name
from merv.runs.pretrain_config import PretrainConfig

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "configs"
WRITE = os.environ.get("MERV_WRITE_GOLDEN") == "1"


def own_names(family):
    """The names merv itself registers; other tests may have added some."""
    known = {name: family.get(name) for name in family.available()}
    return [name for name, cls in known.items() if getattr(cls, "_preset_module", cls.__module__).startswith("merv.")]


CASES = [
    (kind, name) for kind, family in (("model", ModelConfig), ("dataset", DatasetConfig)) for name in own_names(family)
]


def config_of(kind, name):
    return parse(PretrainConfig, [f"--{kind}.type", name])


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_named_config_is_the_recorded_one(kind, name):
    path = FOLDER / f"{kind}-{name}.yaml"
    text = dump(config_of(kind, name))

    if WRITE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    assert path.is_file(), f"{path} is missing; write it with `make golden`"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_recorded_config_reads_back_equal(kind, name):
    assert load(PretrainConfig, FOLDER / f"{kind}-{name}.yaml") == config_of(kind, name)


def test_no_recorded_config_is_left_over():
    wanted = {f"{kind}-{name}.yaml" for kind, name in CASES}

    if WRITE:
        for path in FOLDER.glob("*.yaml"):
            if path.name not in wanted:
                path.unlink()

    assert {path.name for path in FOLDER.iterdir()} == wanted
