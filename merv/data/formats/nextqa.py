"""Rows of NExT-QA's multiple choice lists, and their reader for training.

Xiao et al., CVPR 2021; https://github.com/doc-doc/NExT-QA.  A CSV has the columns
`video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4`; `answer` is a place from 0, and questions
lack their mark.  A second file says where each video stands: `{"4010069381": "1106/4010069381"}`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from merv.data.formats.csv_rows import csv_rows
from merv.data.formats.json_rows import described, json_object
from merv.data.formats.options import by_number, published_answer, question_text
from merv.data.formats.question_fields import with_mark
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import Reading, read_each, text_of, value_of, video_in
from merv.data.role_samples import choice_row
from merv.data.sample import Sample
from merv.errors import SampleError

NUM_OPTIONS = 5
COLUMNS = ("video", "question", "answer", "qid", "type", *(f"a{place}" for place in range(NUM_OPTIONS)))


def read(path: Path, video_map: Path, videos: Path, *, dataset: str) -> Reading:
    """Read questions; the list says nothing of seconds.

    Args:
        path: The list.
        video_map: JSON of path without suffix by video.
        videos: Folder the paths start from.
        dataset: Name in reports.

    Raises:
        ConfigError: a file cannot be read, or a column is missing.
    """
    places = json_object(video_map, "video paths by video")

    def samples_of(number: int, row: Any) -> Iterator[Sample]:
        video = text_of(row, "video")
        if video not in places:
            raise SampleError(f"no path of video `{video}` in {video_map.name}")
        asked = question_of(row, places)
        options = [text_of(row, f"a{place}") for place in range(NUM_OPTIONS)]  # to learn from, none may be empty
        media = video_in(videos, f"{asked.video}.mp4")
        answer = by_number(asked.answer, options)
        yield choice_row(f"{dataset}-{asked.id}", with_mark(asked.text), options, answer, media)

    return read_each(csv_rows(path, COLUMNS), samples_of, dataset=dataset, path=path)


def question_of(row: Any, places: Mapping[str, Any]) -> Question:
    """What a row says.

    Args:
        row: The row.
        places: Path by video; one without stands under its own number.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: no answer is published.
    """
    video, qid = text_of(row, "video"), text_of(row, "qid")
    place = places.get(video, video)
    if not isinstance(place, str):
        raise SampleError(f"path of video {video}: found {described(place)}; expected text")
    options = [question_text(row, f"a{place}") for place in range(NUM_OPTIONS)]
    answer = by_number(published_answer(row, "answer"), options)
    text, kind = question_text(row).strip(), str(value_of(row, "type") or "")
    return Question(id=f"{video}_{qid}", text=text, video=place, options=options, answer=answer, kind=kind)
