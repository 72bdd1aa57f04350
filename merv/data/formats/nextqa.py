"""Reader of NExT-QA's multiple choice lists for training.

A CSV with the columns `video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4`; `answer` is a place
from 0, and questions lack their mark.  A second file says where each video stands: `{"4010069381":
"1106/4010069381"}` (https://github.com/doc-doc/NExT-QA).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from merv.data.formats.csv_rows import csv_rows
from merv.data.formats.json_rows import json_object
from merv.data.formats.role_rows import Reading, read_each, text_of, video_in
from merv.data.role_samples import choice_row, tidy_question
from merv.data.sample import Sample
from merv.errors import SampleError

NUM_OPTIONS = 5
COLUMNS = ("video", "question", "answer", "qid", *(f"a{place}" for place in range(NUM_OPTIONS)))


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
        media = video_in(videos, f"{places[video]}.mp4")
        question = tidy_question(text_of(row, "question"))
        options = [text_of(row, f"a{place}") for place in range(NUM_OPTIONS)]
        answer = text_of(row, "answer")
        if not answer.isdecimal():
            raise SampleError(f"field answer: found {answer!r}; expected a place from 0")
        asked = question if question.endswith("?") else question + "?"
        yield choice_row(f"{dataset}-{video}-{text_of(row, 'qid')}", asked, options, int(answer), media)

    return read_each(csv_rows(path, COLUMNS), samples_of, dataset=dataset, path=path)
