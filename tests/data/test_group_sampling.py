import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merv.data.group_sampling import GroupedSampler
from merv.errors import CheckpointError, ConfigError

GOLDEN = json.loads((Path(__file__).resolve().parents[1] / "golden" / "group_sampler.json").read_text())
KINDS = st.lists(st.sampled_from(["moment", "candidate", "plan"]), min_size=1, max_size=40)


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_dropping_incomplete_batches_gives_the_recorded_order(case):
    sampler = GroupedSampler(case["data_types"], case["group_size"], seed=case["seed"], drop_incomplete=True)

    batches = sampler.global_batches(case["epoch"])

    assert [row for batch in batches for row in batch] == case["indices"]
    assert len(sampler) == len(batches) < case["reported_len"]


@settings(max_examples=60, deadline=None)
@given(kinds=KINDS, epoch=st.integers(0, 3), world=st.sampled_from([(1, 4), (2, 2), (4, 1)]))
def test_every_row_is_drawn_in_full_batches_of_one_kind_on_any_number_of_processes(kinds, epoch, world):
    world_size, per_device = world
    sampler = GroupedSampler(kinds, 4, lengths=[len(kind) for kind in kinds])

    batches = sampler.global_batches(epoch)

    assert len(batches) == len(sampler)
    assert {row for batch in batches for row in batch} == set(range(len(kinds)))
    assert all(len(batch) == 4 and len({kinds[row] for row in batch}) == 1 for batch in batches)
    for batch in batches:
        parts = [sampler.rank_batches(batch, rank, world_size, per_device) for rank in range(world_size)]
        assert sorted(row for part in parts for micro in part for row in micro) == sorted(batch)


@settings(max_examples=40, deadline=None)
@given(kinds=KINDS)
def test_dropping_incomplete_batches_repeats_no_row(kinds):
    try:
        sampler = GroupedSampler(kinds, 3, drop_incomplete=True)
    except ConfigError:
        assert all(kinds.count(kind) < 3 for kind in kinds)
        return

    drawn = [row for batch in sampler.global_batches(0) for row in batch]

    assert len(drawn) == len(set(drawn)) == 3 * len(sampler)


def test_with_lengths_the_longest_row_comes_first():
    lengths = [5] * 30 + [90] + [7] * 9

    for epoch in range(3):
        first, *others = GroupedSampler(["a", "b"] * 20, 4, lengths=lengths).global_batches(epoch)

        assert first[0] == 30
        assert all(lengths[batch[0]] == max(lengths[row] for row in batch) for batch in others)


@pytest.mark.parametrize("steps", [0, 1, 5, 7])
def test_a_resumed_sampler_goes_on_where_the_first_stopped(steps):
    kinds = ["moment", "candidate", "candidate"] * 6
    whole = GroupedSampler(kinds, 4)
    everything = list(whole.upcoming(1, 2, 1, epochs=2))
    for _ in range(steps):
        whole.advance()

    resumed = GroupedSampler(kinds, 4)
    resumed.load_state_dict(json.loads(json.dumps(whole.state_dict())))

    assert list(resumed.upcoming(1, 2, 1, epochs=2)) == everything[2 * steps :]


def test_a_checkpoint_of_other_kinds_is_refused():
    state = GroupedSampler(["a"] * 8, 4).state_dict()

    with pytest.raises(CheckpointError, match=r"num_of_kind {'a': 8}, this run {'a': 4, 'b': 4}"):
        GroupedSampler(["a", "b"] * 4, 4).load_state_dict(state)


@pytest.mark.parametrize(("kinds", "message"), [([], "no usable rows"), (["a", "b"] * 3, "6 rows fill no batch of 4")])
def test_too_few_rows_are_refused(kinds, message):
    with pytest.raises(ConfigError, match=message):
        GroupedSampler(kinds, 4, drop_incomplete=True)
