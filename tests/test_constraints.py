"""The two lists of versions say the same, but for what torch-npu asks for."""

from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
TORCH = ("torch", "torchvision", "torch-npu")
NAMED_BY_TORCH = ("cuda-", "nvidia-", "triton")
"""Beginnings of packages whose exact versions a release of torch asks for."""


def pins(name):
    lines = (ROOT / name).read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(len(r.specifier) == 1 and str(r.specifier).startswith("==") and r.url is None for r in requirements)
    return {r.name: str(r.specifier).removeprefix("==") for r in requirements}


def test_versions_for_ascend_differ_in_torch_alone():
    common, ascend = pins("constraints.txt"), pins("constraints-npu.txt")
    own = {name: version for name, version in common.items() if not name.startswith((*TORCH, *NAMED_BY_TORCH))}

    assert len(own) > 50
    assert {name: ascend.get(name) for name in own} == own
    assert {name for name in ascend if not name.startswith((*TORCH, *NAMED_BY_TORCH))} == set(own)


def test_torch_npu_stands_beside_its_own_torch_and_in_no_other_list():
    ascend = pins("constraints-npu.txt")

    assert Version(ascend["torch-npu"]).release[:3] == Version(ascend["torch"]).release[:3]
    assert "torch-npu" not in pins("constraints.txt")
    assert "torch-npu" not in (ROOT / "pyproject.toml").read_text()


def test_torch_of_either_list_lies_in_the_range_of_the_project():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    wanted = [
        Requirement(line.strip().strip('",')) for line in lines if line.strip().startswith(('"torch>', '"torchv'))
    ]

    assert [r.name for r in wanted] == ["torch", "torchvision"]
    for name in ("constraints.txt", "constraints-npu.txt"):
        assert all(r.specifier.contains(pins(name)[r.name]) for r in wanted)
