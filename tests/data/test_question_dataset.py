from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from merv.data.formats.questions import Question
from merv.data.formats.role_rows import Skip
from merv.data.question_dataset import Form, QuestionDatasetConfig, question_sample
from merv.errors import ConfigError, SampleError
from merv.video.media import MediaRef, Span

VIDEO = MediaRef(Path("a.mp4"))
ASKED = Question(
    id="q",
    text="why does  it run?",
    video="a",
    options=["sit", "run", "jump"],
    answer=1,
    windows=[(20.0, 24.0), (30.0, 36.0)],
    duration=100.0,
)


@dataclass
class RowsConfig(QuestionDatasetConfig):
    """Rows that are questions already."""

    forms: ClassVar[tuple[Form, ...]] = ("answer", "grounding", "grounded-answer")

    type_name = "rows"
    rows: tuple = ()

    def files(self):
        return [self.dataset_root_dir]

    def read(self):
        return self.questions_in(
            self.rows, self.question_of, self.dataset_root_dir / "list.json", self.dataset_root_dir
        )

    @staticmethod
    def question_of(row):
        if isinstance(row, Exception):
            raise row
        return row


def changed(**change):
    return Question(**{**ASKED.__dict__, **change})


def test_an_answer_is_asked_of_the_whole_video():
    sample = question_sample(ASKED, VIDEO)

    assert sample.media == (VIDEO,)
    assert [turn.text for turn in sample.turns][1] == "run"
    assert sample.meta == {
        "task": "choice",
        "question": "why does it run?",
        "options": ["sit", "run", "jump"],
        "answer": 1,
        "duration": 100.0,
        "windows": [(20.0, 24.0), (30.0, 36.0)],
    }


def test_grounding_asks_for_the_windows_alone():
    sample = question_sample(ASKED, VIDEO, form="grounding")

    assert sample.media == (VIDEO,)
    assert sample.meta == {
        "task": "moment",
        "query": "why does it run?",
        "windows": [(20.0, 24.0), (30.0, 36.0)],
        "duration": 100.0,
    }


def test_a_grounded_answer_asks_for_both():
    sample = question_sample(ASKED, VIDEO, form="grounded-answer")

    assert (sample.meta["task"], sample.meta["answer"]) == ("grounded-choice", 1)
    assert sample.meta["windows"] == [(20.0, 24.0), (30.0, 36.0)]
    assert sample.turns[1].text == "20.0 - 24.0, 30.0 - 36.0 seconds: run"


@pytest.mark.parametrize(
    ("least", "windows", "duration", "span"),
    [
        (0, [(20.0, 24.0), (30.0, 36.0)], 100.0, Span(20, 36)),
        (0, [(30.0, 36.0), (20.0, 24.0)], 100.0, Span(20, 36)),
        (20, [(20.0, 24.0), (30.0, 36.0)], 100.0, Span(18, 38)),
        (16, [(1.0, 2.0)], 100.0, Span(0, 16)),
        (16, [(1.0, 2.0)], 10.0, Span(0, 10)),
        (16, [(95.0, 120.0)], 100.0, Span(84, 100)),
        (16, [(50.0, 52.0)], None, Span(43, 59)),
    ],
)
def test_a_crop_shows_from_the_first_window_to_the_last_and_no_less_than_it_should(least, windows, duration, span):
    sample = question_sample(changed(windows=windows, duration=duration), VIDEO, crop=least)

    assert sample.media[0] == MediaRef(VIDEO.path, span=span)
    assert "windows" not in sample.meta
    assert sample.meta.get("duration") == duration  # of the video: that is what limits mean


def test_a_question_about_a_stretch_shows_it_alone_and_counts_from_its_start():
    asked = changed(span=Span(18.0, 28.0), windows=[(20.0, 24.0)])

    answer, moment = question_sample(asked, VIDEO), question_sample(asked, VIDEO, form="grounding")

    assert answer.media[0].span == moment.media[0].span == Span(18.0, 28.0)
    assert answer.meta["windows"] == moment.meta["windows"] == [(2.0, 6.0)]
    assert answer.meta["duration"] == moment.meta["duration"] == 10.0


def test_a_crop_stays_in_the_stretch_a_question_is_about():
    sample = question_sample(changed(span=Span(18.0, 28.0), windows=[(20.0, 24.0)]), VIDEO, crop=16)

    assert sample.media[0].span == Span(18.0, 28.0)


def test_a_free_answer_is_its_words():
    sample = question_sample(changed(options=(), answer=" a dog "), VIDEO)

    assert [turn.text for turn in sample.turns] == ["why does it run?", "a dog"]
    assert sample.meta == {"task": "answer", "question": "why does it run?", "duration": 100.0}
    assert question_sample(changed(options=(), answer="x"), VIDEO, crop=0).media[0].span == Span(20, 36)


