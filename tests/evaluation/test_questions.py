import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.data.sample import Sample, Turn
from merv.evaluation.questions import grouped
from merv.video.media import MediaRef


def samples(clips):
    """A sample for each name of a clip; an empty name shows nothing."""
    return [Sample(str(i), (Turn("user", "?"),), (MediaRef(clip),) if clip else ()) for i, clip in enumerate(clips)]


def indices(batches):
    return [[group.indices for group in batch] for batch in batches]


def test_questions_about_one_clip_stand_together():
    found = grouped(samples(["a", "b", "a", "", "b", "a", ""]), range(7), batch_size=4)

    assert indices(found) == [[(0, 2, 5)], [(1, 4), (3,), (6,)]]


def test_more_questions_than_a_batch_holds_are_split():
    assert indices(grouped(samples(["a"] * 5), range(5), batch_size=2)) == [[(0, 1)], [(2, 3)], [(4,)]]


@given(st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=20), st.integers(1, 5))
def test_every_question_is_in_one_batch_and_none_is_too_large(clips, batch_size):
    batches = grouped(samples(clips), range(len(clips)), batch_size)

    together = [index for batch in batches for group in batch for index in group.indices]
    assert sorted(together) == list(range(len(clips)))
    assert all(sum(len(group.indices) for group in batch) <= batch_size for batch in batches)


@pytest.mark.parametrize("todo", [[], [3], [1, 3]])
def test_only_what_is_still_to_do_is_asked(todo):
    batches = grouped(samples(["a", "b", "a", "b"]), todo, batch_size=8)

    assert [index for batch in batches for group in batch for index in group.indices] == todo
