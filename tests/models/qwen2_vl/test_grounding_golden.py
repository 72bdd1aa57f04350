"""VideoMind's recorded states through our head give its levels, targets, losses, gradients and boxes."""

import json
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from merv.data.sample import Moments
from merv.models.qwen2_vl.grounding_blocks import relative_positions
from merv.models.qwen2_vl.grounding_head import GroundingHead, GroundingHeadConfig
from merv.models.qwen2_vl.grounding_loss import point_targets

from ..recorded import SHARED

TRAINING = ["g_train_T37_reg1", "g_train_T5_reg2", "g_dims256_train_T37_reg1"]
ANSWERS = ["g_infer_T37", "g_infer_T5", "g_dims256_infer_T37"]
PROTOCOLS = ["merv", "videomind"]

# The recordings' own: what another order of float32 sums makes of them; losses sum hundreds of such numbers.
STATES = {"rtol": 1e-5, "atol": 1e-5}
LOSSES = {"rtol": 1e-4, "atol": 1e-6}

pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="recordings of VideoMind are not beside this checkout")


class Recorded(NamedTuple):
    """One recording, and the head it belongs to."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    head: GroundingHead

    def run(self):
        facts, training = self.facts, "in.norm_state" in self.tensors
        state = self.tensors["in.norm_state" if training else "in.cache_norm_state"][0]
        start, end = facts["vision_slice"][0] if training else facts["vision_slice"]
        queries = state[facts["reg_positions"][0]] if training else self.tensors["in.reg_state0"][0]
        steps = state[start:end].unflatten(0, (facts["T"], facts["window"])).mean(1)
        mask = torch.ones(len(queries), facts["T"], dtype=torch.bool)
        return self.head.train(training)(steps.expand(len(queries), -1, -1), queries, mask)

    @property
    def targets(self):
        saliency, positive = self.tensors["in.saliency0"], int(self.tensors["in.pos_clip0"])
        return [Moments(torch.tensor(spans), saliency, positive) for spans in self.facts["timestamps"][0]]


def parameters(dims):
    if dims == 256:
        return torch.load(SHARED / "g_dims256_head.pt", weights_only=True)
    found = load_file(SHARED / "g_model_params.safetensors")
    named = {key.removeprefix("param."): value for key, value in found.items()}
    return {key: value for key, value in named.items() if not key.startswith(("model.", "visual.", "lm_head."))}


def recorded(case, protocol="merv") -> Recorded:
    facts = json.loads((SHARED / f"{case}.json").read_text())
    head = GroundingHead(GroundingHeadConfig(dims=facts["dims"], drop_path=0.0, protocol=protocol), 64)
    head.load_state_dict(parameters(facts["dims"]), strict=True)
    return Recorded(load_file(SHARED / f"{case}.safetensors"), facts, head)


def listen(head):
    """What the parts of a head say while it runs, by their recorded names."""
    heard: dict[str, list[Tensor]] = {}

    def keep(name):
        return lambda _module, _given, said: heard.setdefault(name, []).append(said)

    for name in ("vis_proj", "reg_proj", "vis_emb", "reg_emb", "vis_norm", "class_head", "coord_head", "pyramid"):
        head.get_submodule(name).register_forward_hook(keep(name))
    for number, layer in enumerate(head.vis_fuse):
        layer.register_forward_hook(keep(f"vis_fuse{number}"))
    return heard


def test_state_dict_has_the_published_keys_and_shapes():
    published = json.loads((SHARED / "g_dims256_head.keys.json").read_text())

    found = GroundingHead(GroundingHeadConfig(), 64).state_dict()

    assert {key: list(value.shape) for key, value in found.items()} == published


@pytest.mark.parametrize("case", TRAINING + ANSWERS)
def test_every_part_says_what_was_recorded(case):
    run = recorded(case, "videomind")
    heard = listen(run.head)

    output = run.run()

    found = {name: said[0] for name, said in heard.items() if name not in ("class_head", "coord_head", "pyramid")}
    found["vis_norm"] = found["vis_norm"].flatten(0, 1)
    found["reg_proj"], found["vis_proj"] = found["reg_proj"][:, None], found["vis_proj"][:1]
    found |= {f"pyramid{number}": level for number, level in enumerate(heard["pyramid"][0])}
    found["class_logits"], found["coord_raw"] = (torch.cat(heard[name], 1) for name in ("class_head", "coord_head"))
    found["vis_pos"] = relative_positions(output.mask, run.facts["dims"])
    found["generator"] = output.points.table
    expected = {name.removeprefix("mid."): value for name, value in run.tensors.items() if name.startswith("mid.")}
    shared = expected.keys() & found.keys()
    # What is recorded beside these has tests of its own below.
    rest = {"position_ids", "query_emb", "cls_tgt", "reg_tgt", "out_coord"}
    assert {name for name in expected.keys() - shared if "mask" not in name} <= rest
    for name in shared:
        assert_close(found[name], expected[name], **STATES, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", TRAINING)
def test_distances_and_masks_are_the_recorded_ones(case, protocol):
    run = recorded(case, protocol)

    output = run.run()

    assert_close(output.distances.flatten(0, 1), run.tensors["mid.out_coord"], **STATES)
    assert_close(output.query.flatten(0, 1)[:, None], run.tensors["mid.query_emb"], **STATES)
    masks = torch.cat([run.tensors[f"mid.pyramid_mask{number}"] for number in range(4)], 1)
    assert torch.equal(output.points.valid.repeat(3, 1), masks.bool())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", TRAINING)
def test_points_get_the_recorded_targets(case, protocol):
    run = recorded(case, protocol)
    spans = torch.stack([row.spans for row in run.targets]) * run.facts["T"]

    goal = point_targets(run.run().points, spans, torch.ones(spans.shape[:2], dtype=torch.bool), 1.5, protocol)

    expected = run.tensors["mid.cls_tgt"].bool()
    assert torch.equal(goal.positive, expected)
    # The original fills in the other points too; only `videomind` does the same.
    compared = expected if protocol == "merv" else torch.ones_like(expected)
    assert_close(goal.distances[compared], run.tensors["mid.reg_tgt"][compared], **STATES)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", TRAINING)
def test_losses_and_gradients_are_the_recorded_ones(case, protocol):
    run = recorded(case, protocol)
    (expected,) = run.facts["losses_per_row"]

    losses = run.head.losses(run.run(), run.targets)
    losses.total.mean().backward()

    for name in ("cls", "reg", "sal"):
        assert_close(getattr(losses, name).sum().item(), expected[f"loss_{name}"], **LOSSES)
    # The published loss of a sample: the mean over its head rows, beside that of the language model.
    assert_close(losses.total.mean(), (run.tensors["out.loss_total"] - run.tensors["out.lm_loss"])[0], **LOSSES)
    norms = {name: parameter.grad.norm() for name, parameter in run.head.named_parameters()}
    assert norms.keys() == run.facts["head_grad_norms"].keys()
    for name, norm in norms.items():
        assert_close(norm.item(), run.facts["head_grad_norms"][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ANSWERS)
def test_videomind_boxes_are_the_recorded_ones(case):
    run = recorded(case, "videomind")

    with torch.no_grad():
        output = run.run()
        (boxes,) = run.head.moments(output)

    assert_close(output.scores[0][:, None], run.tensors["out.saliency0"], **STATES)
    assert_close(boxes, run.tensors["out.boxes0"], **STATES)


@pytest.mark.parametrize("case", ["g_infer_T37", "g_dims256_infer_T37"])
def test_merv_boxes_of_a_long_clip_begin_with_the_recorded_best_within_the_clip(case):
    run = recorded(case, "merv")

    with torch.no_grad():
        (boxes,) = run.head.moments(run.run())

    best = run.tensors["out.boxes0"][0]
    assert_close(boxes[0], torch.cat((best[:2].clamp(0, 1), best[2:])), **STATES)
    assert (boxes[:, 2] > 0).all()
