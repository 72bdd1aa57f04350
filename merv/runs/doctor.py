"""`merv doctor`: what this machine and this Python offer, what is missing, and the command that gets it."""

import importlib
import importlib.util
import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from merv.runs import backends

Status = Literal["ok", "note", "missing", "broken"]

_COMPILED = ("torch", "torchvision", "av", "tokenizers", "safetensors", "numpy")
"""Packages whose import fails when builds do not match; their versions alone do not tell."""

_CODECS = {"h264": ("h264",), "hevc": ("hevc",), "vp9": ("vp9", "libvpx-vp9"), "av1": ("libdav1d", "libaom-av1")}
"""Decoders in software for each codec of common datasets; FFmpeg's own av1 needs hardware."""

_OPTIONAL = {
    "wandb": ("tracker `wandb`", "pip install merv[wandb]"),
    "flash-attn": ("faster attention; torch's own is used without it", "pip install flash-attn --no-build-isolation"),
    "torchcodec": ("another video decoder; PyAV is used without it", "pip install torchcodec, and FFmpeg's libraries"),
    "torch-npu": ("Ascend accelerators", "pip install torch-npu of torch's version"),
}


@dataclass(frozen=True)
class Check:
    """One finding."""

    group: str
    name: str
    status: Status
    """ok | note (works, worth knowing) | missing (optional) | broken (required)."""
    found: str
    remedy: str = ""
    """What to do about it; empty when there is nothing to do."""


@dataclass(frozen=True)
class Report:
    """All findings, in the order they are shown."""

    checks: tuple[Check, ...]

    @property
    def exit_status(self) -> int:
        """1 when something required is broken, else 0."""
        return int(any(check.status == "broken" for check in self.checks))

    def text(self) -> str:
        """Findings by group, one a line, and a last line that sums up."""
        width = max(len(check.name) for check in self.checks)
        lines: list[str] = []
        group = ""
        for check in self.checks:
            if check.group != group:
                group = check.group
                lines += ["", group] if lines else [group]
            remedy = f"  ->  {check.remedy}" if check.remedy else ""
            lines.append(f"  {check.status:<7}  {check.name:<{width}}  {check.found}{remedy}")
        broken = [check.name for check in self.checks if check.status == "broken"]
        verdict = f"broken: {', '.join(broken)}" if broken else "everything merv needs is here"
        return "\n".join([*lines, "", verdict])


def doctor(runs_dir: Path = Path("runs")) -> Report:
    """Look at everything; reads only, reaches for no network and prints no secret."""
    groups = [
        _python(),
        _required(),
        _imports(),
        _devices(),
        _decoders(),
        _machine(),
        _disks(runs_dir),
        _hugging_face(),
        _optional(),
    ]
    return Report(tuple(check for group in groups for check in group))


def requirements() -> tuple[str, list[Requirement]]:
    """Range of Python versions and required packages, as installed or as in the checkout's pyproject.toml."""
    try:
        about = metadata.metadata("merv")
        python, listed = about["Requires-Python"], about.get_all("Requires-Dist") or []
    except metadata.PackageNotFoundError:
        pyproject = Path(__file__).resolve().parents[2] / "pyproject.toml"
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        python, listed = project["requires-python"], project["dependencies"]
    parsed = [Requirement(line) for line in listed]
    return python, [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]


