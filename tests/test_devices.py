"""No code decides by the name of a vendor: torch's accelerator is asked, whatever it is called."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from merv import runtime
from merv.models.multi_encoder.frames import take

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for folder in ("merv", "scripts", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")]
VENDORS = ("cuda", "npu", "xpu", "mps", "hip", "nccl", "hccl")


def vendors_named(source: str) -> list[str]:
    """Where code names a vendor's devices: `torch.cuda`, `.cuda()`, `.is_cuda`, "cuda:0", `import torch.cuda`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            name = node.attr.removeprefix("is_")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = re.sub(r":\d+$", "", node.value)
        elif isinstance(node, ast.ImportFrom):
            name = (node.module or "").removeprefix("torch.").partition(".")[0]
        elif isinstance(node, ast.alias):
            name = node.name.removeprefix("torch.").partition(".")[0]
        else:
            continue
        if name in VENDORS:
            found.append(f"line {getattr(node, 'lineno', 0)}: {name}")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "x.cuda()",
        "torch.cuda.is_available()",
        "torch.device('cuda:0')",
        "device.type == 'npu'",
        "frames.is_cuda",
        "from torch.cuda import amp",
        "from torch import cuda",
        "import torch.cuda.amp",
        "dist.init_process_group('nccl')",
    ],
)
def test_a_name_of_a_vendor_is_found(source):
    assert len(vendors_named(source)) == 1
    assert vendors_named("'''torch.cuda, torch.npu, ...'''\ndevice.type != 'cpu'") == []


def test_no_code_names_a_vendor():
    named = {str(path.relative_to(ROOT)): vendors_named(path.read_text(encoding="utf-8")) for path in SOURCES}

    assert len(named) > 100
    assert {path: lines for path, lines in named.items() if lines} == {}


@pytest.fixture(scope="module")
def on_npu():
    """What merv decides where torch calls the accelerator `npu`; in a process of its own, for torch stays changed."""
    # The marks of a group of processes would make it one of them.
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "fake_npu.py")],
        env={**environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("device", "npu:1"),
        ("backends", "cpu:gloo,npu:hccl"),
        ("mesh", "npu"),
        ("batches go to", "npu:1"),
        ("autocast", True),
        ("batches are pinned", True),
        ("staging is pinned and overlaps", [True, True]),
        ("name", "Ascend910B3"),
        ("peak GiB", 3.0),
        ("random state of the device is kept", True),
        ("seed", 7),
        ("precision", ["torch.bfloat16", "torch.float32"]),
        ("precision without bfloat16", ["torch.float32", "torch.float32"]),
        ("precision where torch.npu cannot say and a product fails", ["torch.float32", "torch.float32"]),
    ],
)
def test_an_accelerator_of_another_name_is_used_like_any(on_npu, what, expected):
    assert on_npu[what] == expected


@pytest.mark.parametrize(("kind", "expected"), [("cpu", False), ("meta", False), ("cuda", True), ("npu", True)])
def test_memory_is_pinned_for_what_is_neither_the_cpu_nor_without_memory(kind, expected):
    device = torch.device(kind) if kind != "npu" else torch.device("privateuseone")

    assert runtime.is_accelerator(device) is expected


def test_frames_without_memory_are_taken_without_pinning():
    assert take(torch.zeros(5, 3, 2, 2, device="meta"), [0, 1, 4]).shape == (3, 3, 2, 2)


def test_a_question_a_device_does_not_know_has_no_answer():
    assert runtime.ask(torch.device("cpu"), "no_such_question") is None
    assert runtime.ask(torch.device("cpu"), "device_count") == 1


def test_a_device_that_cannot_say_whether_it_has_bfloat16_is_tried():
    assert not hasattr(torch.cpu, "is_bf16_supported")
    assert runtime.computes_in_bfloat16(torch.device("cpu"))


def test_emulated_bfloat16_does_not_count(monkeypatch):
    monkeypatch.setattr(
        torch.cpu, "is_bf16_supported", lambda including_emulation=True: including_emulation, raising=False
    )

    assert not runtime.computes_in_bfloat16(torch.device("cpu"))
