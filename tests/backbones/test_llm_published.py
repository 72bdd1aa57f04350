import pickle
from pathlib import Path

import draccus
import pytest
import torch
from torch.testing import assert_close

from merv.backbones.llm.base import LLMConfig
from merv.backbones.llm.published import HubLLMConfig
from merv.backbones.llm.reference import REFERENCE_TEMPLATES
from merv.backbones.llm.templates import TEMPLATES
from merv.backbones.weights import empty_parameters
from merv.chat import Turn

from .llm_folder import SIZES, new, no_hub, save_llm  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("no_hub")

PUBLISHED = [name for name in LLMConfig.available() if issubclass(LLMConfig.get(name), HubLLMConfig)]
FAMILIES = [
    ("llama2-7b-chat", "llama_tiny", 320),
    ("llama2-7b-pure", "llama_tiny", 320),
    ("vicuna-v15-7b", "llama_tiny", 320),
    ("llama3-8b-chat", "llama31_tiny", 448),
    ("llama3.1-8b-chat", "llama31_tiny", 412),
    ("qwen2.5-7b-instruct", "qwen2_tiny", 416),
    ("hf:somebody/something", "qwen2_tiny", 416),
]
"""Id, a tokenizer of its family, and the rows its embeddings come to."""


@pytest.mark.parametrize("name", [*PUBLISHED, "hf:owner/name"])
def test_config_survives_encode_decode_and_pickle(name):
    config = new(name, Path("/a/b"), max_length=99, init="random", num_layers=3, dtype="bfloat16")

    assert config.type_name == name
    assert draccus.decode(LLMConfig, draccus.encode(config, LLMConfig)) == config
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(("name", "tokenizer", "rows"), FAMILIES)
def test_embeddings_grow_by_the_padding_token_where_the_original_s_do(tmp_path, name, tokenizer, rows):
    model = save_llm(tmp_path, tokenizer=tokenizer)

    llm = new(name, tmp_path).build()

    old = model.get_input_embeddings().weight
    assert llm.vocab_size == len(llm.embed(torch.arange(rows))) == rows
    assert llm.logits(torch.zeros(1, SIZES["hidden_size"])).shape == (1, rows)
    assert_close(llm.model.get_input_embeddings().weight[: len(old)], old)
    assert llm.tokenizer.pad_token_id == llm.model.config.pad_token_id < rows


@pytest.mark.parametrize(
    ("name", "tokenizer", "padding"),
    [
        ("llama2-13b-chat", "llama_tiny", ("<PAD>", 319)),
        ("llama3-8b-pure", "llama31_tiny", ("<PAD>", 412)),
        ("llama3.1-8b-chat", "llama31_tiny", ("<|finetune_right_pad_id|>", 408)),
        ("qwen2.5-3b-instruct", "qwen2_tiny", ("<|endoftext|>", 406)),
        ("hf:somebody/something", "llama_tiny", ("</s>", 2)),
    ],
)
def test_each_family_has_its_padding_token(tmp_path, name, tokenizer, padding):
    save_llm(tmp_path, tokenizer=tokenizer)

    found = new(name, tmp_path).build().tokenizer

    assert (found.pad_token, found.pad_token_id) == padding
    assert found.padding_side == "right"


PARAMETERS = {
    "llama2-7b-pure": 6_738_415_616 + 2 * 64 * 4096,
    "llama2-7b-chat": 6_738_415_616 + 2 * 64 * 4096,
    "vicuna-v15-7b": 6_738_415_616 + 2 * 64 * 4096,
    "llama2-13b-pure": 13_015_864_320 + 2 * 64 * 5120,
    "llama2-13b-chat": 13_015_864_320 + 2 * 64 * 5120,
    "vicuna-v15-13b": 13_015_864_320 + 2 * 64 * 5120,
    "llama3-8b-pure": 8_030_261_248 + 2 * 64 * 4096,
    "llama3-8b-chat": 8_030_261_248 + 2 * 64 * 4096,
    "llama3.1-8b-chat": 8_030_261_248,
    "qwen2.5-3b-instruct": 3_085_938_688,
    "qwen2.5-7b-instruct": 7_615_616_512,
}
"""As published, and two times 64 rows where a padding token is added."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_empty_build_has_the_published_size(name):
    with empty_parameters():
        llm = new(name, init="random").build()

    assert sum(p.numel() for p in llm.parameters()) == PARAMETERS[name]
    assert all(p.is_meta for p in llm.parameters())
    assert len(llm.tokenizer) < llm.vocab_size
    assert llm.vocab_size % 64 == 0
    assert llm.visual_position == (0 if name.startswith("qwen") else 1)


@pytest.mark.parametrize(
    ("name", "theta", "scaling"),
    [
        ("llama2-7b-pure", 1e4, "default"),
        ("llama3-8b-chat", 5e5, "default"),
        ("llama3.1-8b-chat", 5e5, "llama3"),
        ("qwen2.5-7b-instruct", 1e6, "default"),
    ],
)
def test_built_in_shapes_have_the_published_rotary_embeddings(name, theta, scaling):
    with empty_parameters():
        rope = new(name, init="random", num_layers=1).build().model.config.rope_parameters

    assert (rope["rope_theta"], rope["rope_type"]) == (theta, scaling)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_stand_in_tokenizer_encodes_a_conversation(name):
    with empty_parameters():
        llm = new(name, init="random", num_layers=1).build()
    turns = [Turn("user", "What moves?"), Turn("assistant", "the circle")]

    row, prompt = (llm.template.encode(turns, llm.tokenizer, answer=answer).ids for answer in (True, False))

    assert max(row) < llm.vocab_size
    assert row[: len(prompt)] == prompt
    assert row[-1] in llm.end_ids
    assert llm.tokenizer.unk_token_id is None
    assert llm.tokenizer.pad_token_id not in llm.end_ids


@pytest.mark.parametrize(
    ("name", "tokenizer", "protocol", "expected"),
    [
        ("llama2-7b-chat", "llama_tiny", "merv", TEMPLATES["llama2-chat"]),
        ("llama3-8b-chat", "llama31_tiny", "merv", TEMPLATES["llama3-chat"]),
        ("qwen2.5-7b-instruct", "qwen2_tiny", "merv", TEMPLATES["qwen2"]),
        ("llama2-7b-pure", "llama_tiny", "reference", REFERENCE_TEMPLATES["pure"]),
        ("llama3-8b-chat", "llama31_tiny", "reference", REFERENCE_TEMPLATES["llama3-chat"]),
        ("llama3.1-8b-chat", "llama31_tiny", "reference", REFERENCE_TEMPLATES["llama3.1"]),
        ("hf:somebody/something", "llama_tiny", "merv", TEMPLATES["pure"]),
    ],
)
def test_a_model_comes_with_its_template(tmp_path, name, tokenizer, protocol, expected):
    save_llm(tmp_path, tokenizer=tokenizer)

    assert new(name, tmp_path, protocol=protocol).build().template == expected