def check_version(requirement: Requirement, group: str = "packages") -> Check:
    """Whether the installed version lies in the range merv is tested with."""
    wanted = str(requirement.specifier)
    remedy = f'pip install "{requirement.name}{wanted}"'
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(group, requirement.name, "broken", f"not installed, {wanted} needed", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(group, requirement.name, "broken", f"{version}, {wanted} needed", remedy)
    return Check(group, requirement.name, "ok", f"{version} ({wanted})")


def _python() -> Iterator[Check]:
    wanted, _ = requirements()
    version = platform.python_version()
    fits = SpecifierSet(wanted).contains(version, prereleases=True)
    remedy = "" if fits else f"make an environment with Python {wanted}"
    yield Check("python", "Python", "ok" if fits else "broken", f"{version} ({wanted}), {platform.platform()}", remedy)


def _required() -> Iterator[Check]:
    _, packages = requirements()
    for requirement in packages:
        yield check_version(requirement)


def _imports() -> Iterator[Check]:
    first = "torch" not in sys.modules
    with backends.held_back():  # so that one that cannot be loaded leaves torch whole
        checks = [check_import(name) for name in _COMPILED]
    yield from (check for check in checks if check is not None)
    if first and "torch" in sys.modules:
        yield from _backends()


def _backends() -> Iterator[Check]:
    """Load what torch would have loaded, were it not for us."""
    for name in backends.names():
        if trouble := backends.load(name):
            yield Check("packages", name, "broken", f"cannot be loaded: {trouble.reason}", trouble.remedy)
        elif backends.left_out():
            found = f"{backends.SWITCH} keeps torch from loading it"
            yield Check("packages", name, "note", found, f"unset {backends.SWITCH}")
        else:
            yield Check("packages", name, "ok", "loaded by torch")


def check_import(name: str) -> Check | None:
    """A finding when an installed package cannot be imported; None when it can, or is not installed."""
    try:
        metadata.version(name)
        importlib.import_module(name)
    except metadata.PackageNotFoundError:
        return None
    except (ImportError, OSError, RuntimeError) as error:
        remedy = "install torch and torchvision of matching versions" if name == "torchvision" else f"reinstall {name}"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Check("packages", f"import {name}", "broken", reason, remedy)
    return None


def _works(package: str) -> bool:
    """Whether a package is here and can be imported; where it cannot, the packages above have said so."""
    return importlib.util.find_spec(package) is not None and check_import(package) is None


def _devices() -> Iterator[Check]:
    if not _works("torch"):
        return
    import torch

    if not torch.accelerator.is_available():
        yield Check(
            "devices",
            "accelerator",
            "note",
            "none: merv runs on the CPU, slowly",
            "install the torch build for your accelerator, and its driver",
        )
        return
    kind = torch.accelerator.current_accelerator()
    assert kind is not None, "an available accelerator has a type"
    from merv import runtime
    from merv.training.metrics import device_name

    for index in range(torch.accelerator.device_count()):
        device = torch.device(kind.type, index)
        free, total = runtime.ask(device, "mem_get_info", device) or torch.accelerator.get_memory_info(device)
        bf16 = runtime.computes_in_bfloat16(device)
        found = f"{device_name(device)}, {_gib(total)}, {_gib(free)} free, {'' if bf16 else 'no '}bfloat16"
        yield Check("devices", str(device), "ok" if bf16 else "note", found)


def _decoders() -> Iterator[Check]:
    if not _works("av"):
        return
    import av

    remedy = "pip install --force-reinstall --only-binary av av"
    for codec, decoders in _CODECS.items():
        name = next((name for name in decoders if name in av.codecs_available), None)
        if name is None:
            yield Check("decoders", codec, "missing", "files of this kind become bad samples", remedy)
        else:
            yield Check("decoders", codec, "ok", f"{name}, PyAV {av.__version__}")
    encodes = "libx264" in av.codecs_available
    yield Check(
        "decoders",
        "libx264 encoder",
        "ok" if encodes else "missing",
        "makes the clips of the demo and the tests",
        "" if encodes else remedy,
    )


def _machine() -> Iterator[Check]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    yield Check("machine", "CPUs", "ok", f"{usable} usable of {os.cpu_count()}, OMP_NUM_THREADS {threads}")
    if _works("psutil"):
        import psutil

        memory = psutil.virtual_memory()
        yield Check("machine", "memory", "ok", f"{_gib(memory.total)}, {_gib(memory.available)} available")
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared)
        scarce = size.total < 2**30
        remedy = "raise it (docker run --shm-size=16g): loader workers pass batches through it" if scarce else ""
        yield Check(
            "machine",
            "shared memory",
            "note" if scarce else "ok",
            f"{_gib(size.total)}, {_gib(size.free)} free",
            remedy,
        )


def _disks(runs_dir: Path) -> Iterator[Check]:
    places = {"here": Path.cwd(), "runs": runs_dir}
    if _works("huggingface_hub"):
        from huggingface_hub.constants import HF_HUB_CACHE

        places["model cache"] = Path(HF_HUB_CACHE)
    for name, path in places.items():
        free = shutil.disk_usage(_existing(path)).free
        scarce = free < 20 * 2**30
        remedy = "a 7B model and one checkpoint of it need some 100 GiB" if scarce else ""
        yield Check("disks", name, "note" if scarce else "ok", f"{_gib(free)} free at {path}", remedy)


def _hugging_face() -> Iterator[Check]:
    if not _works("huggingface_hub"):
        return
    from huggingface_hub import get_token

    if get_token():
        yield Check("hugging face", "token", "ok", "present (not shown)")
    else:
        yield Check(
            "hugging face", "token", "missing", "gated weights such as Llama cannot be fetched", "hf auth login"
        )


def _optional() -> Iterator[Check]:
    for name, (purpose, remedy) in _OPTIONAL.items():
        try:
            yield Check("optional", name, "ok", f"{metadata.version(name)}: {purpose}")
        except metadata.PackageNotFoundError:
            yield Check("optional", name, "missing", purpose, remedy)


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
