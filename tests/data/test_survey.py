from pathlib import Path

from merv.data.sample import Sample, Turn
from merv.data.sampling import SplitModalitySampler
from merv.data.survey import survey
from merv.video.media import MediaRef

ROWS = [
    Sample("a", (Turn("user", "one two"),), (MediaRef(Path("a.mp4")),), meta={"task": "plan"}),
    Sample("b", (Turn("user", "four"),), (MediaRef(Path("b.png"), "image"),)),
    Sample("c", (Turn("user", "one"),)),
]


def test_one_pass_tells_lengths_kinds_and_media():
    found = survey(iter(ROWS), lambda sample: len(sample.turns[0].text))

    assert list(found) == [(True, 7), (True, 4), (False, 3)]
    assert list(found.kinds) == ["plan", "visual", "text"]
    assert found.media_kinds == {"video", "image"}


def test_a_survey_plans_as_its_rows_written_out_do():
    found = survey(ROWS * 5, lambda sample: len(sample.turns[0].text))

    assert SplitModalitySampler(found, 4).global_batches(1) == SplitModalitySampler(list(found), 4).global_batches(1)


def test_what_is_kept_does_not_grow_with_the_rows_words():
    found = survey(ROWS * 100, lambda sample: 9)

    assert found.lengths.itemsize * len(found) + len(found.is_visual) <= 5 * len(found)
