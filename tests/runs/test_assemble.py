from types import SimpleNamespace

import pytest

from merv.conf.parse import parse
from merv.data.dataset import Source
from merv.data.group_sampling import GroupedSampler
from merv.data.sample import Sample, Turn
from merv.data.sampling import LengthGroupedSampler, SplitModalitySampler
from merv.errors import MervError
from merv.runs.assemble import build_sampler
from merv.runs.pretrain_config import PretrainConfig

TASKS = ["moment"] * 5 + ["candidate"] * 3
ROWS = Source("roles", [Sample(str(i), (Turn("user", "x" * i),), meta={"task": task}) for i, task in enumerate(TASKS)])
PROCESSOR = SimpleNamespace(length=lambda sample: len(sample.turns[0].text), expect=lambda kinds: None)
MODEL = SimpleNamespace(processor=PROCESSOR)


def sampler_of(name):
    sizes = ["--model.align.global_batch_size", "2", "--model.align.per_device_batch_size", "1"]
    words = ["--model.type", "merv-tiny", "--stage", "align", "--sampler", name, "--seed", "3", *sizes]
    return build_sampler(parse(PretrainConfig, words), ROWS, MODEL)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("split-modality", SplitModalitySampler),
        ("length-grouped", LengthGroupedSampler),
        ("grouped", GroupedSampler),
    ],
)
def test_the_named_sampler_is_built_with_the_size_of_the_stage(name, kind):
    sampler = sampler_of(name)

    assert type(sampler) is kind
    assert (sampler.global_batch_size, sampler.seed, list(sampler.lengths)) == (2, 3, list(range(8)))


def test_grouped_batches_hold_rows_of_one_task():
    batches = sampler_of("grouped").global_batches(0)

    assert len(batches) == 5
    assert all(len({TASKS[row] for row in batch}) == 1 for batch in batches)


def test_an_unknown_sampler_is_refused_with_the_known_ones():
    with pytest.raises(MervError, match="grouped"):
        sampler_of("by-kind")
