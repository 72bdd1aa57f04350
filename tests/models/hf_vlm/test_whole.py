"""Whole models as folders of the hub; transformers is the judge."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_vlms import KINDS, tiny_vlm
from transformers import AutoProcessor

from merv.models.hf_vlm import whole
from merv.models.hf_vlm.whole import num_bytes, save_whole

from .adapted import load, logits


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    root = tmp_path_factory.mktemp("bases")
    return {name: tiny_vlm(name, root / name) for name in KINDS}


def changed(model):
    """A model's tensors after something was learned, and the model."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1.1
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def check_same(model, other):
    """Bit for bit the same weights, and the same answers but for where they lie in memory."""
    state = other.state_dict()
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    torch.testing.assert_close(logits(model), logits(other), rtol=1e-4, atol=1e-4)


def tensors_of(folder):
    return {key: tensor for file in folder.glob("*.safetensors") for key, tensor in load_file(file).items()}


@pytest.mark.parametrize("name", KINDS)
def test_transformers_opens_the_folder(name, bases, tmp_path):
    model = load(bases[name])

    save_whole(tmp_path / "out", changed(model), model.config, AutoProcessor.from_pretrained(bases[name]))

    check_same(load(tmp_path / "out"), model)
    assert AutoProcessor.from_pretrained(tmp_path / "out").chat_template
    assert not (tmp_path / "out" / whole.PARTIAL).exists()


@pytest.mark.parametrize("name", KINDS)
def test_names_in_the_file_are_the_published_ones(name, bases, tmp_path):
    model = load(bases[name])

    save_whole(tmp_path / "out", model.state_dict(), model.config)

    published, written = tensors_of(bases[name]), tensors_of(tmp_path / "out")
    assert written.keys() == published.keys()
    assert all(torch.equal(written[key], tensor) for key, tensor in published.items())
    assert set(model.state_dict()) != set(published), "in memory names are others"


def test_a_large_model_gets_shards_and_an_index(bases, tmp_path):
    model = load(bases["aria"])

    save_whole(tmp_path / "out", changed(model), model.config, max_shard_size="100KB")

    names = {path.name for path in (tmp_path / "out").glob("*.safetensors")}
    index = json.loads((tmp_path / "out" / whole.INDEX).read_text())
    assert len(names) > 2
    assert set(index["weight_map"].values()) == names
    check_same(load(tmp_path / "out"), model)


def test_types_are_kept_and_named(bases, tmp_path):
    model = load(bases["qwen2-vl"], dtype=torch.bfloat16)

    save_whole(tmp_path / "out", model.state_dict(), model.config)

    assert {tensor.dtype for tensor in tensors_of(tmp_path / "out").values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def tied_model():
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, tie_word_embeddings=True, **sizes)).eval()


def test_tied_weights_are_written_once(tmp_path):
    from transformers import AutoModelForCausalLM

    model = tied_model()

    save_whole(tmp_path / "out", model.state_dict(), model.config)

    assert "lm_head.weight" not in tensors_of(tmp_path / "out")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert again.lm_head.weight is again.model.embed_tokens.weight
    torch.testing.assert_close(logits(again), logits(model))


def test_tied_weights_that_were_gathered_one_by_one_are_written_once(tmp_path):
    """A sharded model's state holds copies; a tied name may also be left out."""
    model = tied_model()
    apart = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    less = {name: tensor for name, tensor in apart.items() if name != "lm_head.weight"}

    for at, tensors in enumerate((apart, less)):
        save_whole(tmp_path / str(at), tensors, model.config)
        assert "lm_head.weight" not in tensors_of(tmp_path / str(at))


def test_lacking_and_strange_tensors_are_our_mistake(bases, tmp_path):
    model = load(bases["qwen2-vl"])
    state = model.state_dict()
    name = next(iter(state))

    with pytest.raises(AssertionError, match=name):
        save_whole(tmp_path / "out", {key: tensor for key, tensor in state.items() if key != name}, model.config)
    with pytest.raises(AssertionError, match="strange"):
        save_whole(tmp_path / "out", {**state, "strange": torch.zeros(1)}, model.config)
    assert not list((tmp_path / "out").iterdir())


def test_older_weights_stay_whole_when_an_export_is_killed(bases, tmp_path, monkeypatch):
    model = load(bases["qwen2-vl"])
    save_whole(tmp_path / "out", model.state_dict(), model.config)
    before = logits(model)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(whole, "_move", killed)
    with pytest.raises(KeyboardInterrupt):
        save_whole(tmp_path / "out", changed(model), model.config, max_shard_size="100KB")

    assert not (tmp_path / "out" / whole.PARTIAL).exists()
    torch.testing.assert_close(logits(load(tmp_path / "out")), before)


@pytest.mark.parametrize(("first", "second"), [("5GB", "100KB"), ("100KB", "5GB"), ("60KB", "100KB")])
def test_what_is_left_of_older_weights_goes(first, second, bases, tmp_path):
    model = load(bases["qwen2-vl"])
    save_whole(tmp_path / "out", model.state_dict(), model.config, max_shard_size=first)
    (tmp_path / "out" / "config.yaml").write_text("ours")

    save_whole(tmp_path / "out", changed(model), model.config, max_shard_size=second)

    check_same(load(tmp_path / "out"), model)
    names = {path.name for path in (tmp_path / "out").glob("model*")}
    kept = {whole.FILE}
    if second != "5GB":
        kept = {whole.INDEX, *json.loads((tmp_path / "out" / whole.INDEX).read_text())["weight_map"].values()}
    assert names == kept
    assert (tmp_path / "out" / "config.yaml").is_file()


def test_generation_config_is_kept(bases, tmp_path):
    from transformers import GenerationConfig

    model = load(bases["qwen2-vl"])

    save_whole(
        tmp_path / "out",
        model.state_dict(),
        model.config,
        generation_config=GenerationConfig(do_sample=True, temperature=0.3),
    )

    assert GenerationConfig.from_pretrained(tmp_path / "out").temperature == 0.3


def test_files_say_they_are_torchs(bases, tmp_path):
    model = load(bases["llava"])
    save_whole(tmp_path / "out", model.state_dict(), model.config)

    with safe_open(tmp_path / "out" / whole.FILE, framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_bytes_of_tied_tensors_count_once():
    tensor = torch.zeros(4)

    assert num_bytes({"a": tensor, "b": tensor, "c": torch.zeros(1, dtype=torch.bfloat16)}) == 18
