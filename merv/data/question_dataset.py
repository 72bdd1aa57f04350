"""What datasets of benchmarks' questions share: how a question is asked to train on it, and of which part of a video.

The forms are those VideoMind registers under names of their own, such as nextgqa, nextgqa_crop and nextgqa_grounding
(https://github.com/yeliudev/VideoMind).  Texts stay as the files have them; VideoMind capitalises them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.chat import Turn
from merv.data.formats.questions import Question, Window
from merv.data.formats.role_rows import Reading, Skip, read_each
from merv.data.formats.video_folder import VideoFolder
from merv.data.role_dataset import RoleDatasetConfig
from merv.data.role_samples import (
    choice_row,
    grounded_choice_row,
    known_duration,
    moment_row,
    tidy_question,
    usable_windows,
)
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.video.media import MediaRef, Span
from merv.video.stretches import widened

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
    min_crop_len: float = 16.0
    """Seconds a crop has at least, around its middle; the default is VideoMind's, which also moves its ends by chance
    and knows the first window alone.  0 shows the windows and nothing else."""

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
        crop = self.min_crop_len if self.crop else None

        def samples_of(number: int, row: Any) -> Iterator[Sample]:
            asked = question_of(row)
            question = replace(asked, id=f"{self.name}-{asked.id}")
            media = folder.find(question.video, *question.also)
            yield question_sample(question, media, form=self.form, crop=crop)

        return read_each(rows, samples_of, dataset=self.name, path=path)


def question_sample(
    question: Question, media: MediaRef, *, form: Form = "answer", crop: float | None = None
) -> Sample:
    """A question as a sample to train on.

    Windows that reach over an end of the video are cut there, those without length count for nothing, and others that
    lie outside or run backwards are refused where they are needed; an answer from all of the video is asked without.

    Args:
        question: What the row says.
        media: Its video, all of it; `span` is put on here.
        form: What is asked.
        crop: Show the part with the answer alone, and at least so many seconds; None shows what the row is about.

    Raises:
        SampleError: the row lacks what the form asks, or holds it wrongly.
        Skip: a moment is needed, and the row has no window, or none with a length.
    """
    if form == "answer":
        return _answer(question, media) if crop is None else _answer_from_crop(question, media, crop)
    shown, duration, windows = _shown(question, media)
    windows = _with_length(windows)
    if form == "grounding":
        return moment_row(question.id, question.text, windows, duration, shown)
    place = _place(question)
    return grounded_choice_row(question.id, question.text, question.options, place, windows, duration, shown)


def _answer(question: Question, media: MediaRef) -> Sample:
    shown, duration, windows = _shown(question, media)
    if isinstance(question.answer, str):
        return _free_answer(question, shown, duration)
    try:
        usable_windows(windows, math.inf if duration is None else duration)
    except SampleError:
        windows = []  # nobody asks for them here
    return choice_row(question.id, question.text, question.options, _place(question), shown, duration, windows)


def _answer_from_crop(question: Question, media: MediaRef, least: float) -> Sample:
    """Its duration is that of the whole video, which is what limits mean."""
    whole = math.inf if question.duration is None else known_duration(question.duration)
    starts, ends = zip(*usable_windows(_with_length(question.windows), whole), strict=True)
    about = (0.0, whole) if question.span is None else (question.span.start, question.span.end)
    shown = replace(media, span=Span(*widened((min(starts), max(ends)), about, least)))
    if isinstance(question.answer, str):
        return _free_answer(question, shown, question.duration)
    return choice_row(question.id, question.text, question.options, _place(question), shown, question.duration)


def _free_answer(question: Question, media: MediaRef, duration: float | None) -> Sample:
    asked, answer = tidy_question(question.text), str(question.answer).strip()
    if not answer:
        raise SampleError(f"answer: found {question.answer!r}; expected words")
    meta = {"task": "answer", "question": asked, **({} if duration is None else {"duration": duration})}
    return Sample(question.id, (Turn("user", asked), Turn("assistant", answer)), (media,), meta=meta)


def _place(question: Question) -> int:
    if not question.options:
        raise SampleError("no options to choose from; form grounding asks for the moment alone")
    if not isinstance(question.answer, int):
        raise SampleError(f"the answer is none of its {len(question.options)} options")
    return question.answer


def _shown(question: Question, media: MediaRef) -> tuple[MediaRef, float | None, list[Window]]:
    """What is shown, its seconds, and the windows counted from its start."""
    if question.span is None:
        return media, question.duration, list(question.windows)
    start = question.span.start
    windows = [(first - start, last - start) for first, last in question.windows]
    return replace(media, span=question.span), question.span.duration, windows


def _with_length(windows: Sequence[Window]) -> list[Window]:
    """The windows that do not end where they begin."""
    found = [window for window in windows if window[0] != window[1]]
    if not found:
        raise Skip("whose window has no length" if windows else "without a window")
    return found


def _check_form(config: QuestionDatasetConfig) -> None:
    if config.form not in config.forms:
        raise ConfigError(
            f"form is {config.form}, of which rows of `{config.name}` say nothing; take {' or '.join(config.forms)}"
        )
    if config.crop and config.form != "answer":
        raise ConfigError(f"crop goes with form answer, not with {config.form}")
    if config.crop and len(config.forms) == 1:
        raise ConfigError(f"crop: rows of `{config.name}` do not say where the answer shows")
    if not config.min_crop_len >= 0:
        raise ConfigError(f"min_crop_len is {config.min_crop_len:g}; it must be at least 0")
