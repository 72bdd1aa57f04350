"""Reader of VideoMind's planner data: for each question, one of four routes through the roles.

A line is `{"video_path", "question", "route": 1 to 4, "query": the question as a search, for routes 1 and 3}`
(https://huggingface.co/datasets/yeliudev/VideoMind-Dataset, planning).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from merv.data.formats.json_rows import described, json_rows
from merv.data.formats.role_rows import Reading, published_video, read_each, text_of, value_of
from merv.data.role_samples import plan_row, tidy_query, tidy_question
from merv.data.sample import Sample
from merv.errors import SampleError


def read(path: Path, root: Path, *, dataset: str) -> Reading:
    """Read questions with their plans; durations are not needed.

    Args:
        path: The list.
        root: The folder rows mean by `data/`.
        dataset: Name in reports.

    Raises:
        ConfigError: the file cannot be read.
    """

    def samples_of(number: int, row: Any) -> Iterator[Sample]:
        question, media = text_of(row, "question"), published_video(root, text_of(row, "video_path"))
        yield plan_row(f"{dataset}-{number}", question, plan_of(row), media, value_of(row, "duration"))

    return read_each(json_rows(path, "video_path, question, route"), samples_of, dataset=dataset, path=path)


def plan_of(row: Any) -> list[dict[str, str]]:
    """The steps of a row's route.

    1: search for the query, answer; 2: search for the question itself, answer; 3: search for the query, which is the
    answer; 4: answer.  A search is checked by the verifier.

    Raises:
        SampleError: there is no such route, or its query is missing.
    """
    route = value_of(row, "route")
    if route not in (1, 2, 3, 4):
        raise SampleError(f"field route: found {described(route)}; expected 1, 2, 3 or 4")
    answer = [{"type": "answerer"}]
    if route == 4:
        return answer
    wanted = tidy_question(text_of(row, "question")) if route == 2 else tidy_query(text_of(row, "query"))
    search = [{"type": "grounder", "value": wanted}, {"type": "verifier"}]
    return search if route == 3 else search + answer
