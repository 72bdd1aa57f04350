from types import SimpleNamespace

import pytest

from merv.backbones.llm import files
from merv.errors import ConfigError

from .llm_folder import FORMATS, copy_tokenizer, new, no_hub, save_llm  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("no_hub")


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("config.json", "lacks config.json"),
        ("tokenizer.json", r"lacks a tokenizer \(none of tokenizer.json, tokenizer.model, vocab.json\)"),
        ("model-00002-of-*.safetensors", "lacks model-00002-of-.*, which model.safetensors.index.json lists"),
        ("model.safetensors.index.json", "lacks weights"),
    ],
)
def test_a_folder_without_a_file_says_which(tmp_path, removed, message):
    save_llm(tmp_path, weights="sharded safetensors")
    next(tmp_path.glob(removed)).unlink()
    config = new(path=tmp_path)

    for act in (config.fetch, config.build):
        with pytest.raises(
            ConfigError, match=rf"LLM backbone `llama2-7b-pure`: .* {message}.*; set --model.llm_path DIR"
        ):
            act()


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"nowhere does not exist; set --model.llm_path DIR"):
        new(path=tmp_path / "nowhere").fetch()
    with pytest.raises(ConfigError, match=r"file is a file; set --model.llm_path DIR"):
        new(path=tmp_path / "file").fetch()
    with pytest.raises(ConfigError, match="nowhere is no folder"):
        new(path=tmp_path / "nowhere", init="random").build()


def test_without_hub_and_weights_one_line_says_what_to_do():
    gated, open_one = new("llama2-7b-pure"), new("qwen2.5-7b-instruct")

    with pytest.raises(ConfigError) as caught:
        gated.fetch()
    line = str(caught.value)
    assert line.startswith("LLM backbone `llama2-7b-pure`: no weights on this disk, and the hub cannot be reached")
    assert "accept the licence at https://huggingface.co/meta-llama/Llama-2-7b-hf" in line
    assert "--model.llm_path DIR" in line
    assert "--model.init random" in line
    assert "\n" not in line
    with pytest.raises(ConfigError, match=r"hf download Qwen/Qwen2.5-7B-Instruct") as caught:
        open_one.build()
    assert "licence" not in str(caught.value)


def test_without_hub_and_tokenizer_one_line_says_what_to_do():
    with pytest.raises(ConfigError, match=r"no tokenizer on this disk.*hf download lmsys/vicuna-7b-v1.5") as caught:
        new("vicuna-v15-7b", init="random").fetch_tokenizer()

    assert "--model.init random" not in str(caught.value)


def test_random_weights_fetch_nothing():
    assert new("llama2-7b-pure", init="random").fetch() is None


def put_in_cache(folder, repo, make):
    """Lay files into a hub cache as the hub's client does; gives the snapshot."""
    root = folder / "hub" / f"models--{repo.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("abc")
    make(root / "snapshots" / "abc")
    return root / "snapshots" / "abc"


def test_a_complete_snapshot_in_the_cache_is_used(tmp_path):
    put_in_cache(tmp_path, "lmsys/vicuna-7b-v1.5", save_llm)

    assert new("vicuna-v15-7b").build().vocab_size == 320
    assert new("vicuna-v15-7b").fetch() is None


def test_config_and_tokenizer_of_the_cache_serve_random_weights(tmp_path):
    snapshot = put_in_cache(tmp_path, "lmsys/vicuna-7b-v1.5", save_llm)
    (snapshot / "model.safetensors").unlink()

    config = new("vicuna-v15-7b", init="random")

    assert config.fetch_tokenizer() is None
    assert config.build().tokenizer("A dog.").input_ids == [1, 99, 311, 18]
    with pytest.raises(ConfigError, match="no weights on this disk"):
        new("vicuna-v15-7b").fetch()


def fake_hub(monkeypatch, tmp_path, published, error=None):
    """A hub that holds the files of `published`; gives the patterns it was asked for."""
    from fnmatch import fnmatch

    asked = []

    def snapshot_download(repo, *, allow_patterns, ignore_patterns):
        asked.append(tuple(allow_patterns))
        if error is not None:
            raise error
        folder = tmp_path / "snapshot"
        folder.mkdir(exist_ok=True)
        for file in published.iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                (folder / file.name).write_bytes(file.read_bytes())
        return str(folder)

    monkeypatch.setattr(files, "hub_is_reachable", lambda: True)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return asked


@pytest.mark.parametrize("weights", FORMATS)
def test_a_repository_is_fetched_in_the_format_it_has(tmp_path, monkeypatch, weights):
    save_llm(tmp_path / "published", weights=weights)
    asked = fake_hub(monkeypatch, tmp_path, tmp_path / "published")

    assert new("vicuna-v15-7b").build().vocab_size == 320
    assert ("pytorch_model*.bin",) in asked or "bin" not in weights
    assert ("pytorch_model*.bin",) not in asked or "bin" in weights


def test_config_and_tokenizer_are_fetched_without_weights(tmp_path, monkeypatch):
    save_llm(tmp_path / "published")
    asked = fake_hub(monkeypatch, tmp_path, tmp_path / "published")

    new("vicuna-v15-7b", init="random").fetch_tokenizer()

    assert asked == [files.SMALL_FILES]


def test_a_repository_without_weights_is_refused(tmp_path, monkeypatch):
    copy_tokenizer(tmp_path / "published")
    (tmp_path / "published" / "config.json").write_text("{}")
    fake_hub(monkeypatch, tmp_path, tmp_path / "published")

    with pytest.raises(ConfigError, match="the repository lacks weights"):
        new("vicuna-v15-7b").fetch()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("GatedRepoError", "access is refused; accept the licence at https://huggingface.co/lmsys/vicuna-7b-v1.5"),
        ("RepositoryNotFoundError", "there is no repository lmsys/vicuna-7b-v1.5, or it is private"),
        ("LocalEntryNotFoundError", "the download failed;"),
        ("HfHubHTTPError", r"the download failed \(so it is\)"),
        ("HTTPError", r"the download failed \(so it is\)"),
    ],
)
def test_what_the_hub_refuses_becomes_one_line(tmp_path, monkeypatch, kind, message):
    from huggingface_hub import errors

    reply = (
        {"response": SimpleNamespace(headers={}, request=None)} if "Repo" in kind or kind == "HfHubHTTPError" else {}
    )
    error = getattr(errors, kind)("so it is", **reply)
    fake_hub(monkeypatch, tmp_path, tmp_path, error)

    with pytest.raises(ConfigError, match=message) as caught:
        new("vicuna-v15-7b").fetch()

    assert "\n" not in str(caught.value)


def test_an_index_that_is_none_is_refused(tmp_path):
    save_llm(tmp_path, weights="sharded safetensors")
    (tmp_path / "model.safetensors.index.json").write_text("[]")

    with pytest.raises(ConfigError, match=r"model.safetensors.index.json is no index of weights"):
        new(path=tmp_path).fetch()
