"""What datasets of benchmarks' questions share: how a question is asked to train on it, and of which part of a video.

The forms are those VideoMind registers under names of their own, such as nextgqa, nextgqa_crop and nextgqa_grounding
(https://github.com/yeliudev/VideoMind).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.chat import Turn
from merv.data.formats.questions import Question, Window
from merv.data.formats.role_rows import Reading, Skip, read_each
from merv.data.formats.video_folder import VideoFolder
from merv.data.role_dataset import RoleDatasetConfig
from merv.data.role_samples import choice_row, grounded_choice_row, moment_row, tidy_question
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.video.media import MediaRef, Span

Form = Literal["answer", "grounding", "grounded-answer"]


@dataclass
class QuestionDatasetConfig(RoleDatasetConfig):
    """Options of datasets of questions.  `min_video_len` and `max_video_len` are off: benchmarks mean all videos."""

    min_video_len: float | None = None
    """Seconds; rows about shorter videos are left out.  None for no limit; rows without a duration stay."""
    max_video_len: float | None = None
    """Seconds; rows about longer videos are left out.  None for no limit."""
    form: Form = "answer"
    """Ask for the answer, for the moment that shows it (grounding), or for both (grounded-answer)."""
    crop: bool = False
    """Show only the part of the video in which the answer shows, from the start of the first window to the end of the
    last; rows without windows are left out."""

    forms: ClassVar[tuple[Form, ...]] = ("answer",)
    """Forms the rows can be asked in."""

    def __post_init__(self) -> None:
        """Refuse what the rows do not hold.

        Raises:
            ConfigError: the set says nothing of moments and they are asked for.
        """
        super().__post_init__()
        _check_form(self)

    def questions_in(
        self, rows: Iterable[Any], question_of: Callable[[Any], Question], path: Path, videos: Path
    ) -> Reading:
        """Samples of rows; `question_of` raises SampleError for a bad row and Skip for one that is not meant.

        Args:
            rows: As `json_rows` gives them.
            question_of: What a row says; called again whenever the sample is needed.
            path: The list, for reports.
            videos: Folder of the videos.
        """
        folder = VideoFolder(videos)

        def samples_of(number: int, row: Any) -> Iterator[Sample]:
            question = question_of(row)
            yield question_sample(question, folder.find(question.video), form=self.form, crop=self.crop)

        return read_each(rows, samples_of, dataset=self.name, path=path)


def question_sample(question: Question, media: MediaRef, *, form: Form = "answer", crop: bool = False) -> Sample:
    """A question as a sample to train on.

    Args:
        question: What the row says.
        media: Its video, all of it; `span` is put on here.
        form: What is asked.
        crop: Show the part with the answer alone, whose seconds then count from its start.

    Raises:
        SampleError: the row lacks what the form asks, or holds it wrongly.
        Skip: a crop of a row without windows.
    """
    if form != "answer":
        shown, duration, windows = _shown(question, media)
        if form == "grounding":
            return moment_row(question.id, question.text, windows, duration, shown)
        return grounded_choice_row(
            question.id, question.text, question.options, _place(question), windows, duration, shown
        )
    shown, seconds, seen = _cut_to_answer(question, media) if crop else _shown(question, media)
    if not question.options:
        return _free_answer(question, shown, seconds)
    return choice_row(question.id, question.text, question.options, _place(question), shown, seconds, seen)


def _free_answer(question: Question, media: MediaRef, seconds: float | None) -> Sample:
    if not isinstance(question.answer, str) or not question.answer.strip():
        raise SampleError(f"answer: found {question.answer!r}; expected words")
    asked = tidy_question(question.text)
    meta = {"task": "answer", "question": asked, **({} if seconds is None else {"duration": seconds})}
    return Sample(question.id, (Turn("user", asked), Turn("assistant", question.answer.strip())), (media,), meta=meta)


def _place(question: Question) -> int:
    if not isinstance(question.answer, int):
        raise SampleError(f"the answer is none of its {len(question.options)} options")
    return question.answer


def _shown(question: Question, media: MediaRef) -> tuple[MediaRef, float | None, list[Window]]:
    """What is shown, its seconds, and the windows counted from its start."""
    if question.span is None:
        return media, question.duration, list(question.windows)
    start = question.span.start
    windows = [(first - start, last - start) for first, last in question.windows]
    return MediaRef(media.path, media.kind, question.span), question.span.duration, windows


def _cut_to_answer(question: Question, media: MediaRef) -> tuple[MediaRef, float | None, list[Window]]:
    """The same for the part with the answer alone, which needs no windows any more."""
    if not question.windows:
        raise Skip("without a window to cut the video to")
    starts, ends = zip(*question.windows, strict=True)
    span = _span(min(starts), max(ends))
    return MediaRef(media.path, media.kind, span), span.duration, []


def _span(start: float, end: float) -> Span:
    try:
        span = Span(max(start, 0.0), end)
    except ValueError as error:
        raise SampleError(f"window {start:g} - {end:g} s runs backwards") from error
    if not span.duration:
        raise SampleError(f"window {start:g} - {end:g} s has no length")
    return span


def _check_form(config: QuestionDatasetConfig) -> None:
    if config.form not in config.forms:
        raise ConfigError(
            f"dataset `{config.name}` has no form `{config.form}`: its rows say nothing of it; it has "
            f"{', '.join(config.forms)}"
        )
    if config.crop and (config.form != "answer" or len(config.forms) == 1):
        raise ConfigError(f"dataset `{config.name}`: crop goes with form answer, of rows that say where it shows")
