"""The tiny base: the same for everyone who has its sizes and its seed."""

import pytest
import torch

from merv.models.qwen2_vl.tiny import CHAT, TinyBaseConfig, tiny_base, tiny_tokenizer
from merv.models.qwen2_vl.tokens import VIDEO

SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_layers": 1, "num_heads": 2, "vision_dim": 16}


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def drawn(tokenizer, **options):
    return tiny_base(TinyBaseConfig(**{**SMALL, "vision_depth": 1, **options}), tokenizer)


def weights(base):
    return {name: tensor.clone() for name, tensor in base.state_dict().items()}


def test_weights_depend_on_sizes_and_seed_alone(tokenizer):
    torch.manual_seed(1)
    one = weights(drawn(tokenizer))
    torch.manual_seed(2)
    other = weights(drawn(tokenizer))

    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], tensor) for name, tensor in weights(drawn(tokenizer, seed=8)).items())


def test_drawing_leaves_the_generator_alone(tokenizer):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)

    drawn(tokenizer)

    assert torch.equal(torch.rand(3), expected)


class FixedTokenizer:
    """As many tokens as it had when the weights below were drawn: they depend on the number of words, too."""

    eos_token_id, pad_token_id = 2, 0

    def __len__(self):
        return 690

    def convert_tokens_to_ids(self, token):
        return CHAT.index(token) + 680


def test_weights_of_a_vocabulary_are_those_runs_were_made_on():
    base = drawn(FixedTokenizer())

    # Runs on the tiny base keep adapters alone: where a new transformers draws others, they are worth nothing.
    query = base.model.language_model.layers[0].self_attn.q_proj.weight[0, :3]
    torch.testing.assert_close(query, torch.tensor([0.043945, 0.082681, -0.204319]), rtol=0, atol=1e-5)
    torch.testing.assert_close(base.lm_head.weight[-1, :2], torch.tensor([0.141836, -0.100333]), rtol=0, atol=1e-5)


def test_the_tokenizer_has_the_tokens_of_a_qwen2_vl(tokenizer):
    base = drawn(tokenizer)

    assert base.config.video_token_id == tokenizer.convert_tokens_to_ids(VIDEO)
    assert base.get_input_embeddings().weight.shape[0] == len(tokenizer)
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.bos_token is None
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_any_text_goes_through_the_tokenizer_and_back(tokenizer):
    text = 'Plan: [{"type": "grounder", "value": "señal 漢字"}]\n'

    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


@pytest.mark.parametrize(("width", "heads"), [(32, 2), (64, 4), (128, 4), (96, 4)])
def test_positions_fill_the_width_of_a_head(tokenizer, width, heads):
    base = drawn(tokenizer, hidden_size=width, num_heads=heads)

    rope = base.config.text_config.rope_parameters
    assert sum(rope["mrope_section"]) == width // heads // 2
