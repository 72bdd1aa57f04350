import pickle

import draccus
import pytest
import torch
from torch.testing import assert_close

from merv.backbones.hub import HubSource
from merv.backbones.llm.base import LLMConfig
from merv.backbones.llm.templates import TEMPLATES
from merv.backbones.weights import empty_parameters
from merv.errors import ConfigError

from .llm_folder import SIZES, new, no_hub, save_llm  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("no_hub")


def test_a_model_that_has_grown_is_saved_and_read_back_as_it_is(tmp_path):
    save_llm(tmp_path / "published")
    first = new("llama2-7b-pure", tmp_path / "published").build()
    first.model.save_pretrained(tmp_path / "grown")
    first.tokenizer.save_pretrained(tmp_path / "grown")

    second = new("llama2-7b-pure", tmp_path / "grown").build()

    assert_close(second.state_dict(), first.state_dict(), atol=0, rtol=0)
    text = "  two  spaces </s><s>[INST] x"
    assert second.tokenizer(text).input_ids == first.tokenizer(text).input_ids


def test_an_empty_build_takes_the_weights_of_a_checkpoint(tmp_path):
    save_llm(tmp_path)
    trained = new(path=tmp_path).build().eval()
    (tmp_path / "model.safetensors").unlink()
    with empty_parameters():
        empty = new(path=tmp_path, init="random").build().eval()

    empty.load_state_dict(trained.state_dict(), assign=True)

    ids = torch.arange(3, 13)[None]
    with torch.no_grad():
        found, expected = (llm.logits(llm(llm.embed(ids), None)) for llm in (empty, trained))
    assert_close(found, expected, atol=0, rtol=0)


def test_a_tied_model_stays_tied_when_it_is_empty_and_when_weights_are_assigned(tmp_path):
    model = save_llm(tmp_path, tokenizer="qwen2_tiny", tie_word_embeddings=True)
    weights = {f"model.{key}": tensor.clone() for key, tensor in model.state_dict().items()}
    with empty_parameters():
        llm = new("qwen2.5-3b-instruct", tmp_path, init="random").build()
    empty = dict(llm.named_parameters())

    llm.load_state_dict(weights, assign=True)

    assert "model.lm_head.weight" not in empty
    assert empty.keys() == dict(llm.named_parameters()).keys()
    assert llm.model.get_output_embeddings().weight is llm.model.get_input_embeddings().weight
    assert_close(llm.state_dict(), weights, atol=0, rtol=0)


def test_random_weights_come_from_torch_s_generator(tmp_path):
    save_llm(tmp_path)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(new(path=tmp_path, init="random").build().embed(torch.tensor([5])))

    assert_close(drawn[0], drawn[1], atol=0, rtol=0)
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("tokenizer", ["llama_tiny", "qwen2_tiny"])
def test_num_layers_makes_a_shallower_model(tmp_path, tokenizer):
    save_llm(tmp_path, tokenizer=tokenizer, num_hidden_layers=3)

    llm = new("hf:somebody/something", tmp_path, init="random", num_layers=1).build()

    assert len(llm.blocks()) == 1
    assert llm(llm.embed(torch.tensor([[5, 6]])), None).shape == (1, 2, SIZES["hidden_size"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "llama2-7b-pure",
            {"num_layers": 2},
            "num_layers is 2, but published weights have all layers; set init random",
        ),
        ("llama2-7b-pure", {"num_layers": 0, "init": "random"}, "num_layers is 0; it must be at least 1"),
        ("llama2-7b-pure", {"max_length": 7}, "llm max_length is 7 tokens"),
        ("hf:a/b", {"protocol": "reference"}, "the original does not have this LLM; leave protocol at merv"),
        ("hf:b", {}, "LLM backbone `hf:b`: expected hf:<owner/name>"),
        ("hf:a/../b", {}, "expected hf:<owner/name>"),
        ("llama2-7b-pur", {}, "did you mean `llama2-7b-pure`"),
    ],
)
def test_options_that_cannot_work_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        new(name, **options)


def test_an_unknown_repository_needs_its_config():
    with pytest.raises(ConfigError, match=r"`hf:a/b`: its config.json is not on this disk; run `hf download a/b`"):
        new("hf:a/b", init="random").build()


def test_an_hf_id_is_registered_once_when_it_is_first_asked_for():
    first = LLMConfig.get("hf:a/b")

    assert first.source == HubSource("a/b")
    assert LLMConfig.get("hf:a/b") is first
    assert draccus.decode(LLMConfig, {"type": "hf:c/d", "init": "random"}).type_name == "hf:c/d"


def test_a_pickled_hf_id_is_registered_where_it_is_read():
    pickled = pickle.dumps(new("hf:a/b", dtype="bfloat16"))
    del LLMConfig.get_known_choices()["hf:a/b"]

    config = pickle.loads(pickled)

    assert (config.type_name, config.dtype) == ("hf:a/b", "bfloat16")


def test_a_template_of_another_family_can_be_chosen(tmp_path):
    save_llm(tmp_path)

    assert new("hf:somebody/something", tmp_path, template="vicuna").build().template == TEMPLATES["vicuna"]
    with pytest.raises(ConfigError, match="template qwen2 ends answers with"):
        new("hf:somebody/something", tmp_path, template="qwen2").build()


def test_answers_end_at_every_token_that_may_end_them(tmp_path):
    save_llm(tmp_path, tokenizer="llama31_tiny", eos_token_id=[407, 400])
    llm = new("llama3.1-8b-chat", tmp_path).build()
    llm.tokenizer.eos_token = "<|end_of_text|>"

    assert llm.end_ids == [400, 407, 411]

    embeds, head = llm.embed(torch.tensor([[5, 6]])).detach(), llm.model.get_output_embeddings().weight
    hidden = llm(embeds, None)[0, -1].detach()
    for end in llm.end_ids:
        with torch.no_grad():
            head.zero_()[end] = hidden  # makes it the likeliest token
        assert llm.generate(embeds, torch.ones(1, 2, dtype=torch.bool)).tolist() == [[end]]
