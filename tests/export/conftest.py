import pytest

from .tiny import save_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Gives the folder of a tiny model, saved once: `tiny("qwen2", tied=True)`."""
    saved = {}

    def folder(model_type, *, tied=False):
        if (model_type, tied) not in saved:
            saved[model_type, tied] = save_tiny(model_type, tmp_path_factory.mktemp(model_type) / "hf", tied=tied)
        return saved[model_type, tied]

    return folder
