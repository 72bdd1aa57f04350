import dataclasses
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from merv.backbones.llm.tiny import TinyLlamaConfig
from merv.backbones.video.tiny import TinyVideoConfig
from merv.data.sample import IGNORE_INDEX
from merv.models.freeze import set_stage
from merv.models.fusion import FusionConfig
from merv.models.multi_encoder.encoding import features_of
from merv.models.multi_encoder.frames import take
from merv.models.stage import StageConfig

from .rows import mixed_rows, tiny_model

# Sums in another order: rows alone and together go through matrix products of other sizes.
SAME = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return mixed_rows(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="module")
def examples(model, samples):
    return [model.processor.prepare(sample) for sample in samples]


@pytest.fixture(scope="module")
def prompts(model, samples):
    return [model.processor.prepare(sample, answer=False) for sample in samples]


def collate(model, examples, pad="right"):
    return model.processor.collate(examples, pad=pad)


def attended(model, batch, pad="right"):
    """The LLM's hidden states of each row, padding left out."""
    with torch.no_grad():
        spliced = model.splice(batch, pad)
        hidden = model.llm(spliced.embeds, spliced.attention_mask)
    return [states[mask] for states, mask in zip(hidden, spliced.attention_mask, strict=True)]


@pytest.mark.parametrize("fusion", ["cross_attention", "concat", "concat_channel"])
def test_a_mixed_batch_is_the_sum_of_its_rows_alone(samples, fusion):
    model = tiny_model(fusion=FusionConfig.new(fusion, **({"embed_dim": 16} if fusion == "cross_attention" else {})))
    examples = [model.processor.prepare(sample) for sample in samples]

    with torch.no_grad():
        together = model(collate(model, examples))
        alone = [model(collate(model, [example])) for example in examples]

    assert together.num_tokens == sum(output.num_tokens for output in alone)
    assert_close(together.loss_sum, sum(output.loss_sum for output in alone), **SAME)


def test_rows_keep_the_order_of_the_batch(model, examples):
    order = [3, 1, 4, 0, 2]

    rows = attended(model, collate(model, examples))
    shuffled = attended(model, collate(model, [examples[number] for number in order]))

    for place, number in enumerate(order):
        assert_close(shuffled[place], rows[number], **SAME)


@pytest.mark.parametrize("pad", ["right", "left"])
def test_a_row_is_the_same_alone_and_in_a_batch(model, examples, pad):
    together = attended(model, collate(model, examples, pad), pad)

    for example, states in zip(examples, together, strict=True):
        assert_close(attended(model, collate(model, [example], pad), pad)[0], states, **SAME)


def test_every_modality_changes_what_the_text_sees(model, examples):
    blank = [dataclasses.replace(e, frames={k: 255 - t for k, t in e.frames.items()}) for e in examples]

    seen, other = (attended(model, collate(model, some)) for some in (examples, blank))

    changed = [not torch.allclose(one[-1], two[-1], atol=1e-4) for one, two in zip(seen, other, strict=True)]
    assert changed == [False, True, True, False, True]


def repeated_still(model, example):
    return dataclasses.replace(
        example, frames={k: t.expand(model.max_frames, -1, -1, -1) for k, t in example.frames.items()}
    )


def test_a_still_passes_a_framewise_encoder_once_and_equals_the_repeated_still(model, examples):
    still = examples[2]
    frames_seen = []
    handles = [
        encoder.register_forward_pre_hook(lambda module, inputs: frames_seen.append(tuple(inputs[0].shape[:2])))
        for encoder in model.video_backbones
    ]

    with torch.no_grad():
        once = [features_of(encoder, collate(model, [still])) for encoder in model.video_backbones]
        often = [
            features_of(encoder, collate(model, [repeated_still(model, still)])) for encoder in model.video_backbones
        ]
    for handle in handles:
        handle.remove()

    assert [encoder.framewise for encoder in model.video_backbones] == [True, True, False]
    assert frames_seen == [(1, 1), (1, 1), (1, 8), (1, 4), (1, 8), (1, 8)]
    for one, two in zip(once, often, strict=True):
        assert_close(one, two, **SAME)
    for one in once[:2]:
        assert_close(one, one[:, :1].expand_as(one), atol=0, rtol=0)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_padding_never_changes_the_loss(model, examples, data):
    chosen = data.draw(st.lists(st.integers(0, len(examples) - 1), min_size=1, max_size=3, unique=True))
    extra = data.draw(st.integers(1, 9))
    batch = collate(model, [examples[number] for number in chosen])

    def widen(values, fill):
        return torch.nn.functional.pad(values, (0, extra), value=fill)

    padded = dataclasses.replace(
        batch,
        input_ids=widen(batch.input_ids, data.draw(st.integers(0, 200))),  # whatever token padding happens to be
        labels=widen(batch.labels, IGNORE_INDEX),
        attention_mask=widen(batch.attention_mask, False),
        targets=None,
    )

    with torch.no_grad():
        plain, wide = model(batch), model(padded)

    assert_close(wide.loss_sum, plain.loss_sum, **SAME)
    assert wide.num_tokens == plain.num_tokens


