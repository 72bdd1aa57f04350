"""A machine with torch-npu and without CANN: what commands say where `import torch` fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from merv.runs import backends
from merv.runs.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
NO_CANN = "libhccl.so: cannot open shared object file: No such file or directory"
LINE = rf"torch_npu cannot be loaded \({NO_CANN}\): CANN is missing or not set up .* set_env\.sh .*uninstall torch-npu"


def pretend(folder, name, body):
    """A package that torch is to load."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(body)
    about = folder / f"{name}-2.14.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 2.14.0\n")
    (about / "entry_points.txt").write_text(f"[torch.backends]\n{name} = {name}:_autoload\n")
    return folder


@pytest.fixture
def without_cann(tmp_path, monkeypatch):
    """The folder of a torch-npu that finds no CANN; this process sees it, too."""
    folder = pretend(tmp_path, "torch_npu", f"raise ImportError({NO_CANN!r})\n")
    monkeypatch.syspath_prepend(str(folder))
    return folder


def run(folder, *words, **environment):
    path = os.pathsep.join([str(folder), str(ROOT)])
    own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TORCH_DEVICE_BACKEND_AUTOLOAD": "1", **environment}
    return subprocess.run(
        [sys.executable, *words], env={**os.environ, **own}, capture_output=True, text=True, cwd=folder, timeout=120
    )


@pytest.mark.slow
def test_doctor_reports_all_and_names_what_is_missing(without_cann):
    done = run(without_cann, "-m", "merv", "doctor")

    assert (done.returncode, done.stderr) == (1, "")
    [line] = [line for line in done.stdout.splitlines() if "libhccl" in line]
    assert line.split()[:2] == ["broken", "torch_npu"]
    assert "->  CANN is missing or not set up in this shell; source its set_env.sh" in line
    assert "accelerator" in done.stdout
    assert done.stdout.endswith("broken: torch_npu\n")


@pytest.mark.slow
@pytest.mark.parametrize("words", [["-m", "merv", "train"], [str(ROOT / "scripts" / "pretrain_video.py")]])
def test_a_command_ends_in_one_line(without_cann, words):
    done = run(without_cann, *words, "--model.type", "merv-tiny")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"merv train: error: torch_npu cannot be loaded ({NO_CANN}): CANN is missing")
    assert done.stderr.count("\n") == 1


def failing(error):
    def command(words):
        raise error

    return command


def raised(cause):
    """The error of `import torch` in which `cause` ended."""
    try:
        try:
            raise cause
        except Exception as error:
            raise RuntimeError("Failed to load the backend extension: torch_npu. You can disable ...") from error
    except RuntimeError as error:
        return error


def test_the_error_of_importing_torch_is_one_line_with_a_remedy(monkeypatch, capsys):
    monkeypatch.setitem(COMMANDS, "train", failing(raised(ImportError(f"{NO_CANN}\nmore"))))

    assert main(["train"]) == 2

    assert re.fullmatch(f"merv train: error: {LINE}\n", capsys.readouterr().err)


def test_a_library_that_imports_the_package_itself_is_told_apart(without_cann):
    try:
        import torch_npu  # noqa: F401 - as transformers does, whatever torch was told
    except ImportError as error:
        found = backends.explain(error)

    assert found is not None
    assert (found.name, found.reason) == ("torch_npu", NO_CANN)


@pytest.mark.parametrize("error", [ImportError("no module named x"), RuntimeError("shape mismatch"), OSError("full")])
def test_other_errors_are_left_alone(without_cann, error, monkeypatch):
    monkeypatch.setitem(COMMANDS, "train", failing(error))

    assert backends.explain(error) is None
    with pytest.raises(type(error), match=str(error)):
        main(["train"])


def test_a_package_of_another_vendor_gets_a_general_remedy(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(pretend(tmp_path, "merv_fake_backend", "def _autoload():\n    1 / 0\n")))

    assert "merv_fake_backend" in backends.names()
    assert str(backends.load("merv_fake_backend")) == (
        "merv_fake_backend cannot be loaded (division by zero): "
        "install what it needs, or pip uninstall merv-fake-backend"
    )


def test_a_package_that_loads_is_no_trouble(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(pretend(tmp_path, "merv_fine_backend", "def _autoload():\n    pass\n")))

    assert backends.load("merv_fine_backend") is None


@pytest.mark.parametrize("before", [None, "0", "1"])
def test_holding_back_leaves_the_environment_as_it_was(monkeypatch, before):
    if before is None:
        monkeypatch.delenv(backends.SWITCH, raising=False)
    else:
        monkeypatch.setenv(backends.SWITCH, before)

    with backends.held_back():
        assert backends.left_out()

    assert os.environ.get(backends.SWITCH) == before
    assert backends.left_out() == (before == "0")
