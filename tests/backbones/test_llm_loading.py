import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from merv.backbones.llm.loading import load_tokenizer
from merv.errors import CheckpointError, ConfigError

from .llm_folder import FORMATS, new, no_hub, save_llm  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("no_hub")


@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("tokenizer", ["llama_tiny", "qwen2_tiny"])
def test_weights_are_read_in_every_published_format(tmp_path, tokenizer, weights):
    model = save_llm(tmp_path, tokenizer=tokenizer, weights=weights)
    ids = torch.arange(3, 13)[None]

    llm = new("hf:somebody/something", tmp_path).build().eval()

    with torch.no_grad():
        found = llm.logits(llm(llm.embed(ids), torch.ones_like(ids, dtype=torch.bool)))
        assert_close(found, model(ids).logits, atol=1e-6, rtol=1e-6)


def test_new_rows_begin_at_the_mean_of_the_old_ones(tmp_path):
    model = save_llm(tmp_path)

    llm = new("vicuna-v15-7b", tmp_path).build()

    for module, old in (
        (llm.model.get_input_embeddings(), model.get_input_embeddings()),
        (llm.model.get_output_embeddings(), model.get_output_embeddings()),
    ):
        assert_close(module.weight[319], old.weight.mean(0))


def test_a_tied_model_needs_no_head_of_its_own(tmp_path):
    from safetensors import safe_open

    save_llm(tmp_path, tokenizer="qwen2_tiny", tie_word_embeddings=True)

    llm = new("qwen2.5-3b-instruct", tmp_path).build()

    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118 - not a dict
    assert llm.model.get_output_embeddings().weight is llm.model.get_input_embeddings().weight


def test_weights_take_the_dtype_asked_for(tmp_path):
    save_llm(tmp_path)

    found = {name: new(path=tmp_path, dtype=name).build() for name in ("float32", "bfloat16")}

    assert {name: {p.dtype for p in llm.parameters()} for name, llm in found.items()} == {
        "float32": {torch.float32},
        "bfloat16": {torch.bfloat16},
    }


def test_weights_with_buffers_of_old_versions_are_read(tmp_path):
    save_llm(tmp_path, weights="bin")
    tensors = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    torch.save(
        {**tensors, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}, tmp_path / "pytorch_model.bin"
    )

    assert len(new(path=tmp_path).build().blocks()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 32}, r"`model.embed_tokens.weight` is \(319, 16\) there, \(319, 32\) here"),
        ({"num_hidden_layers": 3}, r"`model.layers.2.self_attn.q_proj.weight` is missing there, \(16, 16\) here"),
        ({"num_hidden_layers": 1}, r"`model.layers.1.input_layernorm.weight` is there, but not here"),
    ],
)
def test_weights_of_another_model_are_refused_with_the_first_difference(tmp_path, change, message):
    save_llm(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change, "head_dim": 8, "layer_types": None}))

    with pytest.raises(CheckpointError, match=message) as caught:
        new(path=tmp_path).build()

    assert "\n" not in str(caught.value)


class _Code:
    def __reduce__(self):
        return Path.touch, (Path("/tmp/never"),)


def test_a_pickle_with_code_is_refused(tmp_path):
    save_llm(tmp_path, weights="bin")
    torch.save({"model.embed_tokens.weight": _Code()}, tmp_path / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match=r"pytorch_model.bin is refused: .*merv never runs code of a file"):
        new(path=tmp_path).build()


@pytest.mark.parametrize("weights", ["safetensors", "bin", "sharded safetensors"])
def test_a_damaged_file_is_named(tmp_path, weights):
    save_llm(tmp_path, weights=weights)
    file = sorted(file for file in tmp_path.iterdir() if file.suffix in (".safetensors", ".bin"))[-1]
    file.write_bytes(file.read_bytes()[:200])

    with pytest.raises(CheckpointError, match=rf"{file.name} .*download it again|{file.name} is refused") as caught:
        new(path=tmp_path).build()

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "text"), [("config.json", "{"), ("config.json", '{"model_type": "unheard-of"}')])
def test_a_config_that_cannot_be_used_is_refused(tmp_path, name, text):
    save_llm(tmp_path)
    (tmp_path / name).write_text(text)

    with pytest.raises(ConfigError, match=r"config.json cannot be used: ") as caught:
        new(path=tmp_path).build()

    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_cannot_be_used_is_refused(tmp_path):
    save_llm(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")

    with pytest.raises(ConfigError, match=r"the tokenizer in .* cannot be used: "):
        new(path=tmp_path).build()


def test_a_model_that_is_no_language_model_is_refused(tmp_path):
    save_llm(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')

    with pytest.raises(ConfigError, match=r"LLM backbone `hf:somebody/something`: .*[Uu]nrecognized configuration"):
        new("hf:somebody/something", tmp_path).build()


@pytest.mark.skipif(torch.cuda.is_available(), reason="flash-attention may be there")
def test_flash_attention_is_refused_where_it_cannot_run(tmp_path):
    save_llm(tmp_path)

    with pytest.raises(ConfigError, match="flash_attention_2, which needs the package flash-attn and a CUDA device"):
        new(path=tmp_path, attention="flash_attention_2").build()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_is_the_one_asked_for(tmp_path, attention):
    save_llm(tmp_path)

    built = [new(path=tmp_path, attention=attention, init=init).build() for init in ("pretrained", "random")]

    assert [llm.model.config._attn_implementation for llm in built] == [attention] * 2


def test_a_published_taste_for_sampling_is_forgotten(tmp_path):
    save_llm(tmp_path)
    (tmp_path / "generation_config.json").write_text(
        json.dumps({"do_sample": True, "temperature": 0.6, "repetition_penalty": 1.05, "eos_token_id": 2})
    )

    found = new(path=tmp_path).build().model.generation_config

    assert not found.do_sample
    assert found.temperature in (None, 1.0)
    assert found.repetition_penalty in (None, 1.0)


def test_a_sentencepiece_model_alone_gives_the_ids_of_sentencepiece(tmp_path):
    import sentencepiece

    text = "The dog is in the yard. What is the man doing? A user asks, the assistant answers.\n"
    (tmp_path / "text").write_text(text * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"),
        model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=320,
        model_type="bpe",
        byte_fallback=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": False})
    )
    expected = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))

    tokenizer = load_tokenizer(tmp_path, "LLM")

    for piece in ("The dog", " The dog", "  two  spaces", "USER: What?\nASSISTANT:", "é", "\n"):
        assert tokenizer(piece, add_special_tokens=False).input_ids == expected.encode(piece)
    assert tokenizer("The dog").input_ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(expected.encode("The dog is")) == "The dog is"
