"""The class lmms-eval loads, against lmms-eval itself where it is installed and a stand-in of its interface."""

import abc
import importlib
import json
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest
from PIL import Image

from merv.errors import CheckpointError, ConfigError
from merv.models.base import ModelConfig
from merv.runs import lmms_eval as adapter

TINY_OPTIONS = {"max_new_tokens": 3, "temperature": 0, "until": ["\n\n"]}


class Lmms(abc.ABC):
    """As `lmms_eval.api.model.lmms` of lmms-eval 0.7: what it sets, what it demands, how it is made."""

    is_simple = True

    def __init__(self):
        self._rank, self._world_size = 0, 1
        self.cache_hook = Hook()
        self.task_dict = {}
        self.name_of_cache = self.pretrained

    @abc.abstractmethod
    def loglikelihood(self, requests): ...

    @abc.abstractmethod
    def generate_until(self, requests): ...

    @abc.abstractmethod
    def generate_until_multi_round(self, requests): ...

    @classmethod
    def create_from_arg_string(cls, arg_string, additional_config=None):
        words = dict(word.split("=", 1) for word in arg_string.split(","))
        return cls(**words, **{name: value for name, value in (additional_config or {}).items() if value is not None})

    @property
    def rank(self):
        return self._rank

    @property
    def world_size(self):
        return self._world_size


class Hook:
    """As `lmms_eval.api.model.CacheHook` without a database."""

    def add_partial(self, attr, req, res):
        pass


@dataclass
class Instance:
    """As `lmms_eval.api.instance.Instance`."""

    request_type: str
    arguments: tuple
    idx: int
    metadata: dict

    @property
    def args(self):
        return self.arguments


@dataclass(frozen=True)
class ModelManifest:
    """As `lmms_eval.models.registry_v2.ModelManifest`."""

    model_id: str
    simple_class_path: str | None = None
    chat_class_path: str | None = None
    aliases: tuple[str, ...] = ()


MODULES = {
    "lmms_eval": {},
    "lmms_eval.api": {},
    "lmms_eval.api.model": {"lmms": Lmms},
    "lmms_eval.api.instance": {"Instance": Instance},
    "lmms_eval.models": {},
    "lmms_eval.models.registry_v2": {"ModelManifest": ModelManifest},
}


@pytest.fixture(params=["stand-in", "lmms-eval"])
def harness(request, monkeypatch):
    """The module `lmms_eval`."""
    if request.param == "lmms-eval":
        return pytest.importorskip("lmms_eval", reason="lmms-eval is not installed")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lmms_eval"]:
        monkeypatch.delitem(sys.modules, name)
    for name, values in MODULES.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    return sys.modules["lmms_eval"]


@pytest.fixture
def without_loading(monkeypatch):
    """The model is a merv-tiny in place of a run; gives what `load` was asked for."""
    asked = []

    def load(path, **options):
        asked.append((path, options))
        return ModelConfig.get("merv-tiny")().build(seed=1)

    monkeypatch.setattr(adapter, "load", load)
    return asked


def make(args="pretrained=runs/x", **config):
    """What `lmms_eval --model merv --model_args <args>` makes."""
    module, _, name = adapter.manifest().simple_class_path.rpartition(".")
    config = {"batch_size": 2, "max_batch_size": None, "device": None, **config}
    return getattr(importlib.import_module(module), name).create_from_arg_string(args, config)


def requests(documents, options=TINY_OPTIONS):
    instance = importlib.import_module("lmms_eval.api.instance").Instance
    return [
        instance(
            "generate_until",
            (f"What is this? {i}", dict(options), lambda doc: doc["shown"], i, "toy", "test"),
            0,
            {"task": "toy", "doc_id": i, "repeats": 1},
        )
        for i in range(len(documents))
    ]


@pytest.mark.usefixtures("harness")
def test_requests_of_a_task_are_answered(without_loading, tmp_path):
    picture = Image.new("RGB", (32, 32), (200, 0, 0))
    picture.save(tmp_path / "a.png")
    documents = [{"shown": [picture] * 4}, {"shown": [str(tmp_path / "a.png")]}, {"shown": []}]
    model = make()
    model.task_dict = {"toy": {"test": documents}}
    kept = []
    model.cache_hook.add_partial = lambda attr, req, res: kept.append((attr, req[0], res))

    texts = model.generate_until(requests(documents))

    assert [type(text) for text in texts] == [str] * 3
    assert without_loading == [("runs/x", {"device": None, "dtype": None})]
    assert kept == [("generate_until", f"What is this? {i}", text) for i, text in enumerate(texts)]
    model.batch_size = 3
    assert model.generate_until(requests(documents)) == texts


