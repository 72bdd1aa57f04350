"""A folder in which the commands of the pages run one after the other, as a reader would type them."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
import torch

from docs.reading import ROOT
from merv.data.datasets import SyntheticConfig
from merv.registry import Registry

EXAMPLE = ROOT / "examples" / "merv_example_encoder"
SIZES = {"num_train": 40, "num_eval": 8}
"""Rows to draw in place of the default numbers."""


@contextmanager
def undone_registrations(*folders):
    """Names that a page registers are forgotten in the end, with the modules of `folders` that registered them."""
    families = [family for family in Registry.__subclasses__() if "_choice_registry" in family.__dict__]
    before = {family: dict(family._choice_registry) for family in families}
    yield
    for family, known in before.items():
        family._choice_registry.clear()
        family._choice_registry.update(known)
    own = [name for name, module in sys.modules.items() if _stands_in(module, folders)]
    for name in own:
        del sys.modules[name]


def _stands_in(module, folders):
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).parent in folders


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """Empty but for a small drawing of the synthetic dataset; the examples of the checkout can be reached."""
    folder = tmp_path_factory.mktemp("pages")
    SyntheticConfig(dataset_root_dir=folder / "data", **SIZES).make()
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "scripts").symlink_to(ROOT / "scripts")
    return folder


@pytest.fixture
def at_work(workplace, monkeypatch):
    """The process stands in the workplace, computes on the CPU and finds the modules of the pages."""
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(str(workplace))
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setitem(os.environ, "COLUMNS", "110")
    with (
        undone_registrations(workplace, EXAMPLE),
        mock.patch.object(torch.accelerator, "current_accelerator", return_value=None),
    ):
        yield workplace
