"""The launcher people use: torchrun on one machine, and two of its agents that find each other."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import course, run_words, train

SCRIPT = Path(__file__).parents[2] / "scripts" / "pretrain_video.py"
LIMIT_S = 240


def start(*words, cwd):
    """Start torchrun, on the CPU whatever the machine has."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", *words]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(*processes):
    """Wait for processes to end well; whatever happens, none stays."""
    try:
        for process in processes:
            output, _ = process.communicate(timeout=LIMIT_S)
            assert process.returncode == 0, output[-4000:]
    finally:
        for process in processes:
            process.terminate()  # an agent ends its workers on SIGTERM


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.dist
@pytest.mark.slow
def test_two_agents_train_together_as_one_process_does(mixed_data, tmp_path):
    sizes = {"global_batch_size": 4, "per_device_batch_size": 2, "max_steps": 4}
    sampler = ["--sampler", "length-grouped"]
    command = run_words(mixed_data, tmp_path, "agents", *sampler, strategy="hsdp", **sizes)
    where = [
        "--nnodes",
        "2",
        "--nproc-per-node",
        "1",
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        f"127.0.0.1:{free_port()}",
        "--rdzv-id",
        "two",
    ]

    agents = [start(*where, "--node-rank", str(rank), str(SCRIPT), *command, cwd=tmp_path) for rank in (0, 1)]
    train(run_words(mixed_data, tmp_path, "alone", *sampler, **sizes))
    finish(*agents)

    assert len(course(tmp_path / "alone")) == 4
    torch.testing.assert_close(course(tmp_path / "agents"), course(tmp_path / "alone"), rtol=1e-5, atol=1e-5)


@pytest.mark.dist
@pytest.mark.slow
def test_the_command_of_the_readme_trains_with_loader_workers(synthetic_data, tmp_path):
    command = ["--model.type", "merv-tiny", *synthetic_data, "--stage", "align", "--run_id", "readme"]
    sizes = ["--model.align.global_batch_size", "8", "--model.align.per_device_batch_size", "4"]

    finish(start("--standalone", "--nproc-per-node", "2", str(SCRIPT), *command, *sizes, cwd=tmp_path))

    assert len(course(tmp_path / "runs" / "readme")) == 6  # 38 visual rows and 2 texts, in batches of 8
    assert (tmp_path / "runs/readme/model.safetensors").is_file()
    assert (tmp_path / "runs/readme/loss.png").is_file()
