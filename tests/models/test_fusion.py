from pathlib import Path

import draccus
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

from merv.errors import ConfigError
from merv.models.fusion import FusionConfig
from merv.models.published import FUSIONS

from .recorded import recorded_run

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "parts"
DIM = 20

RECORDED = {
    "a_concat_channel": ("concat_channel", {}),
    "a_concat_channel_ln": ("concat_channel_ln", {}),
    "a_scalar": ("scalar", {}),
    "a_xattn_lq_avg0": ("cross_attention", {"embed_dim": 48, "average_tokens": False}),
    "a_xattn_lq_avg1": ("cross_attention", {"embed_dim": 48}),
    "a_xattn_lq_avg1_2enc": ("cross_attention", {"embed_dim": 40}),
    "a_xattn_lq_avg1_pe": ("cross_attention", {"embed_dim": 32, "positional_embedding": True}),
}
"""Golden case -> registered name and options."""

OPTIONS = {"cross_attention": {"embed_dim": 16}}
MATCHING = [name for name in FusionConfig.available() if name not in ("first", "concat")]


def fusion_config(published):
    options = dict(FUSIONS[published])
    return FusionConfig.new(options.pop("type"), **options)


def build(name, num_tokens, dim=DIM, **options):
    return FusionConfig.get(name)(**{**OPTIONS.get(name, {}), **options}).build(num_tokens, dim)


def tokens(*counts, batch_size=2, requires_grad=False):
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(batch_size, count, DIM, generator=generator) for count in counts]
    return [t.requires_grad_(requires_grad) for t in made]


def parameters(recorded):
    return {key.removeprefix("param."): value for key, value in recorded.items() if key.startswith("param.")}


@pytest.mark.parametrize("case", RECORDED)
def test_recorded_weights_load_strictly_and_give_recorded_tokens(case):
    name, options = RECORDED[case]
    recorded = load_file(GOLDEN / f"{case}.safetensors")
    encoders = [recorded[key] for key in sorted(recorded) if key.startswith("in.v")]
    fusion = build(name, [v.shape[1] for v in encoders], **options)

    fusion.load_state_dict(parameters(recorded), strict=True)
    fused = fusion(encoders)

    assert_close(fused.tokens, recorded.get("out.fused", recorded.get("out.y")), atol=1e-5, rtol=0)
    if "out.weights" in recorded:
        assert_close(fused.weights, recorded["out.weights"].expand_as(fused.weights), atol=1e-5, rtol=0)
    else:
        assert fused.weights is None


@pytest.mark.parametrize("case", RECORDED)
def test_state_dict_has_the_published_keys_and_shapes(case):
    name, options = RECORDED[case]
    recorded = load_file(GOLDEN / f"{case}.safetensors")
    counts = [recorded[key].shape[1] for key in sorted(recorded) if key.startswith("in.v")]

    own = build(name, counts, **options).state_dict()

    assert {key: t.shape for key, t in own.items()} == {key: t.shape for key, t in parameters(recorded).items()}


