import pytest

from merv.errors import ConfigError
from merv.export.sizes import Sizes

from .tiny import TYPES, config_of


@pytest.mark.parametrize("model_type", TYPES)
@pytest.mark.parametrize("tied", [True, False])
def test_sizes_come_from_the_config_of_the_language_model(model_type, tied):
    sizes = Sizes.of(config_of(model_type, tied=tied))

    assert (sizes.num_layers, sizes.hidden_size, sizes.num_heads, sizes.num_groups) == (4, 64, 8, 4)
    assert (sizes.head_dim, sizes.ffn_size, sizes.vocab_size, sizes.qkv_size) == (8, 96, 151, 128)
    assert sizes.tied is tied
    assert sizes.has_qkv_bias is (model_type != "llama")


def test_a_head_dim_of_its_own_is_read():
    assert Sizes.of(config_of("llama", head_dim=16)).head_dim == 16


def test_a_model_without_a_table_is_refused():
    from transformers import AutoConfig

    with pytest.raises(ConfigError, match="no table of Megatron-core names for model type `gpt2`; there are: qwen2, "):
        Sizes.of(AutoConfig.for_model("gpt2"))


@pytest.mark.parametrize(
    ("changes", "tp", "pp", "line"),
    [
        ({"num_attention_heads": 6, "num_key_value_heads": 6}, 4, 1, "--tp 4 does not divide the 6 attention heads"),
        ({"num_key_value_heads": 2}, 4, 1, r"--tp 4 does not divide the 2 groups of keys .*; choose one of 1, 2$"),
        ({"intermediate_size": 98}, 4, 1, "--tp 4 does not divide the 98 columns of the MLP; choose one of 1, 2$"),
        ({}, 1, 3, "--pp 3 does not divide the 4 layers; choose one of 1, 2, 4$"),
        ({}, 0, 1, "--tp 0 --pp 1 is no layout; each is at least 1"),
    ],
)
def test_a_layout_that_does_not_divide_is_refused(changes, tp, pp, line):
    with pytest.raises(ConfigError, match=line):
        Sizes.of(config_of("qwen2", **changes)).check_divides(tp, pp)


@pytest.mark.parametrize(("tp", "divisible_by", "rows"), [(1, 1, 151), (1, 128, 256), (2, 128, 256), (4, 128, 512)])
def test_each_rank_has_a_multiple_of_rows_of_the_vocabulary(tp, divisible_by, rows):
    assert Sizes.of(config_of("llama")).padded_vocab_size(divisible_by, tp) == rows
