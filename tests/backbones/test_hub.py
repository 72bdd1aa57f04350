import json
import logging

import pytest

from merv.backbones.hub import (
    HubSource,
    fetch_optional,
    find_cached,
    find_file,
    find_optional,
)
from merv.backbones.llm.files import hub_folder
from merv.errors import ConfigError
from merv.runtime import quiet

from .hub_server import closed_port, point_client_at, running_hub

REPO = "someone/encoder"
SOURCE = HubSource(REPO)
SHARDED = HubSource(REPO, ("model.safetensors.index.json", "pytorch_model.bin"))
NAMES = {"what": "video backbone `x`", "option": "--model.x_path DIR"}
FIND = {"encoder": lambda: find_file(SOURCE, None, **NAMES), "LLM": lambda: hub_folder(SOURCE, weights=True, **NAMES)}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with running_hub(monkeypatch, tmp_path / "cache") as hub:
        yield hub


def refused(act):
    """The one line with which it ends."""
    with pytest.raises(ConfigError) as caught:
        act()
    line = str(caught.value)
    assert "\n" not in line
    return line


def index_of(*shards):
    return json.dumps({"weight_map": {f"weight.{number}": shard for number, shard in enumerate(shards)}}).encode()


def test_the_first_file_of_the_repository_is_fetched_once(hub):
    hub.repos[REPO] = {"model.safetensors": b"safe", "pytorch_model.bin": b"pickle"}

    found = FIND["encoder"]()
    asked = list(hub.asked)

    assert found.read_bytes() == b"safe"
    assert hub.fetched() == ["model.safetensors"]
    assert FIND["encoder"]() == found
    assert hub.asked == asked


def test_another_format_serves_where_the_first_is_not_published(hub):
    hub.repos[REPO] = {"pytorch_model.bin": b"pickle"}

    found = FIND["encoder"]()

    assert found.read_bytes() == b"pickle"
    assert find_file(SOURCE, None, **NAMES, download=False) == found


def test_shards_come_with_their_index_and_a_lost_one_is_fetched_again(hub):
    hub.repos[REPO] = {"model.safetensors.index.json": index_of("b", "a", "b"), "a": b"one", "b": b"two"}

    index = find_file(SHARDED, None, **NAMES)
    index.with_name("b").unlink()

    assert hub.fetched() == ["model.safetensors.index.json", "a", "b"]
    assert "no weights on this disk" in refused(lambda: find_file(SHARDED, None, **NAMES, download=False))
    assert find_file(SHARDED, None, **NAMES) == index
    assert index.with_name("b").read_bytes() == b"two"


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (index_of("a", "b"), "the repository lacks b, which model.safetensors.index.json lists"),
        (b"<html>", "model.safetensors.index.json is no index of weights: Expecting value"),
        (b'{"weight_map": {}}', "is no index of weights: it lists nothing"),
        (index_of("../a"), "is no index of weights: it lists `../a`"),
        (index_of("model.safetensors.index.json"), "it lists `model.safetensors.index.json`"),
    ],
)
def test_an_index_that_cannot_be_followed_is_refused(hub, index, message):
    hub.repos[REPO] = {"model.safetensors.index.json": index, "a": b"one"}

    assert message in refused(lambda: find_file(SHARDED, None, **NAMES))


@pytest.mark.parametrize("part", FIND)
def test_a_gated_repository_names_licence_and_login(hub, part):
    hub.repos[REPO] = {}
    hub.refusals[REPO] = "gated"

    assert refused(FIND[part]) == (
        "video backbone `x`: no weights on this disk, and access is refused; accept the licence at "
        "https://huggingface.co/someone/encoder and log in (`hf auth login`, or HF_TOKEN), then run `hf download "
        "someone/encoder` where there is a network, or name a local folder with --model.x_path DIR; --model.init "
        "random goes without"
    )


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ("no such repository", "there is no repository someone/encoder, or it is private; run `hf download"),
        ("bad token", "the download failed (Invalid credentials in Authorization header); run `hf download"),
        ("broken", "the download failed (Internal Error); run `hf download someone/encoder`"),
    ],
)
@pytest.mark.parametrize("part", FIND)
def test_what_the_hub_refuses_is_told_in_one_line(hub, part, refusal, message):
    hub.repos[REPO] = {}
    hub.refusals[REPO] = refusal

    assert f"video backbone `x`: no weights on this disk, and {message}" in refused(FIND[part])


def test_a_repository_without_weights_is_refused(hub):
    hub.repos[REPO] = {"README.md": b""}

    line = refused(FIND["encoder"])

    assert "the repository holds none of model.safetensors, pytorch_model.bin; run" in line


def test_a_cut_download_goes_on_where_it_broke(hub):
    body = bytes(range(256)) * 8
    hub.repos[REPO] = {"model.safetensors": body}
    hub.cuts["model.safetensors"] = 2

    assert FIND["encoder"]().read_bytes() == body
    assert len(hub.fetched()) == 3