@pytest.mark.parametrize(
    ("case", "published"),
    [
        ("lq", "cross_attention_avg_lq"),
        ("lq_mixed", "cross_attention_avg_lq"),
        ("single", "cross_attention_avg_lq"),
        ("concat_channel", "concat_channel"),
    ],
)
def test_published_run_gives_recorded_fused_tokens(case, published):
    recorded = recorded_run(case)
    encoders = [recorded.projected(index) for index in range(recorded.num_encoders)]
    fusion = fusion_config(published).build([v.shape[1] for v in encoders], dim=64)

    fusion.load_state_dict(recorded.weights["feature_fusion"], strict=True)
    fused = fusion(encoders)

    assert_close(fused.tokens, recorded.tensors["mid.fused"], atol=1e-5, rtol=0)
    if "mid.mixer_weights" in recorded.tensors:
        assert_close(fused.weights, recorded.tensors["mid.mixer_weights"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", FusionConfig.available())
def test_fusion_gives_the_tokens_it_declares(name):
    fusion = build(name, [6, 6, 6])

    fused = fusion(tokens(6, 6, 6))

    assert fused.tokens.shape == (2, fusion.num_tokens, DIM)


@pytest.mark.parametrize("name", FusionConfig.available())
def test_one_encoder_alone_can_be_fused(name):
    fusion = build(name, [6])

    assert fusion(tokens(6)).tokens.shape == (2, 6, DIM)


@pytest.mark.parametrize("options", [{}, {"positional_embedding": True}, {"average_tokens": False}])
@pytest.mark.parametrize("name", FusionConfig.available())
def test_gradients_reach_every_parameter_and_every_encoder(name, options):
    fusion = build(name, [6, 6, 6], **(options if name == "cross_attention" else {}))
    encoders = tokens(6, 6, 6, requires_grad=True)

    fusion(encoders).tokens.square().sum().backward()

    assert [key for key, p in fusion.named_parameters() if p.grad is None] == []
    assert all(v.grad is not None for v in encoders)


@pytest.mark.parametrize("name", FusionConfig.available())
def test_bfloat16_autocast_gives_finite_gradients(name):
    fusion = build(name, [6, 6])
    encoders = [v.detach().bfloat16().requires_grad_() for v in tokens(6, 6)]

    with torch.autocast("cpu", torch.bfloat16):
        fused = fusion(encoders)
    fused.tokens.float().square().sum().backward()

    assert fused.tokens.dtype == torch.bfloat16
    assert all(t.grad.isfinite().all() for t in [*fusion.parameters(), *encoders])


@pytest.mark.parametrize("name", ["cross_attention", "scalar"])
def test_weights_stay_float32_shares_under_autocast(name):
    fusion = build(name, [6, 6, 6])

    with torch.autocast("cpu", torch.bfloat16):
        weights = fusion([v.bfloat16() for v in tokens(6, 6, 6)]).weights

    assert weights.dtype == torch.float32
    assert weights.shape == (2, 3)
    assert_close(weights.sum(1), torch.ones(2))


@pytest.mark.parametrize("name", MATCHING)
def test_an_encoder_with_one_token_counts_as_that_token_repeated(name):
    fusion = build(name, [6, 1])
    many, one = tokens(6, 1)

    assert_close(fusion([many, one]).tokens, fusion([many, one.repeat(1, 6, 1)]).tokens)


@pytest.mark.parametrize("name", MATCHING)
def test_token_counts_that_differ_are_refused(name):
    with pytest.raises(ConfigError, match=rf"`{name}`: the encoders give \[6, 8, 1\] tokens, .* the fusion `concat`"):
        build(name, [6, 8, 1])


def test_concat_keeps_all_tokens_in_the_order_of_encoders():
    encoders = tokens(3, 1, 5)

    fused = build("concat", [3, 1, 5])(encoders)

    assert_close(fused.tokens, torch.cat(encoders, 1), atol=0, rtol=0)


def test_first_gives_the_first_encoder_and_the_others_a_gradient_of_zero():
    encoders = tokens(3, 5, requires_grad=True)

    fused = build("first", [3, 5])(encoders)
    fused.tokens.sum().backward()

    assert_close(fused.tokens, encoders[0], atol=0, rtol=0)
    assert encoders[1].grad.count_nonzero() == 0


@pytest.mark.parametrize("name", FusionConfig.available())
def test_config_survives_encode_and_decode(name):
    config = FusionConfig.get(name)(**OPTIONS.get(name, {}))

    tree = draccus.encode(config, FusionConfig)

    assert tree["type"] == name
    assert draccus.decode(FusionConfig, tree) == config


@pytest.mark.parametrize("name", FusionConfig.available())
def test_state_dict_makes_a_second_fusion_equal(name):
    first, second = build(name, [6, 6]), build(name, [6, 6])

    second.load_state_dict(first.state_dict(), strict=True)

    assert_close(first(tokens(6, 6)).tokens, second(tokens(6, 6)).tokens, atol=0, rtol=0)


def test_scalar_takes_the_first_numbers_of_a_published_weight():
    fusion = nn.ModuleDict({"fusion": build("scalar", [6, 6])})

    fusion.load_state_dict({"fusion.scalar": torch.tensor([0.5, -0.5, 9.0, 9.0])}, strict=True)

    assert fusion["fusion"].scalar.tolist() == [0.5, -0.5]


def test_scalar_refuses_weights_of_another_number_of_encoders():
    with pytest.raises(RuntimeError, match="size mismatch"):
        build("scalar", [6, 6]).load_state_dict({"scalar": torch.zeros(3)})


def test_scalar_begins_with_equal_weights():
    assert_close(build("scalar", [6, 6])(tokens(6, 6)).weights, torch.full((2, 2), 0.5))


def test_cross_attention_agrees_with_torch_where_keys_are_as_wide_as_the_query():
    fusion = build("cross_attention", [6, 6], embed_dim=DIM)
    attention = nn.MultiheadAttention(DIM, 1, batch_first=True)
    encoders = tokens(6, 6)
    query = torch.randn(1, DIM)
    keys = torch.stack([v.mean(1) for v in encoders], 1)

    state = {f"attention.{key}": value for key, value in attention.state_dict().items()}
    fusion.load_state_dict({"Q": query, **state}, strict=True)
    _, expected = attention(query.expand(2, 1, -1), keys, keys)

    assert_close(fusion(encoders).weights, expected[:, 0])


def test_projections_nothing_reads_are_not_trained():
    trained = {key for key, _ in build("cross_attention", [6, 6]).named_parameters()}

    assert trained == {"Q", "attention.q_proj_weight", "attention.k_proj_weight", "attention.in_proj_bias"}


@pytest.mark.parametrize("published", FUSIONS)
def test_published_names_lead_to_registered_fusions(published):
    assert fusion_config(published).type_name == FUSIONS[published]["type"]


def test_published_cross_attention_averages_tokens_only_where_its_name_says_so():
    assert fusion_config("cross_attention_avg_lq").average_tokens
    assert not fusion_config("cross_attention_lq").average_tokens


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embed_dim": 0}, r"embed_dim is 0; it must be at least 1"),
        (
            {"positional_embedding": True, "average_tokens": False},
            r"positional_embedding .* set average_tokens to true",
        ),
    ],
)
def test_cross_attention_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        FusionConfig.get("cross_attention")(**options)
