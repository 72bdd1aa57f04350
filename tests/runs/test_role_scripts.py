"""The published scripts of role models: what each would run, and one of every folder really run on the tiny base."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import rows
from safetensors.torch import load_file

from merv.conf.parse import parse
from merv.runs.pretrain_config import PretrainConfig

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    path for folder in ("pretrain", "finetune", "train") for path in (ROOT / "scripts" / folder).glob("*")
)
EXPECTED = {
    **{
        f"pretrain_{r}_{s}": (f"videomind-{r}-{s}", f"videomind-{r}")
        for r in ("grounder", "planner")
        for s in ("2b", "7b")
    },
    **{f"pretrain_verifier_{s}": (f"videomind-verifier-{s}", f"videomind-verifier-{s}") for s in ("2b", "7b")},
    **{f"finetune_qvhighlights_{s}": (f"videomind-grounder-{s}", "qvhighlights") for s in ("2b", "7b")},
    **{f"pretrain_gqa_{s}": (f"mupa-gqa-{s}", "mupa-gqa") for s in ("2b", "7b")},
}
"""Model and data of each."""
SMALL = {
    "tiny.hidden_size": 32,
    "tiny.intermediate_size": 48,
    "tiny.num_heads": 2,
    "tiny.vision_dim": 16,
    "tiny.vision_depth": 1,
    "head.dims": 16,
    "head.num_heads": 2,
    "max_frames": 4,
    "max_pixels": 784,
    "finetune.lora.rank": 4,
    "finetune.max_steps": 1,
    "finetune.global_batch_size": 2,
    "finetune.per_device_batch_size": 2,
}


def bash(script, *words, cwd, path=None, **environment):
    """Run a script; gives its output."""
    found = os.pathsep.join(map(str, [path or Path(sys.executable).parent, os.environ["PATH"]]))
    said = {**os.environ, "PATH": found, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
    done = subprocess.run(
        ["bash", str(script), *words], cwd=cwd, env=said, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture
def told(tmp_path):
    """Folder with a torchrun that only tells the words it was called with, a line each."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "torchrun").write_text("#!/usr/bin/env bash\nprintf '%s\\n' \"$@\"\n")
    (tmp_path / "bin" / "torchrun").chmod(0o755)
    return tmp_path / "bin"


def test_these_are_all_the_scripts():
    assert sorted(path.stem for path in SCRIPTS) == sorted(EXPECTED)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_trains_its_model_on_its_data(script, told, tmp_path):
    subprocess.run(["bash", "-n", str(script)], check=True)

    launcher, program, *words = _split(bash(script, cwd=tmp_path, path=told))

    assert launcher == ["--standalone", "--nproc-per-node", "8"]
    assert Path(program) == ROOT / "scripts" / "pretrain_video.py"
    config = parse(PretrainConfig, words)
    assert (config.model.type_name, config.dataset.type_name) == EXPECTED[script.stem]
    assert config.stage == "finetune"
    assert config.stage_config.accumulation_steps(8) * 8 == 32
    tuned = script.stem.startswith("finetune_")
    size = script.stem.rpartition("_")[2].upper()
    assert config.pretrained_checkpoint == (Path(f"yeliudev/VideoMind-{size}") if tuned else None)
    assert config.stage_config.epochs == (5 if tuned else 1)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_scripts_options_come_before_those_it_is_given(script, told, tmp_path):
    mine = [
        "--model.type",
        "role-tiny-grounder",
        "--model.finetune.epochs",
        "2",
        "--pretrained_checkpoint",
        "runs/a b",
    ]

    launcher, _, *words = _split(bash(script, *mine, cwd=tmp_path, path=told, NPROC_PER_NODE="3"))

    config = parse(PretrainConfig, words)
    assert launcher[-1] == "3"
    assert (config.model.type_name, config.stage_config.epochs) == ("role-tiny-grounder", 2)
    assert config.pretrained_checkpoint == Path("runs/a b")


def _split(output):
    """What torchrun was told: its own options, the program, the program's words."""
    words = output.splitlines()
    program = next(number for number, word in enumerate(words) if word.endswith(".py"))
    return [words[:program], words[program], *words[program + 1 :]]


@pytest.mark.dist
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_script_of_every_folder_trains_and_the_second_goes_on_from_the_first(tmp_path):
    def train(script, role, *more):
        data = {"dataset.type": f"synthetic-{role}", "dataset.num_clips": 3, "dataset.num_eval": 1}
        said = {"model.type": f"role-tiny-{role}", **data, **{f"model.{name}": value for name, value in SMALL.items()}}
        said |= {"run_id": script.split("/")[0], "num_workers": 0, "trackers": "[jsonl]"}
        words = [word for name, value in said.items() for word in (f"--{name}", str(value))]
        return bash(ROOT / "scripts" / script, *words, *more, cwd=tmp_path, NPROC_PER_NODE="1")

    train("pretrain/pretrain_grounder_2b.sh", "grounder")
    start = ["--pretrained_checkpoint", "runs/pretrain", "--model.finetune.learning_rate", "0"]
    log = train("finetune/finetune_qvhighlights_2b.sh", "grounder", *start)
    train("train/pretrain_gqa_2b.sh", "gqa")

    runs = {name: tmp_path / "runs" / name for name in ("pretrain", "finetune", "train")}
    assert [row["step"] for run in runs.values() for row in rows(run)] == [1, 1, 1]
    assert "starting from runs/pretrain/model.safetensors (heads, llm)" in log
    first, second = (load_file(runs[name] / "model.safetensors") for name in ("pretrain", "finetune"))
    assert first.keys() == second.keys()
    assert all((first[name] == tensor).all() for name, tensor in second.items())
