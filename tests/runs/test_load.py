"""Runs on a small language model in its published layout, loaded again: what comes from the run, and what does not."""

import shutil

import pytest
import torch
from backbones.llm_folder import save_llm
from helpers import run_words, train
from models.qwen2_vl.role_folders import write_published
from safetensors.torch import load_file

import merv
from merv.chat import Turn
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.runs.cli import main

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


def test_of_a_published_llm_only_the_adapters_are_saved_and_they_count(llm, synthetic_data, tmp_path):
    named = ("--model.llm_backbone_id", "llama2-7b-pure", "--model.llm_path", str(llm))
    adapters = ("--model.finetune.lora.rank", "2")
    train(run_words(synthetic_data, tmp_path, "lora", *named, *adapters, stage="finetune", max_steps=3))

    held = load_file(tmp_path / "lora" / "model.safetensors")
    model = merv.load(tmp_path / "lora", device="cpu")

    of_llm = [name for name in held if name.startswith("llm.")]
    assert of_llm
    assert all("lora_" in name for name in of_llm)
    base = load_file(llm / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"]
    changed = model.llm.model.state_dict()["model.layers.0.self_attn.q_proj.weight"]
    assert changed.shape == base.shape
    assert not torch.equal(changed, base)
    torch.testing.assert_close(changed, base, atol=0.1, rtol=0)


def test_a_question_may_name_the_folder_of_the_llm(run, llm, tmp_path, capsys):
    copy = tmp_path / "elsewhere"
    shutil.copytree(llm, copy)

    status = main(["ask", str(run), "What colour is it?", "--llm_path", str(copy), "--max_new_tokens", "3"])

    assert status == 0
    assert capsys.readouterr().out.endswith("\n")


def test_a_role_model_in_float16_is_refused(tmp_path):
    folder = write_published(tmp_path / "roles")

    with pytest.raises(
        ConfigError, match=r"roles: dtype is float16, in which role models overflow; use bfloat16 or float32$"
    ):
        merv.load(folder, device="cpu", dtype=torch.float16)
    assert merv.load(folder, device="cpu", dtype=torch.bfloat16).llm.embed(torch.tensor([0])).dtype == torch.bfloat16


def test_models_without_roles_may_be_asked_in_float16(run):
    assert merv.load(run, device="cpu", dtype=torch.float16).llm.embed(torch.tensor([0])).dtype == torch.float16
