import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.evaluation.span_parsing import parse_spans, read_spans, without_spans

READ = [
    # what the prompts ask for
    ("12.5 - 20.0 seconds", [(12.5, 20)]),
    ("12.5 - 20.0", [(12.5, 20)]),
    ("12-20", [(12, 20)]),
    (" 12.5\u201320 s.", [(12.5, 20)]),
    ("**12.5s \u2013 20.0s**", [(12.5, 20)]),
    # sentences
    ("From 12.50 seconds to 20.00 seconds, the man runs.", [(12.5, 20)]),
    ("The event happens between 3s and 7.5s.", [(3, 7.5)]),
    ("Between approximately 12 and 20 seconds", [(12, 20)]),
    ("It can be seen from about 12 to around 20 seconds.", [(12, 20)]),
    ("from second 12 to second 20", [(12, 20)]),
    ("t=3 to t=7", [(3, 7)]),
    ("from 12 to 20 the man runs", [(12, 20)]),
    ("The moment is 12.5 to 20.0.", [(12.5, 20)]),
    ("The video is 60 seconds long. It happens from 12 to 20.", [(12, 20)]),
    ("The event starts at 12.5 seconds and ends at 20 seconds.", [(12.5, 20)]),
    ("It begins at 0:05 and lasts for 4 seconds", [(5, 9)]),
    ("Start: 3, End: 7", [(3, 7)]),
    ("start_time=3.2 end_time=5", [(3.2, 5)]),
    # clocks and other units
    ("from 0:12 to 0:20", [(12, 20)]),
    ("[00:12 - 00:20]", [(12, 20)]),
    ("00:00:12,500 --> 00:00:20,000", [(12.5, 20)]),
    ("\uff10\uff1a\uff11\uff12 ~ 0:20", [(12, 20)]),
    ("12500 ms to 20000ms", [(12.5, 20)]),
    ("0.2 to 0.5 minutes", [(12, 30)]),
    ("12,5 - 20,0 s", [(12.5, 20)]),
    ("from 10% to 30%", [(6, 18)]),
    ("10-30% of the video", [(6, 18)]),
    # brackets and JSON
    ("[12, 20]", [(12, 20)]),
    ("(3, 7)", [(3, 7)]),
    ("[12.5s, 20s]", [(12.5, 20)]),
    ("<12.5> to <20.0>", [(12.5, 20)]),
    ("<12.50> <20.00> The man opens the door.", [(12.5, 20)]),
    ('{"start": 12.5, "end": "0:20"}', [(12.5, 20)]),
    ("{'start': 3, 'end': 7}", [(3, 7)]),
    ('```json\n[{"start_time": "00:12", "end_time": "00:20"}]\n```', [(12, 20)]),
    ('{"answer": "B", "span": "12 - 20"}', [(12, 20)]),
    ('{"relevant_windows": [[12, 20], [30, 40]]}', [(12, 20), (30, 40)]),
    ("[[1, 5, 0.9], [10, 20, 0.3]]", [(1, 5), (10, 20)]),
    # ends of the video
    ("during the first 5 seconds", [(0, 5)]),
    ("The last 5 seconds.", [(55, 60)]),
    ("from 25 s to the end of the video", [(25, 60)]),
    ("from the beginning to 5 s", [(0, 5)]),
    ("throughout the video", [(0, 60)]),
    # several
    ("12 - 20 s and 30 - 40 s", [(12, 20), (30, 40)]),
    ("12 - 20, 30 - 40 seconds", [(12, 20), (30, 40)]),
    ("1. 12 - 20 s\n2. 30 - 40 s", [(12, 20), (30, 40)]),
    ("12 - 20 s, 12 - 20 s", [(12, 20)]),
    ("<think>At 3 - 5 seconds he sits.</think> 12 - 20 seconds", [(12, 20)]),
    ("First, 3-5 s shows a door. Answer: 12 - 20 s", [(12, 20)]),
    ("12-20 s. Answer: B", [(12, 20)]),
    ("<answer>12 to 20</answer>", [(12, 20)]),
    # not as they should be, but clear
    ("20 to 12 seconds", [(12, 20)]),
    ("50 - 75 seconds", [(50, 60)]),
    ("-5 - 10 seconds", [(0, 10)]),
    ("- 5 - 10 seconds", [(5, 10)]),
    ("7 - 7 s", [(7, 7)]),
]

NOT_READ = [
    "",
    "I don't know.",
    "nan",
    "[NaN, 3]",
    "[true, false]",
    "at 12.5 seconds",
    "from 12.",
    "the 5-second clip",
    "80 - 90 seconds",
    "2 to 3 people walk",
    "He won 3-2 against them",
    "2-3 times",
    "a 10 - 20 year old",
    "on 2024-05-06",
    "frames 12 to 20",
    "from frame 12 to frame 20",
    "step 2 - 3.",
    "2 and 3 seconds",
    "0:12 - 0:20 - 0:30",
    "12:75 - 13:00",
    "12 - 20 or 30 - 40 seconds",
    "either from 3 to 5 s, or from 7 to 9 s",
    "[1, 2, 3, 4]",
    "<1> <2> <3>",
]


@pytest.mark.parametrize(("text", "spans"), READ)
def test_a_clear_text_gives_its_spans(text, spans):
    found = parse_spans(text, 60.0)

    assert [pytest.approx(span) for span in spans] == found


@pytest.mark.parametrize("text", NOT_READ)
def test_a_text_that_may_mean_several_things_or_no_time_gives_none(text):
    assert parse_spans(text, 60.0) == []


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("1m20s - 1m45s", [(80, 105)]),
        ("1 to 2 minutes", [(60, 120)]),
        ("from 1 minute and 2 seconds to 1 minute and 5 seconds", [(62, 65)]),
        ("00:01:10 - 00:01:20.5", [(70, 80.5)]),
        ("0.5h to 1 hour", [(1800, 3600)]),
    ],
)
def test_long_videos_have_minutes_and_hours(text, spans):
    assert parse_spans(text, 4000.0) == spans


@pytest.mark.parametrize("text", ["from 10% to 30%", "from 5 s to the end", "the last 5 seconds", "the whole video"])
def test_without_a_duration_shares_and_the_end_are_not_read(text):
    assert read_spans(text, math.inf) == []
    assert parse_spans("12 - 20 s", math.inf) == [(12, 20)]


def test_spans_before_clamping_tell_what_lies_past_the_duration():
    assert read_spans("50 - 75 seconds, 80 - 90 seconds", 60.0) == [(50, 75), (80, 90)]
    assert parse_spans("50 - 75 seconds, 80 - 90 seconds", 60.0) == [(50, 60)]


@given(st.text(alphabet="0123456789.,:-[]{}<>()% \nsmtoandrefgiwl\"'", max_size=60), st.floats(0.1, 1e4))
def test_spans_lie_in_the_video_whatever_the_text(text, duration):
    for start, end in parse_spans(text, duration):
        assert 0 <= start <= end <= duration


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("(B) 12.5 - 20 seconds", "(B)"),
        ("A from 3 to 5 seconds", "A"),
        ("B, [12, 20]", "B,"),
        ("C <3> <5>", "C"),
        ("D (0:12 - 0:20)", "D"),
        ("the red door", "the red door"),
    ],
)
def test_the_rest_of_a_text_has_no_spans(text, rest):
    assert without_spans(text).strip() == rest
