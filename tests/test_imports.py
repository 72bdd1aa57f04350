import subprocess
import sys
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ["av", "datasets", "draccus", "matplotlib", "numpy", "pandas", "peft", "PIL", "timm", "torch", "torchvision",
         "transformers", "trl", "wandb"]  # fmt: skip


def test_importing_merv_loads_nothing_heavy():
    code = "import merv, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert "merv" in loaded.stdout.split()
    assert set(HEAVY).intersection(loaded.stdout.split()) == set()


def test_layers_import_downwards_only(capsys):
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None)

    report = capsys.readouterr().out
    assert status == 0, report
    assert "one-way layers KEPT" in report
