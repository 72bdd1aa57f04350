"""What README and docs name is there: modules, files, links, options, metrics, lines of errors."""

import ast
import dataclasses
import importlib
import json
import re
from functools import cache

import pytest
import torch

from docs.reading import PAGES, ROOT, blocks, names, prose
from merv.backbones.video.base import VideoBackboneConfig
from merv.conf.names import leaves
from merv.conf.tree import start
from merv.data.datasets import DatasetConfig
from merv.data.ledger import BadRow
from merv.evaluation.task import TaskConfig
from merv.models.base import ModelConfig
from merv.models.hf_vlm.tiny import DRAWN
from merv.rl.reward_config import RewardConfig
from merv.runs.ask import AskConfig
from merv.runs.data_build_gqa import BuildGqaConfig
from merv.runs.data_check import DataCheckConfig
from merv.runs.data_convert import DataConvertConfig
from merv.runs.data_download import DataDownloadConfig
from merv.runs.data_show import DataShowConfig
from merv.runs.demo import DemoConfig
from merv.runs.evaluate import EvalConfig
from merv.runs.export_consolidate import ExportConsolidateConfig
from merv.runs.export_megatron import ExportMegatronConfig
from merv.runs.export_merge import ExportMergeConfig
from merv.runs.export_roles import ExportRolesConfig
from merv.runs.filter_best_view import BestViewConfig
from merv.runs.filter_classify import FilterClassifyConfig
from merv.runs.filter_clip import ClipQualityConfig
from merv.runs.filter_duplicates import NearDuplicatesConfig
from merv.runs.filter_train import FilterTrainConfig
from merv.runs.grpo_config import GrpoRunConfig
from merv.runs.plot import PlotConfig
from merv.runs.pretrain_config import PretrainConfig
from merv.training.metrics import StepMetrics
from merv.training.strategies import StrategyConfig

ANYWHERE = {"source", "help", "config_path", "plugins", "task.type", "model.type", "dataset.type", "dataset.task.type"}
COMMANDS = (PretrainConfig, GrpoRunConfig, EvalConfig, AskConfig, DemoConfig, PlotConfig)
COMMANDS += (BuildGqaConfig,)
COMMANDS += (ExportRolesConfig, ExportMergeConfig, ExportConsolidateConfig, ExportMegatronConfig)
COMMANDS += (FilterTrainConfig, FilterClassifyConfig, ClipQualityConfig, BestViewConfig, NearDuplicatesConfig)
COMMANDS += (DataDownloadConfig, DataConvertConfig, DataCheckConfig, DataShowConfig)
FREE = r"(model_options|reward_options\.[\w-]+)\.\w+"
"""Options whose last name is not a command's to know."""
FOLDERS = ("merv/", "docs/", "tests/", "scripts/", "examples/", "benchmarks/", "data/download", ".ci/")
FEWEST_LETTERS = 12
"""Fixed letters a template must have to say anything about a line."""


def parametrised(found):
    """One test a name, with the page it stands on."""
    pairs = sorted({(str(page.relative_to(ROOT)), name) for page in PAGES for name in found(page)})
    assert pairs
    return pytest.mark.parametrize(("page", "name"), pairs)


def modules(page):
    return [name for name in names(page) if re.fullmatch(r"merv(\.\w+)+(:\w+(\.\w+)*)?", name)]


def files(page):
    return [
        name
        for name in names(page)
        if name.startswith(FOLDERS) and "<" not in name and "download/synthetic" not in name and name not in DRAWN
    ]


def links(page):
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if not link.startswith("https://")]


def options(page):
    return [option for name in names(page) for option in re.findall(r"^--([\w.-]+)", name)]


@parametrised(modules)
def test_a_named_module_or_class_is_there(page, name):
    module, _, attributes = name.partition(":")
    if module in ("merv.plugins", "merv.load", "merv.available"):  # an entry-point group, and functions of merv itself
        assert module == "merv.plugins" or hasattr(importlib.import_module("merv"), module.removeprefix("merv."))
        return
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError:  # the last name is a function of the module
        above, _, last = module.rpartition(".")
        found = getattr(importlib.import_module(above), last)
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute)


