import draccus
import pytest
import torch
from torch.testing import assert_close

from merv.backbones.llm.base import LLM, LLMConfig
from merv.errors import ConfigError

OWN = [name for name in LLMConfig.available() if not LLMConfig.get(name).pretrained]


def build(name="tiny-llama", seed=0, **options):
    torch.manual_seed(seed)
    return LLMConfig.new(name, **options).build().eval()


@pytest.fixture(scope="module")
def llm() -> LLM:
    return build(num_layers=2, max_length=64)


def embeds(llm, rows=2, length=7):
    ids = torch.arange(3, 3 + rows * length).view(rows, length)
    return llm.embed(ids).detach(), ids


@pytest.mark.parametrize("name", OWN)
def test_config_survives_encode_and_decode(name):
    config = LLMConfig.new(name, max_length=99)

    assert draccus.decode(LLMConfig, draccus.encode(config, LLMConfig)) == config


@pytest.mark.parametrize("name", OWN)
def test_an_llm_embeds_attends_and_predicts(name):
    llm = build(name)
    x, _ = embeds(llm)

    hidden = llm(x, torch.ones(2, 7, dtype=torch.bool))

    assert x.shape == hidden.shape == (2, 7, llm.dim)
    assert llm.logits(hidden).shape == (2, 7, llm.model.config.vocab_size)
    assert llm.model.config.vocab_size >= len(llm.tokenizer)
    assert llm.tokenizer.pad_token_id is not None


@pytest.mark.parametrize("name", OWN)
def test_blocks_are_submodules_and_all_run(name):
    llm = build(name)
    ran = []
    for block in llm.blocks():
        block.register_forward_hook(lambda module, *_: ran.append(module))

    llm(embeds(llm)[0], torch.ones(2, 7, dtype=torch.bool))

    assert ran == llm.blocks()
    assert set(ran) <= set(llm.modules())


@pytest.mark.parametrize("name", OWN)
def test_gradients_reach_every_parameter(name):
    llm = build(name)
    ids = torch.arange(3, 10)[None]

    llm.logits(llm(llm.embed(ids), torch.ones(1, 7, dtype=torch.bool))).square().sum().backward()

    assert [key for key, p in llm.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_hidden_states_and_logits_are_those_of_transformers(llm):
    x, ids = embeds(llm)

    with torch.no_grad():
        expected = llm.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        found = llm.logits(llm(x, torch.ones_like(ids, dtype=torch.bool)))

    assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_nothing(llm, side):
    x, _ = embeds(llm)
    junk = torch.full((2, 3, llm.dim), 7.0)
    mask = torch.ones(2, 7, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)
    order = (lambda a, b: [b, a]) if side == "left" else (lambda a, b: [a, b])

    with torch.no_grad():
        alone = llm(x, mask[0])
        padded = llm(torch.cat(order(x, junk), 1), torch.cat(order(*mask), 1))

    assert_close(padded[:, 3:] if side == "left" else padded[:, :7], alone, atol=1e-5, rtol=1e-5)
    assert padded.isfinite().all()


def test_later_tokens_do_not_reach_earlier_ones(llm):
    x, _ = embeds(llm)
    changed = x.clone()
    changed[:, -1] += 1

    with torch.no_grad():
        one, two = (llm(values, torch.ones(2, 7, dtype=torch.bool)) for values in (x, changed))

    assert_close(one[:, :-1], two[:, :-1], atol=0, rtol=0)
    assert not torch.equal(one[:, -1], two[:, -1])


def test_generate_gives_new_tokens_only_and_takes_options(llm):
    x, _ = embeds(llm)
    mask = torch.ones(2, 7, dtype=torch.bool)

    ids = llm.generate(x, mask, max_new_tokens=4, min_new_tokens=4)

    assert ids.shape == (2, 4)
    with torch.no_grad():
        first = llm.logits(llm(x, mask)[:, -1])
    first[:, llm.tokenizer.eos_token_id] = -torch.inf  # min_new_tokens forbids the end
    assert ids[:, 0].tolist() == first.argmax(-1).tolist()
    assert_close(llm.generate(x, mask, max_new_tokens=4, min_new_tokens=4), ids)


@pytest.mark.parametrize("name", OWN)
def test_the_same_generator_makes_the_same_weights(name):
    first, second, other = build(name), build(name), build(name, seed=1)

    assert_close(first.state_dict(), second.state_dict(), atol=0, rtol=0)
    assert not torch.equal(first.embed(torch.tensor([[5]])), other.embed(torch.tensor([[5]])))


def test_options_become_sizes():
    llm = build(hidden_size=32, intermediate_size=40, num_layers=1, num_heads=2, max_length=77)

    config = llm.model.config
    assert (llm.dim, llm.max_length, len(llm.blocks())) == (32, 77, 1)
    assert (config.intermediate_size, config.num_attention_heads, config.max_position_embeddings) == (40, 2, 77)


def test_a_length_nothing_fits_into_is_refused():
    with pytest.raises(ConfigError, match="llm max_length is 7 tokens; it must be at least 8"):
        LLMConfig.new("tiny-llama", max_length=7)