def test_labels_stay_off_visual_positions(model, examples):
    batch = collate(model, examples)
    with torch.no_grad():
        spliced = model.splice(batch)

    num_visual = model.visual_tokens()
    for row, example in enumerate(examples):
        if example.has_visual:
            assert (spliced.labels[row, 1 : 1 + num_visual] == IGNORE_INDEX).all()
        learned = spliced.labels[row][spliced.labels[row] != IGNORE_INDEX]
        assert_close(learned, example.labels[example.labels != IGNORE_INDEX])
    assert model(batch).num_tokens == batch.num_target_tokens()


def calls(model, batch):
    """How often each module runs."""
    counted = Counter()
    handles = [
        module.register_forward_hook(lambda *_, name=name: counted.update([name]))
        for name, module in model.named_modules()
    ]
    output = model(batch)
    for handle in handles:
        handle.remove()
    return output, counted


def test_the_same_modules_run_whatever_a_batch_holds(model, examples):
    ran = [calls(model, collate(model, some))[1] for some in (examples, examples[:1], examples[1:2], examples[2:3])]

    assert ran[0] == ran[1] == ran[2] == ran[3]
    parts = ("video_backbones.0", "video_backbones.1", "video_backbones.2", "projectors.0", "fusion", "llm")
    assert all(ran[0][part] == 1 for part in parts)


def test_text_alone_gives_visual_parts_gradients_of_zero_and_not_none(examples):
    model = tiny_model()
    set_stage(model, "full-finetune", StageConfig())

    model(collate(model, [examples[0], examples[3]])).loss_sum.backward()

    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    nonzero = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert without == []
    assert nonzero == {"llm"}


def test_frames_give_every_part_a_gradient(examples):
    model = tiny_model()
    set_stage(model, "full-finetune", StageConfig())

    model(collate(model, examples)).loss_sum.backward()

    for name, part in model.parts().items():
        assert any(parameter.grad.any() for parameter in part.parameters()), name
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def new_ids(model, prompts):
    with torch.no_grad():
        spliced = model.splice(collate(model, prompts, "left"), "left")
    ids = model.llm.generate(spliced.embeds, spliced.attention_mask, max_new_tokens=6)
    return [[i for i in answer if i != model.llm.tokenizer.pad_token_id] for answer in ids.tolist()]


def test_an_answer_does_not_depend_on_the_rows_beside_it(model, prompts):
    together = new_ids(model, prompts)

    assert together == [new_ids(model, [prompt])[0] for prompt in prompts]
    assert len({tuple(ids) for ids in together}) > 1


def test_generation_continues_with_what_the_forward_pass_finds_most_likely(model, prompts):
    for prompt, generated in zip(prompts, new_ids(model, prompts), strict=True):
        ids, expected = prompt.input_ids, []
        for _ in generated:
            batch = collate(model, [dataclasses.replace(prompt, input_ids=ids, labels=torch.full_like(ids, -100))])
            expected.append(int(model.llm.logits(attended(model, batch)[0][-1]).argmax()))
            ids = torch.cat([ids, torch.tensor(expected[-1:])])
        assert generated == expected


def test_generate_gives_the_text_of_each_row_in_order(model, prompts):
    answers = model.respond(collate(model, prompts, "left"), max_new_tokens=6)

    decoded = [model.llm.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in new_ids(model, prompts)]
    assert answers == decoded


