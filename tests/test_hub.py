import socket

import pytest
from backbones.hub_server import closed_port, point_client_at

from merv import hub
from merv.errors import ConfigError
from merv.hub import hub_is_reachable, one_line, refusals_told


@pytest.mark.parametrize(
    ("environment", "reachable"),
    [
        ({}, False),
        ({"http_proxy": "http://proxy:1"}, True),
        ({"all_proxy": "http://proxy:1"}, True),
        ({"https_proxy": "http://proxy:1"}, False),
        ({"http_proxy": "http://proxy:1", "no_proxy": "127.0.0.1"}, False),
        ({"no_proxy": "example.org"}, False),
    ],
)
def test_only_a_proxy_that_the_client_would_use_stands_for_the_hub(monkeypatch, tmp_path, environment, reachable):
    point_client_at(monkeypatch, f"http://127.0.0.1:{closed_port()}", tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert hub_is_reachable() is reachable


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://huggingface.co", ("huggingface.co", 443)),
        ("http://mirror.example", ("mirror.example", 80)),
        ("http://mirror.example:8080/hub", ("mirror.example", 8080)),
    ],
)
def test_the_probe_goes_where_the_client_goes(monkeypatch, tmp_path, url, address):
    probed = []
    point_client_at(monkeypatch, url, tmp_path)
    monkeypatch.setattr(
        hub.socket, "create_connection", lambda where, timeout: probed.append(where) or socket.socket()
    )

    assert hub_is_reachable()
    assert probed == [address]


def test_what_goes_wrong_while_asking_becomes_one_line():
    with pytest.raises(ConfigError, match=r"^x: the download failed \(storage is gone for today\)$"), refused("x"):
        raise RuntimeError("storage is\n gone for today")


def test_an_error_without_words_is_told_by_its_kind():
    assert one_line(OSError()) == "OSError"
    assert len(one_line(OSError("word " * 100))) <= 160


def refused(name):
    return refusals_told("someone/thing", lambda cause, gated=False: f"{name}: {cause}")
