"""The tour with numbers too small to learn from: everything it promises stands at its end."""

import json
import shlex

import pytest
from helpers import rows

from merv.runs import demo
from merv.runs.cli import main
from merv.runs.demo import DemoConfig, train_stage
from merv.runs.folder import hash_of_file

NUMBERS = {"num_train": 48, "num_eval": 8, "num_processes": 1, "align_steps": 1, "finetune_steps": 2}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.dist
@pytest.mark.slow
def test_the_tour_ends_with_a_table_a_curve_and_a_question_to_ask(tmp_path, capsys):
    assert main(["demo", *(f"--{name}={value}" for name, value in NUMBERS.items())]) == 0

    lines = capsys.readouterr().out.splitlines()
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert table[0] == ["shown", "all", "colour", "direction", "order", "shape"]
    assert [row[0] for row in table[2:]] == ["the clip", "one frame of it", "nothing", "chance"]
    assert all(cell.endswith(" %") for row in table[2:] for cell in row[1:])
    run = tmp_path / "runs" / "demo-full-finetune"
    assert (run / "loss.png").is_file()
    assert [row["step"] for row in rows(run)] == [1, 2]
    assert len(rows(tmp_path / "runs" / "demo-align")) == 1
    card = json.loads((run / "eval" / "synthetic-mcq" / "card.json").read_text())
    assert card["model"] | {"path": ""} == {"path": "", "weights_sha256": hash_of_file(run / "model.safetensors")}
    [question] = [line.partition("merv ")[2] for line in lines if line.startswith("ask it")]
    assert main([*shlex.split(question), "--max_new_tokens", "1"]) == 0


def test_a_stage_that_fails_is_one_line_with_its_command(monkeypatch, capsys):
    commands = []

    class Failed:
        returncode = 1

    def run(command, **options):
        commands.append(command)
        return Failed

    monkeypatch.setattr(demo.subprocess, "run", run)

    assert main(["demo", "--num_train", "4", "--num_eval", "1"]) == 2

    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("merv demo: error: stage align failed; to see it alone: torchrun ... --run_id=demo-align ")
    assert len(commands) == 1


def test_a_stage_runs_under_torchrun_with_as_many_threads_as_there_is_room_for(monkeypatch):
    seen = {}

    class Done:
        returncode = 0

    def run(command, env, check):
        seen.update(command=command, threads=env["OMP_NUM_THREADS"])
        return Done

    monkeypatch.setattr(demo.subprocess, "run", run)
    monkeypatch.setattr(demo.os, "cpu_count", lambda: 8)

    train_stage(DemoConfig(num_processes=2), "align", 3)

    assert seen["threads"] == "4"
    assert seen["command"][1:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert "--model.align.max_steps=3" in seen["command"]
