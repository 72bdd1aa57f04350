import pytest

from merv.filters.clip_quality import Quality, directions, judge, result_row
from merv.filters.images import Unreadable
from merv.filters.prompt_sets import PromptSets

from .colour_clip import colour_clip, paint

PROMPTS = PromptSets(("red", "red"), ("blue", "green blue"), "here")


def test_a_score_is_the_cosine_with_good_minus_the_cosine_with_bad(tmp_path):
    clip = colour_clip()
    paths = [paint(tmp_path / f"{colour}.png", colour) for colour in ("red", "blue", "lime", "white")]

    found = judge(clip, paths, directions(clip, PROMPTS), num_workers=0)

    bad = 5**-0.5  # green once and blue twice
    expected = [(1, 0), (0, 2 * bad), (0, bad), (3**-0.5, 3 * bad * 3**-0.5)]
    assert [(one.high, one.low) for one in found] == [pytest.approx(pair, abs=1e-6) for pair in expected]
    assert [one.score for one in found] == [pytest.approx(high - low, abs=2e-6) for high, low in expected]


def test_an_image_that_cannot_be_read_has_no_score(tmp_path):
    clip = colour_clip()
    paths = [paint(tmp_path / "a.png", "red"), tmp_path / "b.png"]
    paths[1].write_bytes(b"no picture")

    found = judge(clip, paths, directions(clip, PROMPTS), num_workers=0)

    assert found[0].score == 1
    assert isinstance(found[1], Unreadable)


def test_a_row_has_the_published_keys_and_the_threshold_itself_is_accepted(tmp_path):
    row = result_row(tmp_path / "a" / "1.jpg", tmp_path, Quality(0.3, 0.2), threshold=0.1)

    assert row == {
        "filename": "a/1.jpg",
        "quality_score": 0.1,
        "high_quality_similarity": 0.3,
        "low_quality_similarity": 0.2,
        "accepted": True,
    }
    assert list(row)[-1] == "accepted"
