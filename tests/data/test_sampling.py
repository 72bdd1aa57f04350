import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merv.data.sampling import LengthGroupedSampler, SplitModalitySampler
from merv.errors import CheckpointError, ConfigError

GOLDEN = json.loads((Path(__file__).resolve().parents[1] / "golden" / "split_modality.json").read_text())
ROWS = st.lists(st.tuples(st.booleans(), st.integers(1, 200)), min_size=1, max_size=60)
WORLDS = st.sampled_from([(1, 4), (2, 2), (4, 1), (2, 1), (1, 1)])


def sampler_of(kind, rows, size, **options):
    if kind is SplitModalitySampler:
        return SplitModalitySampler(rows, size, **options)
    return LengthGroupedSampler([n for _, n in rows], size, window_batches=3, **options)


KINDS = st.sampled_from([SplitModalitySampler, LengthGroupedSampler])


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_split_modality_gives_the_recorded_order_on_every_rank(case):
    rows = [(bool(visual), n) for visual, n in GOLDEN["datasets"][case["dataset"]]]
    world, size = case["world_size"], case["global_batch_size"]
    sampler = SplitModalitySampler(rows, size, seed=case["seed"])

    for rank in range(world):
        batches = sampler.global_batches(case["epoch"])
        dealt = [sampler.rank_batches(batch, rank, world, size // world) for batch in batches]

        assert [row for parts in dealt for part in parts for row in part] == case["per_rank_indices"][rank]
        assert len(sampler) * size // world == case["actual_len"]


@settings(max_examples=60, deadline=None)
@given(kind=KINDS, rows=ROWS, epoch=st.integers(0, 3), world=WORLDS)
def test_an_epoch_covers_every_row_and_every_rank_gets_as_many(kind, rows, epoch, world):
    world_size, per_device = world
    sampler = sampler_of(kind, rows, 4)

    batches = sampler.global_batches(epoch)

    assert len(batches) == len(sampler)
    assert {row for batch in batches for row in batch} == set(range(len(rows)))
    for batch in batches:
        parts = [sampler.rank_batches(batch, rank, world_size, per_device) for rank in range(world_size)]
        assert sorted(row for part in parts for micro in part for row in micro) == sorted(batch)
        assert {len(micro) for part in parts for micro in part} == {per_device}
        assert len({len(part) for part in parts}) == 1


@settings(max_examples=40, deadline=None)
@given(kind=KINDS, visual=st.integers(0, 6), text=st.integers(0, 6), data=st.data())
def test_every_row_occurs_once_when_sizes_divide(kind, visual, text, data):
    rows = [(True, data.draw(st.integers(1, 99))) for _ in range(4 * visual)]
    rows += [(False, data.draw(st.integers(1, 99))) for _ in range(4 * text)]
    if not rows:
        rows = [(True, 1)] * 4

    batches = sampler_of(kind, rows, 4).global_batches(0)

    assert sorted(row for batch in batches for row in batch) == list(range(len(rows)))


@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_split_modality_batches_are_wholly_visual_or_wholly_text(rows):
    for batch in SplitModalitySampler(rows, 4).global_batches(0):
        assert len({rows[row][0] for row in batch}) == 1


@settings(max_examples=40, deadline=None)
@given(kind=KINDS, rows=ROWS)
def test_drop_last_repeats_no_row(kind, rows):
    try:
        sampler = sampler_of(kind, rows, 4, drop_last=True)
    except ConfigError:
        assert max(sum(v for v, _ in rows), sum(not v for v, _ in rows)) < 4
        return

    drawn = [row for batch in sampler.global_batches(0) for row in batch]

    assert len(drawn) == len(set(drawn)) == 4 * len(sampler)


def test_the_longest_row_is_in_the_first_batch():
    lengths = [5] * 30 + [90] + [5] * 9

    for epoch in range(3):
        assert 30 in LengthGroupedSampler(lengths, 4).global_batches(epoch)[0]
        assert 30 in SplitModalitySampler([(True, n) for n in lengths], 4).global_batches(epoch)[0]


def test_length_grouping_spares_padding():
    lengths = [1 + (i * 37) % 100 for i in range(128)]

    def padding(window):
        batches = LengthGroupedSampler(lengths, 8, window_batches=window).global_batches(0)
        return sum(max(lengths[r] for r in batch) - lengths[row] for batch in batches for row in batch)

    assert padding(16) < padding(1) / 4


def test_epochs_differ_and_seeds_repeat():
    rows = [(True, 1)] * 40

    first = SplitModalitySampler(rows, 4, seed=3)

    assert first.global_batches(0) != first.global_batches(1)
    assert first.global_batches(1) == SplitModalitySampler(rows, 4, seed=3).global_batches(1)


@pytest.mark.parametrize("steps", [0, 1, 4, 5, 7])
def test_a_resumed_sampler_goes_on_where_the_first_stopped(steps):
    rows = [(i % 3 > 0, i) for i in range(18)]
    whole = SplitModalitySampler(rows, 4)
    everything = list(whole.upcoming(1, 2, 1, epochs=2))
    for _ in range(steps):
        whole.advance()

    resumed = SplitModalitySampler(rows, 4)
    resumed.load_state_dict(json.loads(json.dumps(whole.state_dict())))

    assert list(resumed.upcoming(1, 2, 1, epochs=2)) == everything[2 * steps :]


def test_a_checkpoint_of_another_plan_is_refused():
    state = SplitModalitySampler([(True, 1)] * 8, 4).state_dict()

    with pytest.raises(CheckpointError, match="num_rows 8, this run 9"):
        SplitModalitySampler([(True, 1)] * 9, 4).load_state_dict(state)


def test_uneven_batches_are_refused():
    sampler = SplitModalitySampler([(True, 1)] * 8, 4)

    with pytest.raises(ConfigError, match="4 rows does not divide into 3 processes"):
        sampler.rank_batches([0, 1, 2, 3], 0, 3, 1)


def test_an_empty_dataset_is_refused():
    with pytest.raises(ConfigError, match="no usable rows"):
        SplitModalitySampler([], 4)
