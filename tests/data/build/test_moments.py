from pathlib import Path

import pytest

from merv.data.build.moments import Moment, moments_of
from merv.data.role_samples import choice_row, moment_row
from merv.errors import ConfigError
from merv.video.media import MediaRef

VIDEOS = Path("data/set/videos")


def moment(number, path="abc.mp4"):
    return moment_row(f"s-{number}", f"A dog runs {number}.", [(1.0, 4.5)], 30.0, MediaRef(VIDEOS / path))


def read(*samples, suffix=".mp4", **options):
    return moments_of(samples, name="set", videos=[VIDEOS], suffix=suffix, **options)


def test_a_moment_has_its_description_span_and_video():
    assert read(moment(1)) == [Moment("s-1", "abc", "A dog runs 1", ((1.0, 4.5),), 30.0)]


@pytest.mark.parametrize(
    ("path", "suffix", "vid"),
    [
        ("abc.mp4", ".mp4", "abc"),
        ("s1-d2-cam-002.mp4", "-cam-002.mp4", "s1-d2"),
        ("part/abc.mp4", ".mp4", "part/abc"),
        ("abc.webm", ".mp4", "abc"),
        ("v_a.b_1.0_2.0.mp4", ".mp4", "v_a.b_1.0_2.0"),
    ],
)
def test_vid_is_what_the_reader_puts_the_suffix_behind(path, suffix, vid):
    assert read(moment(1, path), suffix=suffix)[0].vid == vid


def test_a_video_elsewhere_is_named_by_its_file():
    assert moments_of([moment(1)], name="set", videos=[Path("other")], suffix=".mp4")[0].vid == "abc"


def test_rows_of_other_kinds_are_passed_over_and_the_limit_counts_moments():
    other = choice_row("c", "Who?", ["a", "b"], 0, MediaRef(VIDEOS / "abc.mp4"))

    assert [found.id for found in read(other, moment(1), other, moment(2), moment(3), limit=2)] == ["s-1", "s-2"]


def test_a_source_without_moments_is_refused():
    other = choice_row("c", "Who?", ["a", "b"], 0, MediaRef(VIDEOS / "abc.mp4"))

    with pytest.raises(
        ConfigError, match=r"source `set` has no moments to ask about, its rows are of kind choice; na"
    ):
        read(other)
    with pytest.raises(ConfigError, match="of kind none; name a grounding set"):
        read()
