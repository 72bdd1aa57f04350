import threading

import pytest
from backbones.hub_server import FakeHub

from merv.data.shards import fetch


@pytest.fixture
def web(monkeypatch):
    """A web server on this machine: what `plain` holds is at `/plain/`; nobody waits between tries."""
    monkeypatch.setattr(fetch, "WAIT_S", 0.0)
    with FakeHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(timeout=5)
