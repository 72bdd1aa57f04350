import pytest
import torch
from torch.testing import assert_close

from merv.errors import ConfigError
from merv.models.qwen2_vl.grounding_head import GroundingHead, GroundingHeadConfig

from .grounding_rows import HIDDEN, alone, moments, rows, tiny_head

LENGTHS = [37, 5, 12, 1, 8, 7, 20]
PROTOCOLS = ["merv", "videomind"]
# Sums over more places, zeros among them, in another order.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


def targets_of(lengths):
    return [moments(length, (0.1, 0.6), (0.55, 0.95)) for length in lengths]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"strides": (2, 4)},
            r"strides is \(2, 4\); expected powers of two, ascending from 1, such as \(1, 2, 4, 8\)",
        ),
        ({"strides": (1, 3)}, r"strides is \(1, 3\); expected powers of two"),
        ({"strides": (1, 4, 2)}, r"strides is \(1, 4, 2\); expected powers of two"),
        ({"strides": (1, 1)}, r"strides is \(1, 1\); expected powers of two"),
        ({"strides": ()}, r"strides is \(\); expected powers of two"),
        ({"strides": (1, 0)}, r"strides is \(1, 0\); expected powers of two"),
        ({"dims": 250}, "dims is 250; expected an even multiple of num_heads, 8"),
        ({"dims": 9, "num_heads": 3}, "dims is 9; expected an even multiple of num_heads, 3"),
        ({"num_heads": 0}, "dims is 256; expected an even multiple of num_heads, 0"),
        ({"activation": "swish"}, "activation is swish; expected one of silu, gelu, relu"),
        ({"protocol": "reference"}, "protocol is reference; expected merv or videomind"),
        ({"num_layers": 0}, "num_layers is 0; expected at least 1"),
        ({"drop_path": 1.0}, r"drop_path is 1.0; expected 0 to below 1"),
        ({"sample_radius": 0.0}, r"sample_radius is 0.0; expected above 0"),
        ({"class_weight": -1.0}, r"class_weight is -1.0; expected at least 0"),
        ({"coordinate_weight": -1.0}, r"coordinate_weight is -1.0; expected at least 0"),
        ({"saliency_weight": -1.0}, r"saliency_weight is -1.0; expected at least 0"),
        ({"nms_threshold": 0.0}, r"nms_threshold is 0.0; expected above 0 and at most 1"),
        ({"max_moments": 0}, "max_moments is 0; expected at least 1"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(options, words):
    with pytest.raises(ConfigError, match=f"^{words}"):
        GroundingHeadConfig(**options)


def test_strides_from_a_config_file_may_be_a_list():
    assert GroundingHeadConfig(strides=[1, 2]).strides == (1, 2)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_rows_losses_are_the_same_alone_and_in_a_padded_batch(protocol):
    head, given = tiny_head(protocol=protocol).train(), rows(LENGTHS, width=41)
    targets = targets_of(LENGTHS)

    batch = head.losses(head(*given), targets)

    for row, length in enumerate(LENGTHS):
        single = head.losses(head(*alone(row, length, given)), targets[row : row + 1])
        for found, expected in zip(batch, single, strict=True):
            assert_close(found[row : row + 1], expected, **ROUNDING)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_rows_moments_are_the_same_alone_and_in_a_padded_batch(protocol):
    head, given = tiny_head(protocol=protocol).eval(), rows(LENGTHS, width=41)

    batch = head.moments(head(*given))

    for row, length in enumerate(LENGTHS):
        (single,) = head.moments(head(*alone(row, length, given)))
        assert_close(batch[row], single, **ROUNDING)


@pytest.mark.parametrize("training", [True, False])
def test_what_stands_in_padding_does_not_matter(training):
    head = tiny_head().train(training)
    steps, queries, mask = rows(LENGTHS)
    dirty = steps.masked_fill(~mask[..., None], torch.nan)

    clean, found = head(steps, queries, mask), head(dirty, queries, mask)

    assert torch.equal(clean.logits, found.logits)
    assert torch.equal(clean.distances, found.distances)


def test_no_gradient_reaches_padding_and_every_real_step_and_query_gets_one():
    head = tiny_head().train()
    steps, queries, mask = rows(LENGTHS)
    steps.requires_grad_()
    queries.requires_grad_()

    head.loss(head(steps, queries, mask), targets_of(LENGTHS)).sum().backward()

    assert torch.equal(steps.grad.abs().sum(-1) > 0, mask)
    assert (queries.grad.abs().sum(-1) > 0).all()


def test_every_fusion_layer_is_supervised_in_training_and_the_last_one_answers():
    head, given = tiny_head(num_layers=3).train(), rows([12])

    training = head(*given)
    answer = head.eval()(*given)

    assert len(training.logits) == 3
    assert len(answer.logits) == 1
    assert_close(answer.logits[0], training.logits[2])
    assert_close(answer.scores, training.scores)


@pytest.mark.parametrize("length", [1, 2, 5, 7])
def test_a_short_clip_is_treated_alike_in_training_and_answers(length):
    given = rows([length])
    for protocol, alike in (("merv", True), ("videomind", False)):
        head = tiny_head(protocol=protocol)
        training, answer = head.train()(*given), head.eval()(*given)

        assert training.points.sizes == (8, 4, 2, 1)
        assert (training.points.sizes == answer.points.sizes) is alike


def test_a_clip_without_any_step_gives_no_moment_and_no_nan():
    head = tiny_head().eval()
    steps, queries, mask = rows([9, 9])
    mask[1] = False

    output = head(steps, queries, mask)

    assert not output.logits.isnan().any()
    assert head.moments(output)[1].shape == (0, 3)


def test_a_clip_longer_than_the_published_buffer_is_learned_and_answered():
    head, given = tiny_head(), rows([1100])

    loss = head.loss(head.train()(*given), [moments(1100, (0.97, 0.99))])

    assert loss.isfinite().all()
    assert len(head.moments(head.eval()(*given))[0]) == 100


def test_a_head_in_bfloat16_takes_any_states_and_gives_float32():
    head, given = tiny_head(), rows(LENGTHS)
    exact = head.train().losses(head(*given), targets_of(LENGTHS)).total
    head = head.to(torch.bfloat16)

    for dtype in (torch.bfloat16, torch.float32):
        output = head(given[0].to(dtype), given[1].to(dtype), given[2])
        loss = head.loss(output, targets_of(LENGTHS))

        assert output.logits.dtype == output.distances.dtype == loss.dtype == torch.float32
        # Three significant digits a number, through a dozen layers.
        assert_close(loss, exact, rtol=0.05, atol=0.05)
    assert head.moments(output)[0].dtype == torch.float32


def test_drop_path_changes_training_and_not_answers():
    torch.manual_seed(0)
    head, given = tiny_head(drop_path=0.5), rows([12] * 8)

    assert not torch.equal(head.train()(*given).logits, head(*given).logits)
    assert torch.equal(head.eval()(*given).logits, head(*given).logits)


def test_a_fresh_head_has_finite_weights_and_the_published_start():
    torch.manual_seed(0)
    head = GroundingHead(GroundingHeadConfig(dims=64), 128)

    assert all(parameter.isfinite().all() for parameter in head.parameters())
    assert head.vis_fuse[0].ffn.mapping[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert head.vis_emb.weights.std().item() == pytest.approx(64**-0.5, rel=0.4)
    assert torch.equal(head.coef.scale, torch.ones(4))


def test_a_head_learns_where_two_moments_are():
    torch.manual_seed(0)
    head = GroundingHead(GroundingHeadConfig(dims=16, num_heads=2, num_layers=1, drop_path=0.0), HIDDEN).train()
    given, targets = rows([16, 11]), [moments(16, (0.25, 0.5)), moments(11, (0.6, 0.9))]
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        head.loss(head(*given), targets).sum().backward()
        optimizer.step()

    found = head.moments(head.eval()(*given))

    for boxes, target in zip(found, targets, strict=True):
        assert_close(boxes[0, :2], target.spans[0], atol=0.05, rtol=0)


def regular_head(protocol):
    """A head whose weights are a formula, so that no random generator has a say."""
    head = tiny_head(protocol=protocol)
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            place = torch.arange(parameter.numel(), dtype=torch.float64) + 7 * number
            parameter.copy_((place * 0.7).sin().mul(0.5).reshape(parameter.shape))
        head.coef.scale.fill_(1.0)
    return head


def regular_rows():
    place = torch.arange(2 * 11 * HIDDEN, dtype=torch.float64)
    steps = (place * 0.37).cos().float().reshape(2, 11, HIDDEN)
    return steps, steps[:, 0].flip(-1), torch.arange(11) < torch.tensor([[11], [5]])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_losses_of_a_fixed_head_stay_what_they_were(protocol):
    head = regular_head(protocol).train()

    losses = head.losses(head(*regular_rows()), [moments(11, (0.2, 0.6)), moments(5, (0.7, 1.0))])

    for name, expected in LOSSES[protocol].items():
        assert_close(getattr(losses, name), torch.tensor(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_best_moments_of_a_fixed_head_stay_what_they_were(protocol):
    head = regular_head(protocol).eval()

    found = head.moments(head(*regular_rows()))

    for boxes, expected in zip(found, BOXES[protocol], strict=True):
        assert_close(boxes[:3], torch.tensor(expected), rtol=1e-4, atol=1e-5)


# Recorded from this implementation while it gave VideoMind's recorded tensors (test_grounding_golden).
LOSSES = {
    "merv": {"cls": [8.72613, 5.81375], "reg": [5.27095, 3.32828], "sal": [0.22638, 0.1834]},
    "videomind": {"cls": [8.72613, 5.81375], "reg": [5.27095, 3.09893], "sal": [0.22638, 0.1834]},
}
BOXES = {
    "merv": [
        [[0.43346, 0.82679, 0.85138], [0.34492, 0.741, 0.84834], [0.5224, 0.89959, 0.84681]],
        [[0.5403, 1.0, 0.85539], [0.70299, 1.0, 0.85397], [0.35297, 1.0, 0.84522]],
    ],
    "videomind": [
        [[0.43346, 0.82679, 0.85138], [0.34492, 0.741, 0.84834], [0.5224, 0.89959, 0.84681]],
        [[0.5403, 1.42618, 0.85539], [0.35297, 1.18052, 0.84522], [0.66879, 1.30814, 0.83734]],
    ],
}