@pytest.mark.parametrize("part", FIND)
def test_a_download_that_stays_cut_leaves_no_file_of_weights(hub, part):
    hub.repos[REPO] = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"0123456789"}
    hub.cuts["model.safetensors"] = None

    line = refused(FIND[part])

    assert "the download failed (peer closed connection" in line
    assert "run `hf download someone/encoder`" in line
    assert find_cached(REPO, "model.safetensors") is None


def test_a_failure_of_the_large_file_storage_is_one_line(hub, monkeypatch):
    def hf_hub_download(repo, name):  # as hf_xet 1.8 does when its storage cannot be reached
        raise RuntimeError("Task error: File reconstruction error: CAS Client Error:\nerror sending request")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hf_hub_download)

    assert "the download failed (Task error: File reconstruction error: CAS" in refused(FIND["encoder"])


@pytest.mark.parametrize("part", FIND)
@pytest.mark.parametrize("reason", ["offline", "unreachable"])
def test_without_the_hub_one_line_says_how_to_get_the_weights(hub, monkeypatch, tmp_path, part, reason):
    hub.repos[REPO] = {"model.safetensors": b"safe"}
    if reason == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        point_client_at(monkeypatch, f"http://127.0.0.1:{closed_port()}", tmp_path / "cache")

    assert refused(FIND[part]) == (
        "video backbone `x`: no weights on this disk, and the hub cannot be reached from here; run `hf download "
        "someone/encoder` where there is a network, or name a local folder with --model.x_path DIR; --model.init "
        "random goes without"
    )
    assert fetch_optional(SOURCE, ["config.json"]) is None
    assert hub.asked == []


def test_looking_on_this_disk_asks_nothing(hub):
    hub.repos[REPO] = {"model.safetensors": b"safe"}

    line = refused(lambda: find_file(SOURCE, None, **NAMES, download=False))

    assert "no weights on this disk; run `hf download someone/encoder`" in line
    assert hub.asked == []


def test_a_small_file_is_brought_where_there_is_one_and_not_missed_where_there_is_none(hub):
    hub.repos[REPO] = {"config.json": b"{}"}

    fetch_optional(SOURCE, ["config.json", "preprocessor_config.json"])
    asked = list(hub.asked)
    fetch_optional(SOURCE, ["config.json", "preprocessor_config.json"])

    assert find_optional(SOURCE, "config.json", None).read_bytes() == b"{}"
    assert find_optional(SOURCE, "preprocessor_config.json", None) is None
    assert hub.asked == asked, "what the repository lacks is remembered as well"


@pytest.mark.parametrize("refusal", ["gated", "no such repository", "bad token", "broken"])
def test_a_small_file_that_is_refused_is_gone_without(hub, refusal):
    hub.repos[REPO] = {"config.json": b"{}"}
    hub.refusals[REPO] = refusal

    assert fetch_optional(SOURCE, ["config.json"]) is None
    assert hub.asked
    assert find_cached(REPO, "config.json") is None


def test_a_local_folder_or_file_takes_the_place_of_the_repository(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("pytorch_model.bin", "other.pth", "config.json"):
        (folder / name).touch()

    assert find_file(SOURCE, folder, **NAMES) == folder / "pytorch_model.bin"
    assert find_file(SOURCE, folder / "other.pth", **NAMES) == folder / "other.pth"
    assert find_optional(SOURCE, "config.json", folder / "other.pth") == folder / "config.json"
    assert find_optional(SOURCE, "preprocessor_config.json", folder) is None
    assert find_optional(SOURCE, "config.json", folder / "nowhere") is None


@pytest.mark.parametrize(
    ("files", "path", "message"),
    [
        ([], "nowhere", "nowhere does not exist"),
        ([], "", "holds none of model.safetensors.index.json, pytorch_model.bin"),
        (["a"], "", "lacks b, which model.safetensors.index.json lists"),
        (["a"], "model.safetensors.index.json", "lacks b, which model.safetensors.index.json lists"),
    ],
)
def test_a_local_folder_that_lacks_weights_says_which(tmp_path, files, path, message):
    for name in files:
        (tmp_path / name).touch()
        (tmp_path / "model.safetensors.index.json").write_bytes(index_of("a", "b"))

    line = refused(lambda: find_file(SHARDED, tmp_path / path, **NAMES))

    assert f"{message}; set --model.x_path DIR to a folder in the published layout" in line


def test_a_name_no_repository_can_have_is_refused():
    assert "`a--b/c..d` is no name of a hub repository" in refused(lambda: find_cached("a--b/c..d", "config.json"))


def test_the_client_is_quiet_only_while_it_is_asked():
    logger = logging.getLogger("huggingface_hub")
    before = logger.level

    with quiet("huggingface_hub"):
        assert logger.level == logging.ERROR

    assert logger.level == before
