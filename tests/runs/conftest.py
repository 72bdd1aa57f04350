import logging
from pathlib import Path

import pytest
import torch
from helpers import run_words, train


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    """Runs of these tests use the CPU whatever the machine has."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)


@pytest.fixture(autouse=True)
def log_as_before():
    """A command sets up logging to this test's stderr; earlier and later tests have others."""
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if not _is_closed(handler)]
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def _is_closed(handler) -> bool:
    """Whether a handler writes to the stderr of a test that has ended."""
    return getattr(getattr(handler, "stream", None), "closed", False)


@pytest.fixture(scope="session")
def trained_run(synthetic_data, tmp_path_factory) -> Path:
    """The folder of a merv-tiny that was aligned for two steps."""
    root = tmp_path_factory.mktemp("runs")
    train(run_words(synthetic_data, root, "007", max_steps=2))
    return root / "007"
