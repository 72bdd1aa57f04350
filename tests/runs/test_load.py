"""Runs on a small language model in its published layout, loaded again: what comes from the run, and what does not."""

import pytest
import torch
from backbones.llm_folder import save_llm
from helpers import run_words, train

import merv
from merv.chat import Turn
from merv.data.sample import Sample
from merv.errors import ConfigError

ASKED = Sample("a", (Turn("user", "What colour is it?"),))


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    """A language model with more embeddings than a stand-in tokenizer has words, as real ones have."""
    folder = tmp_path_factory.mktemp("llm")
    save_llm(folder, vocab_size=1000, max_position_embeddings=512)
    return folder


@pytest.fixture(scope="module")
def run(llm, synthetic_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    named = ("--model.llm_backbone_id", "llama2-7b-pure", "--model.llm_path", str(llm))
    train(run_words(synthetic_data, root, "run", *named, stage="finetune", max_steps=1))
    return root / "run"


def test_an_llm_that_was_trained_needs_no_weights_of_its_publisher(run, llm, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((llm / name).read_bytes())

    model = merv.load(run, device="cpu", llm_path=tmp_path)

    expected = merv.load(run, device="cpu")
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), atol=0, rtol=0)
    assert torch.equal(
        model.processor.prepare(ASKED, answer=False).input_ids,
        expected.processor.prepare(ASKED, answer=False).input_ids,
    )


def test_a_tokenizer_that_is_gone_is_told_and_never_replaced(run, llm, tmp_path):
    (tmp_path / "config.json").write_bytes((llm / "config.json").read_bytes())

    with pytest.raises(
        ConfigError, match=r"LLM backbone `llama2-7b-pure`: .* lacks a tokenizer .*; set --model.llm_p"
    ):
        merv.load(run, device="cpu", llm_path=tmp_path)