@parametrised(files)
def test_a_named_file_is_there(page, name):
    assert (ROOT / name).exists()


@parametrised(links)
def test_a_link_leads_to_a_file(page, name):
    assert ((ROOT / page).parent / name).is_file()


@cache
def known_options():
    """Dotted names of every command, for every registered model and dataset."""
    found = set(ANYWHERE)
    for config in COMMANDS:
        tree = start(config)
        families = {"model": ModelConfig, "dataset": DatasetConfig, "task": TaskConfig}
        families |= {"source": DatasetConfig} if config is BuildGqaConfig else {}
        tree |= {"source": {}} if config is BuildGqaConfig else {}
        for key, family in families.items():
            for name in family.available() if isinstance(tree.get(key), dict) else ():
                chosen = {**tree, key: {"type": name, **start(family.get(name))}}
                found |= {leaf.name for leaf in leaves(config, chosen)}
        found |= {leaf.name for leaf in leaves(config, tree)}
    return found


@parametrised(options)
def test_a_named_option_is_there(page, name):
    flat = re.sub(r"\.(align|full_align|finetune|full_finetune)_", r".\1.", name)
    flat = re.sub(r"\.(\w+)_path$", r".video_backbone_paths.\1", flat) if flat != "model.llm_path" else flat
    entry = re.fullmatch(r"(?:model\.)?(?:backbone_options|video_backbone_paths)\.([\w-]*).*", flat)
    encoders = VideoBackboneConfig.available()
    if re.fullmatch(FREE, flat) or flat.replace("-", "_") in known_options():
        return
    assert flat in known_options() or (entry and any(known.startswith(entry[1]) for known in encoders)), flat


@pytest.mark.parametrize("family", [StrategyConfig, DatasetConfig, TaskConfig, RewardConfig])
def test_every_registered_name_is_spoken_of(family):
    own = [name for name in family.available() if family.get(name).__module__.startswith("merv.")]
    told = {name for page in PAGES for name in names(page)}

    assert set(own) <= told


def test_the_metrics_a_step_writes_are_the_ones_explained():
    [table] = re.findall(r"^\| key \|.*?\n\n", (ROOT / "docs" / "train.md").read_text(), re.DOTALL | re.MULTILINE)
    explained = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    metrics = StepMetrics(torch.device("cpu"))
    metrics.count(samples=1, text_tokens=1, visual_tokens=1)
    written = set(metrics.finish(loss=1.0, lr=0.1, grad_norm=1.0))

    assert explained == {*written, "step", "mfu"}


def test_a_bad_sample_looks_as_shown():
    [shown] = [block for block in blocks(ROOT / "docs" / "faults.md") if block.language == "json"]

    assert list(json.loads(shown.text)) == [field.name for field in dataclasses.fields(BadRow)]


@cache
def templates():
    """Texts of merv's source as patterns: a value in an f-string or a %s may be anything."""
    found = []
    for path in (ROOT / "merv").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = [node] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
            parts = node.values if isinstance(node, ast.JoinedStr) else parts
            fixed = [part.value if isinstance(part, ast.Constant) else "%s" for part in parts]
            text = re.split(r"%[-\d.]*[sdfgr]|%%", "".join(map(str, fixed)))
            if "\n" not in "".join(text) and sum(map(len, text)) >= FEWEST_LETTERS:
                found.append(re.compile(".*".join(map(re.escape, text))))
    return found


def told_lines():
    """Lines of faults.md that no command above them gives."""
    found, before = [], ""
    for block in blocks(ROOT / "docs" / "faults.md"):
        if block.language == "text" and before != "sh":
            found += block.text.splitlines()
        before = block.language
    return found


@pytest.mark.parametrize("line", told_lines())
def test_a_line_of_the_page_of_faults_is_one_the_code_can_say(line):
    assert any(template.fullmatch(line) for template in templates())