@pytest.mark.usefixtures("harness")
def test_the_class_is_one_lmms_eval_accepts(without_loading):
    base = importlib.import_module("lmms_eval.api.model").lmms

    model = make()

    assert isinstance(model, base)
    assert adapter.Merv is type(model)
    assert (adapter.manifest().model_id, model.is_simple, model.rank, model.world_size) == ("merv", True, 0, 1)
    assert str(model.device) == "cpu"
    assert not model.model.training


def test_lmms_evals_registry_finds_the_model():
    pytest.importorskip("lmms_eval", reason="lmms-eval is not installed")
    registry = importlib.import_module("lmms_eval.models.registry_v2").ModelRegistryV2()
    registry.register_manifest(adapter.manifest())

    assert registry.get_model_class("merv") is adapter.Merv


TASK = """\
task: merv_toy
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function toy.shown
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{max_new_tokens: 3, temperature: 0, do_sample: false}}
process_results: !function toy.results
metric_list:
  - {{metric: length, aggregation: mean, higher_is_better: true}}
"""


def test_lmms_evals_evaluator_runs_a_task(without_loading, tmp_path, monkeypatch):
    pytest.importorskip("lmms_eval", reason="lmms-eval is not installed")
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.models import MODEL_REGISTRY_V2
    from lmms_eval.tasks import TaskManager

    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    MODEL_REGISTRY_V2.register_manifest(adapter.manifest())
    Image.new("RGB", (32, 32), (200, 0, 0)).save(tmp_path / "a.png")
    rows = [{"question": f"What is this? {i}", "answer": "A", "path": str(tmp_path / "a.png")} for i in range(3)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "merv_toy.yaml").write_text(TASK.format(rows=tmp_path / "rows.json"))
    (folder / "toy.py").write_text(
        "def shown(doc):\n    return [doc['path']]\n\n\n"
        "def results(doc, results):\n    return {'length': len(results[0]) + 1}\n"
    )

    found = simple_evaluate(
        model="merv",
        model_args="pretrained=runs/x",
        tasks=["merv_toy"],
        batch_size=2,
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        log_samples=True,
    )

    answers = [sample["resps"][0][0] for sample in found["samples"]["merv_toy"]]
    assert len(answers) == 3
    assert found["results"]["merv_toy"]["length,none"] == sum(len(text) + 1 for text in answers) / 3
    assert without_loading[0][0] == "runs/x"


@pytest.mark.usefixtures("harness")
def test_options_reach_the_loader(without_loading):
    model = make("pretrained=merv-full,dtype=bfloat16,llm_path=llama", batch_size="4", device="cpu")

    import torch

    options = {"device": "cpu", "dtype": torch.bfloat16, "llm_path": "llama"}
    assert (without_loading, model.batch_size) == ([("merv-full", options)], 4)


@pytest.mark.usefixtures("harness", "without_loading")
@pytest.mark.parametrize(
    ("args", "config", "message"),
    [
        ("pretrained=x", {"batch_size": "auto"}, "batch_size is auto"),
        ("pretrained=x", {"batch_size": 0}, "batch_size is 0"),
        ("pretrained=x,dtype=float99", {}, "dtype is float99"),
        ("pretrained=x,dtype=nn", {}, "dtype is nn"),
    ],
)
def test_options_that_make_no_sense_are_refused(args, config, message):
    with pytest.raises(ConfigError, match=message):
        make(args, **config)


@pytest.mark.usefixtures("harness")
def test_a_path_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="there is no folder"):
        make(f"pretrained={tmp_path / 'none'}")


@pytest.mark.usefixtures("harness")
def test_a_run_is_loaded(trained_run):
    model = make(f"pretrained={trained_run}")
    documents = [{"shown": None}]
    model.task_dict = {"toy": {"test": documents}}

    assert len(model.generate_until(requests(documents))) == 1


@pytest.mark.usefixtures("harness", "without_loading")
@pytest.mark.parametrize(
    ("method", "message"),
    [("loglikelihood", "compares likelihoods"), ("generate_until_multi_round", "asks in several rounds")],
)
def test_tasks_of_other_kinds_are_refused_by_name(method, message):
    with pytest.raises(ConfigError, match=f"task `toy` {message}"):
        getattr(make(), method)(requests([{}]))


def test_the_adapter_is_imported_without_lmms_eval():
    assert "lmms_eval" not in vars(adapter)
    with pytest.raises(AttributeError, match="no attribute Other"):
        _ = adapter.Other
