import pytest
from backbones.hub_server import running_hub

from merv.data.download import transfer


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub on this machine, and no waiting between attempts."""
    monkeypatch.setattr(transfer, "WAIT_S", 0.0)
    with running_hub(monkeypatch, tmp_path / "cache") as hub:
        yield hub