@pytest.mark.parametrize("windows", [[(5.0, 5.0)], [(9.0, 2.0)], [(150.0, 160.0)], []])
def test_windows_that_cannot_be_used_cost_no_answer(windows):
    sample = question_sample(changed(windows=windows), VIDEO)

    assert sample.meta["answer"] == 1
    assert "windows" not in sample.meta


@pytest.mark.parametrize("how", [{"form": "grounding"}, {"form": "grounded-answer"}, {"crop": 0.0}])
def test_a_moment_needs_windows_that_can_be_used(how):
    with pytest.raises(Skip, match=r"^without a window$"):
        question_sample(changed(windows=[]), VIDEO, **how)
    with pytest.raises(Skip, match=r"^whose window has no length$"):
        question_sample(changed(windows=[(5.0, 5.0), (6.0, 6.0)]), VIDEO, **how)
    with pytest.raises(SampleError, match="runs backwards"):
        question_sample(changed(windows=[(9.0, 2.0)]), VIDEO, **how)
    with pytest.raises(SampleError, match="lies outside the video of 100 s"):
        question_sample(changed(windows=[(150.0, 160.0)]), VIDEO, **how)


def test_windows_without_length_count_for_nothing_beside_others_and_long_ones_are_cut():
    sample = question_sample(changed(windows=[(5.0, 5.0), (90.0, 110.0)]), VIDEO, form="grounding")

    assert (sample.meta["windows"], sample.meta["cut_windows"]) == ([(90.0, 100.0)], 1)


@pytest.mark.parametrize("how", [{"form": "grounding"}, {"form": "grounded-answer"}])
def test_a_moment_needs_the_duration(how):
    with pytest.raises(SampleError, match="no duration of the video"):
        question_sample(changed(duration=None), VIDEO, **how)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answer": None}, "the answer is none of its 3 options"),
        ({"answer": 3}, "answer 3 is no place among 3 options"),
        ({"answer": None, "options": ()}, "no options to choose from; form grounding asks for the moment alone"),
        ({"options": ["one"], "answer": 0}, "1 options; expected 2 to 26"),
        ({"options": (), "answer": " "}, "answer: found ' '; expected words"),
        ({"text": " "}, "question: found ' '; expected words"),
        ({"duration": 0.0}, "duration of the video: found 0.0"),
    ],
)
@pytest.mark.parametrize("how", [{}, {"crop": 0.0}])
def test_a_row_that_cannot_be_asked_says_why(change, says, how):
    with pytest.raises(SampleError, match=says):
        question_sample(changed(**change), VIDEO, **how)


def test_rows_are_counted_as_used_bad_or_left_out_and_named_after_the_set(tmp_path):
    rows = (ASKED, SampleError("it is empty"), Skip("of no use"), changed(id="r", also=("b",)))
    (tmp_path / "b.mkv").touch()

    reading = RowsConfig(dataset_root_dir=tmp_path, dataset_id="set", rows=rows).read()

    assert [sample.id for sample in reading.samples] == ["set-q", "set-r"]
    assert [sample.media[0].path.name for sample in reading.samples] == ["a.mp4", "b.mkv"]
    assert [(bad.row, bad.reason) for bad in reading.bad_rows] == [(1, "it is empty")]
    assert (reading.skipped, reading.num_rows) == ({"of no use": 1}, 4)


def test_limits_mean_the_video_also_where_a_part_is_shown(tmp_path):
    config = RowsConfig(dataset_root_dir=tmp_path, rows=(ASKED,), crop=True, min_crop_len=0, min_video_len=50.0)

    assert len(config.load("align")) == 1


@pytest.mark.parametrize("form", ["answer", "grounding", "grounded-answer"])
def test_the_form_of_the_config_is_asked(tmp_path, form):
    (sample,) = RowsConfig(dataset_root_dir=tmp_path, dataset_id="set", rows=(ASKED,), form=form).load("align")

    assert sample.meta["task"] == {"answer": "choice", "grounding": "moment"}.get(form, "grounded-choice")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"form": "grounding"}, "form is grounding, of which rows of `plain` say nothing; take answer"),
        ({"crop": True}, "crop: rows of `plain` do not say where the answer shows"),
    ],
)
def test_a_set_without_moments_refuses_what_needs_them(options, says):
    with pytest.raises(ConfigError, match=says):
        QuestionDatasetConfig(dataset_id="plain", **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"form": "grounding", "crop": True}, "crop goes with form answer, not with grounding"),
        ({"min_crop_len": -1.0}, "min_crop_len is -1; it must be at least 0"),
        ({"min_crop_len": float("nan")}, "min_crop_len is nan"),
        ({"min_video_len": 5.0, "max_video_len": 2.0}, "min_video_len is 5 and max_video_len 2"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(ConfigError, match=says):
        RowsConfig(dataset_id="set", **options)