def test_parts_hold_every_parameter_once_under_their_own_name(model):
    owned = [f"{part}.{name}" for part, module in model.parts().items() for name, _ in module.named_parameters()]

    assert sorted(owned) == sorted(name for name, _ in model.named_parameters())


def test_blocks_are_the_layers_of_the_encoders_and_of_the_llm(model):
    blocks = model.blocks()

    own = [block for part in (*model.video_backbones, model.llm) for block in part.blocks()]
    assert blocks == own
    assert len(blocks) == len(set(blocks)) >= 5
    assert set(blocks) <= set(model.modules())


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ((), {"projectors", "fusion", "video_backbones", "llm"}),
        ((TinyVideoConfig,), {"projectors", "fusion", "llm"}),
        ((TinyVideoConfig, TinyLlamaConfig), {"projectors", "fusion"}),
    ],
)
def test_parts_that_nobody_can_download_are_named(model, monkeypatch, published, expected):
    for config_class in published:
        monkeypatch.setattr(config_class, "pretrained", True)

    assert model.unpublished_parts() == expected


def test_a_seed_decides_the_weights_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = tiny_model(seed=1), tiny_model(seed=1), tiny_model(seed=2)

    assert_close(first.state_dict(), second.state_dict(), atol=0, rtol=0)
    assert not torch.equal(
        first.projectors[0].state_dict().popitem()[1], other.projectors[0].state_dict().popitem()[1]
    )
    assert_close(torch.get_rng_state(), before, atol=0, rtol=0)


def test_views_of_equal_name_are_made_once(model):
    assert [view.name for view in model.processor.views] == ["32-naive-bicubic"]


def test_stations_count_the_tokens_they_handle(model, examples):
    batch = collate(model, examples[:3])  # text, a clip, a still

    counted = model.station_tokens(batch)

    frames = [4 + 1, 8 + 1, 4 + 4]  # framewise encoders see one frame of the still, the tubelets of tiny-motion halve
    for number, (encoder, seen) in enumerate(zip(model.video_backbones, frames, strict=True)):
        assert counted[f"video_backbones.{number}"] == seen * encoder.grid.tokens_per_frame
        assert counted[f"projectors.{number}"] == 2 * 16
    assert counted["fusion"] == 2 * 16
    assert counted["llm"] == 2 * 16 + sum(len(example.input_ids) for example in examples[:3])
    assert counted.keys() == model.stations().keys()


class Waits(TorchDispatchMode):
    """Operations whose result the host has to wait for on an accelerator: values, and shapes that depend on values."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__.removeprefix("aten::")
        by_mask = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        if by_mask or any(name.startswith(part) for part in self.NAMES):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_operations_that_wait_are_noticed():
    with Waits() as waits:
        torch.arange(4)[torch.arange(4) > 1].sum().item()

    assert waits.found == ["index", "_local_scalar_dense"]


@pytest.mark.parametrize("stage", ["align", "finetune", "full-finetune"])
def test_neither_forward_nor_backward_makes_the_host_wait(samples, stage):
    model = tiny_model()
    set_stage(model, stage, StageConfig())
    batch = collate(model, [model.processor.prepare(sample) for sample in samples])

    with Waits() as waits:
        model(batch).loss_sum.backward()

    assert waits.found == []


def test_frozen_encoders_leave_no_graph(model, examples):
    model = tiny_model()
    set_stage(model, "finetune", StageConfig())
    batch = collate(model, examples)

    assert [features_of(encoder, batch).grad_fn for encoder in model.video_backbones] == [None] * 3
    set_stage(model, "full-finetune", StageConfig())
    assert all(features_of(encoder, batch).grad_fn is not None for encoder in model.video_backbones)


def test_evenly_spaced_frames_are_taken_without_a_copy():
    frames = torch.arange(12)

    for indices in ([0, 1, 2], [1, 4, 7, 10], [3], [0, 0, 1], [5, 4, 3]):
        taken = take(frames, indices)
        shares = taken.untyped_storage().data_ptr() == frames.untyped_storage().data_ptr()
        assert taken.tolist() == indices
        assert shares == (indices in ([0, 1, 2], [1, 4, 7, 10]))
