import dataclasses
from pathlib import Path

import pytest

from merv.agent.case import read_case, unfit
from merv.data.sample import Sample, Turn
from merv.errors import SampleError
from merv.video.media import MediaRef, Span

from .fakes import OPTIONS, both, choice, moment

INF = float("inf")


def measured(ref):
    return 50.0


def never(ref):
    raise AssertionError("the sample says how long its video is")


def showing(span, **meta):
    return dataclasses.replace(choice(**meta), media=(MediaRef(Path("a.mp4"), span=span),))


@pytest.mark.parametrize(
    ("sample", "text", "options", "may", "needs"),
    [
        (choice(), "What is red?", tuple(OPTIONS), True, True),
        (both(), "What is red?", tuple(OPTIONS), True, True),
        (moment(), "a ring turns red.", (), False, False),
        (choice(options=None), "What is red?", (), True, True),
        (choice(options=None, answer=None), "What is red?", (), True, True),
        (
            Sample("a", (), (MediaRef(Path("a")),), meta={"question": " What?\n", "duration": 9}),
            "What?",
            (),
            True,
            False,
        ),
    ],
)
def test_a_sample_asks_for_an_answer_or_for_a_moment(sample, text, options, may, needs):
    case = read_case(sample, never)

    assert (case.text, case.options, case.may_answer, case.needs_answer) == (text, options, may, needs)


@pytest.mark.parametrize(
    ("sample", "duration", "shown"),
    [
        (choice(), 40.0, (0.0, 40.0)),
        (choice(duration=None), 50.0, (0.0, 50.0)),
        (choice(duration=0.0), 50.0, (0.0, 50.0)),
        (choice(duration=float("nan")), 50.0, (0.0, 50.0)),
        (showing(Span(5.0, 20.0)), 40.0, (5.0, 20.0)),
        (showing(Span(5.0, 20.0), duration=None), 20.0, (5.0, 20.0)),
        (showing(Span(5.0, 20.0), duration=15.0), 20.0, (5.0, 20.0)),  # the list tells the clip's length
        (showing(Span(5.0, INF)), 50.0, (5.0, 50.0)),
    ],
)
def test_the_stretch_to_look_at_is_known_or_measured(sample, duration, shown):
    case = read_case(sample, measured)

    assert (case.duration, case.shown) == (duration, shown)


def test_roles_never_see_the_true_answer():
    case = read_case(both(), never)

    for asked in (case.asks(query="x"), case.crop((1.0, 2.0), [Turn("user", "x")])):
        assert not {"answer", "windows"} & set(asked.meta)
        assert asked.span is None


def test_a_crop_shows_that_stretch_alone_and_the_whole_is_shown_as_it_is():
    case = read_case(choice(), never)

    assert case.crop((1.0, 2.0), []).media == (MediaRef(Path("a.mp4"), span=Span(1.0, 2.0)),)
    assert case.crop((0.0, 40.0), []).media == case.sample.media


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (Sample("a", (Turn("user", "Hm?"),), (MediaRef(Path("a")),)), "`a` has neither a query nor a question"),
        (
            Sample("a", (), (), meta={"question": "What?"}),
            "sample `a` shows nothing; an agent looks for moments of one",
        ),
        (Sample("a", (), (MediaRef(Path("a"), "image"),), meta={"query": "x"}), "sample `a` shows image"),
        (Sample("a", (), (MediaRef(Path("a")),) * 2, meta={"query": "x"}), "sample `a` shows video and video"),
        (showing(Span(2.0, 2.0)), "sample `q` shows a single instant"),
    ],
)
def test_a_sample_without_words_or_video_is_unfit(sample, message):
    assert message in unfit(sample)
    with pytest.raises(SampleError, match=message):
        read_case(sample, never)


def test_a_stretch_past_the_end_is_refused():
    with pytest.raises(SampleError, match="lasts 50 s; nothing is left from second 60 on"):
        read_case(showing(Span(60.0, INF)), measured)
