import importlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import merv
from merv.backbones.video.base import VideoBackboneConfig
from merv.conf.parse import run_main
from merv.runs.pretrain import pretrain
from merv.runs.pretrain_config import PretrainConfig
from merv.testing import check_video_backbone

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "examples" / "merv_example_encoder"
NAME, MODULE = "example-encoder", "merv_example_encoder"
CHOSEN = ["--model.type", "merv-tiny", "--model.video_backbone_ids", f"['{NAME}','tiny-motion']"]
CHOSEN += ["--model.num_frames", "[8,8]"]
TWO_STEPS = ["--stage", "align", "--dataset.type", "synthetic", "--dataset.num_train", "8", "--dataset.num_eval", "4"]
TWO_STEPS += ["--model.align.global_batch_size", "4", "--model.align.per_device_batch_size", "4"]
TWO_STEPS += ["--model.align.max_steps", "2", "--num_workers", "0", "--trackers", "[jsonl]"]
BUILD_WHEEL = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The example as `pip install --no-deps --no-build-isolation --target site` leaves it, without pip or network."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    command = [sys.executable, "-c", BUILD_WHEEL, str(folder)]
    built = subprocess.run(command, cwd=folder / "source", capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(folder / built.stdout.split()[-1]) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def forget():
    sys.modules.pop(MODULE, None)
    VideoBackboneConfig._choice_registry.pop(NAME, None)


@pytest.fixture
def importable(monkeypatch):
    """The example can be imported, but is not installed; afterwards this process has never seen it."""
    monkeypatch.syspath_prepend(SOURCE)
    yield
    forget()


def losses(run_dir):
    return [json.loads(line)["loss"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_python_of_the_example_has_at_most_30_lines():
    assert sum(len(path.read_text().splitlines()) for path in SOURCE.glob("*.py")) <= 30


@pytest.mark.dist
def test_installed_it_is_chosen_on_the_command_line_and_trains_under_fsdp(site, tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "pretrain_video.py"), *CHOSEN, *TWO_STEPS, "--run_id", "fsdp"]
    command += ["--model.align.train_strategy", "fsdp-full-shard"]
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)

    assert done.returncode == 0, done.stderr
    assert len(losses(tmp_path / "runs" / "fsdp")) == 2
    assert NAME in (tmp_path / "runs" / "fsdp" / "config.yaml").read_text()


@pytest.mark.usefixtures("importable")
def test_with_plugins_it_need_only_be_importable_and_trains_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [
        "--plugins",
        MODULE,
        *CHOSEN,
        *TWO_STEPS,
        "--run_id",
        "single",
        "--model.align.train_strategy",
        "single",
    ]

    status = run_main(pretrain, PretrainConfig, options)

    assert status == 0
    assert len(losses(tmp_path / "runs" / "single")) == 2
    forget()
    model = merv.load("runs/single")  # the run's config names the plugin
    assert [type(encoder).__name__ for encoder in model.video_backbones] == ["ExampleEncoder", "TinyVideoBackbone"]


def test_without_it_the_name_is_refused_with_near_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    status = run_main(pretrain, PretrainConfig, [*CHOSEN, *TWO_STEPS, "--model.align.train_strategy", "single"])

    assert status == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"unknown video backbone `{NAME}`" in error
    assert "are registered, `merv list` shows them" in error


@pytest.mark.usefixtures("importable")
def test_it_fulfils_the_contract():
    importlib.import_module(MODULE)

    check_video_backbone(NAME)
