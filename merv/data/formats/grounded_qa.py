"""Reader of questions with options and the moment that shows the answer, as MUPA's joint role learns from them.

MUPA's annotation files were not at hand; three forms are read, told apart row by row:

* MUPA's additions to QVHighlights, TACoS and CosMo-Cap: the row of the grounding set and `qa_base`, a list of
  `{"question", "answer", "distractor": [wrong answers]}`, or "NA" (https://github.com/soughtlin/MUPA, its readers);
* DeVE-QA: `{"vid", "question", "answer", "distract_answers", "timestamp": [start, end]}` with seconds by video in a
  file of their own, or the names its own tools accept, `{"vid", "q", "a": options, "correct_idx", "time", "duration"}`
  (https://github.com/QHUni/DeVE-QA);
* plain rows: `{"vid", "duration", "question", "options", "answer" or "ans": text, letter or place, "span"}`.

Where wrong answers stand apart, the place of the right one follows from the question, the same in every run.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from merv.data.formats.json_rows import described, json_rows
from merv.data.formats.question_fields import place_of
from merv.data.formats.role_rows import (
    Reading,
    Skip,
    duration_in,
    read_durations,
    read_each,
    text_of,
    value_of,
    video_in,
)
from merv.data.role_samples import grounded_choice_row
from merv.data.sample import Sample
from merv.errors import SampleError

QUESTION = ("question", "q")
OPTIONS = ("options", "a")
ANSWER = ("answer", "ans", "correct_idx")
WRONG = ("distractor", "distract_answers")
WINDOW = ("span", "relevant_windows", "timestamp", "time")


def read(
    path: Path,
    videos: Path,
    *,
    dataset: str,
    durations: Path | None = None,
    suffix: str = ".mp4",
    single: bool = False,
) -> Reading:
    """Read questions; a row of MUPA's additions gives one for each of its pairs.

    Args:
        path: The list.
        videos: Folder of the videos.
        dataset: Name in reports.
        durations: JSON of seconds by `vid`, for rows that do not say; None where all do.
        suffix: What follows `vid` in the name of its video.
        single: Skip rows with several windows.

    Raises:
        ConfigError: a file cannot be read.
    """
    seconds = {} if durations is None else read_durations(durations)

    def samples_of(number: int, row: Any) -> Iterator[Sample]:
        video, windows = text_of(row, "vid"), windows_of(row)
        if single and len(windows) > 1:
            raise Skip("with several windows")
        duration = value_of(row, "duration")
        if duration is None and durations is not None:
            duration = duration_in(seconds, video, durations)
        media = video_in(videos, video + suffix)
        for place, asked in enumerate(_questions(row)):
            question = text_of(asked, *QUESTION)
            options, answer = options_of(asked, question)
            yield grounded_choice_row(
                f"{dataset}-{number}-{place}", question, options, answer, windows, duration, media
            )

    rows = json_rows(path, "vid, duration, question, options, answer, span")
    return read_each(rows, samples_of, dataset=dataset, path=path)


def windows_of(row: Any) -> list[Any]:
    """The windows of a row, unchecked: `[start, end]`, or a list of such pairs.

    Raises:
        SampleError: there are none.
    """
    value = value_of(row, *WINDOW)
    if not isinstance(value, list) or not value:
        raise SampleError(f"field {WINDOW[0]}: found {described(value)}; expected start and end in seconds")
    return value if isinstance(value[0], list) else [value]


def options_of(asked: Any, question: str) -> tuple[list[str], int]:
    """The options of a question, and the place of the right one.

    Raises:
        SampleError: they are missing, or the answer is not among them.
    """
    wrong, answer = value_of(asked, *WRONG), value_of(asked, *ANSWER)
    if wrong is not None:
        if not isinstance(wrong, list) or not isinstance(answer, str):
            raise SampleError(f"field {WRONG[0]}: found {described(wrong)}; expected wrong answers beside `answer`")
        place = place_of(question, len(wrong) + 1)
        return [*wrong[:place], answer, *wrong[place:]], place
    options = value_of(asked, *OPTIONS)
    if not isinstance(options, list):
        raise SampleError(f"field {OPTIONS[0]}: found {described(options)}; expected a list")
    return options, _place_of(answer, options)


def _place_of(answer: Any, options: Sequence[Any]) -> int:
    """A place as a number or letter, or the option itself; the option has the first say."""
    if answer in options and not isinstance(answer, bool):
        return options.index(answer)
    if isinstance(answer, str) and len(answer) == 1 and answer.isalpha():
        answer = ord(answer.upper()) - ord("A")
    if type(answer) is not int or not 0 <= answer < len(options):
        raise SampleError(f"field {ANSWER[0]}: found {described(answer)}, which is none of {len(options)} options")
    return answer


def _questions(row: Any) -> list[Any]:
    if not isinstance(row, dict) or "qa_base" not in row:
        return [row]
    pairs = row["qa_base"]
    if not isinstance(pairs, list) or not pairs:
        raise Skip("without a question")
    return pairs
