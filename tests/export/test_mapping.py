import pytest
import torch

from merv.export.mapping import Entry, entries, fuse, join_parts, take_part, unfuse
from merv.export.sizes import Sizes

from .tiny import config_of

SIZES = Sizes.of(config_of("qwen2", num_attention_heads=4, num_key_value_heads=2, hidden_size=4))
"""Two groups of two queries, each one wide."""


def entry(name, sizes=SIZES):
    return next(one for one in entries(sizes, "model.") if one.name == name)


def test_qkv_holds_for_each_group_its_queries_then_key_and_value():
    qkv = entry("decoder.layers.0.self_attention.linear_qkv.bias")
    q, k, v = torch.tensor([1, 2, 3, 4]), torch.tensor([10, 20]), torch.tensor([100, 200])

    fused = fuse(qkv, [q, k, v], SIZES)

    assert fused.tolist() == [1, 2, 10, 100, 3, 4, 20, 200]
    assert [part.tolist() for part in unfuse(qkv, fused, SIZES)] == [q.tolist(), k.tolist(), v.tolist()]
    assert take_part(qkv, fused, 1, 2, 0).tolist() == [3, 4, 20, 200]


def test_each_rank_has_its_rows_of_gate_and_then_of_up():
    both = entry("decoder.layers.0.mlp.linear_fc1.weight")
    gate, up = torch.tensor([[1], [2]]), torch.tensor([[3], [4]])

    whole = fuse(both, [gate, up], SIZES)
    parts = [take_part(both, whole, rank, 2, 0) for rank in range(2)]

    assert [part.flatten().tolist() for part in parts] == [[1, 3], [2, 4]]
    assert join_parts(both, parts).flatten().tolist() == [1, 2, 3, 4]
    assert [part.flatten().tolist() for part in unfuse(both, whole, SIZES)] == [[1, 2], [3, 4]]


def test_a_vocabulary_is_padded_with_zeros_that_joining_cuts_off():
    words = Entry("w", ("w",), (3, 1), "copy", "vocabulary", "first")
    whole = torch.tensor([[1], [2], [3]])

    parts = [take_part(words, whole, rank, 2, 8) for rank in range(2)]

    assert [part.flatten().tolist() for part in parts] == [[1, 2, 3, 0], [0, 0, 0, 0]]
    assert torch.equal(join_parts(words, parts), whole)


@pytest.mark.parametrize("tp", [1, 2, 4])
@pytest.mark.parametrize("model_type", ["qwen2", "llama"])
def test_parts_of_every_tensor_join_to_the_whole(model_type, tp):
    sizes = Sizes.of(config_of(model_type))
    padded = sizes.padded_vocab_size(128, tp)

    for one in entries(sizes, "model."):
        whole = torch.randn(one.shape)
        parts = [take_part(one, whole, rank, tp, padded) for rank in range(tp)]
        assert torch.equal(join_parts(one, parts), whole), one.name


def test_biases_and_head_are_of_the_models_that_have_them():
    def names(model_type, *, tied):
        return {one.name for one in entries(Sizes.of(config_of(model_type, tied=tied)), "model.")}

    bias, head = "decoder.layers.3.self_attention.linear_qkv.bias", "output_layer.weight"

    assert {bias, head} <= names("qwen2", tied=False)
    assert not {bias, head} & names("llama", tied=True)
