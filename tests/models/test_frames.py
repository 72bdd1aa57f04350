from hypothesis import given, settings
from hypothesis import strategies as st

from merv.models.multi_encoder.frames import clip_indices, expand_indices


@settings(max_examples=30, deadline=None)
@given(stills=st.lists(st.booleans(), min_size=1, max_size=6), num_frames=st.integers(1, 8))
def test_frames_encoded_once_and_repeated_are_those_encoded_often(stills, num_frames):
    counts = [1 if is_still else 8 for is_still in stills]

    once = clip_indices(counts, num_frames, repeat_images=False)
    often = clip_indices(counts, num_frames, repeat_images=True)

    assert [once[i] for i in expand_indices(counts, num_frames)] == often
    assert len(often) == len(counts) * num_frames
    assert len(once) == sum(1 if is_still else num_frames for is_still in stills)


def test_rows_of_a_batch_lie_one_after_another():
    assert clip_indices([1, 4, 1], 2, repeat_images=False) == [0, 1, 3, 5]
    assert clip_indices([1, 4, 1], 2, repeat_images=True) == [0, 0, 1, 3, 5, 5]
    assert expand_indices([1, 4, 1], 2) == [0, 0, 1, 2, 3, 3]
