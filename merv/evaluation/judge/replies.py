"""From a judge's reply to its verdict; a reply that could mean two things means none.

The published reading is that of Video-ChatGPT's and Video-LLaVA's scripts (quantitative_evaluation/
evaluate_activitynet_qa.py, videollava/eval/video/eval_video_qa.py).
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from merv.evaluation.judge.prompts import Protocol

_THOUGHT = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)
"""What a reasoning model thinks aloud; drafts of its reply stand in it."""
_OBJECT = re.compile(r"\{[^{}]*\}")
_SCORE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:(?:/|out of)\s*5)?\s*")
_MATCH = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True)
class Verdict:
    """What a judge says of an answer."""

    correct: bool
    score: float
    """0 to 5."""


def read_verdict(reply: str) -> Verdict | None:
    """The verdict in a reply, or None: a JSON or Python object with `pred` yes or no and `score` 0..5.

    Code fences and words around the object do not matter; without a score, or with two objects that differ, there is
    no verdict.
    """
    found = {verdict for values in _objects(_THOUGHT.sub("", reply)) if (verdict := _verdict(values))}
    return found.pop() if len(found) == 1 else None


def read_published(reply: str) -> Verdict | None:
    """The verdict as the published scripts read it: the whole reply is a Python dictionary.

    "yes" anywhere in `pred` is tested before "no"; the score is cut to an integer, 4.8 to 4, and no range is asked of
    it.  Where the scripts would ask for ever (no dictionary) or leave an answer out of the accuracy (neither yes nor
    no), there is no verdict.
    """
    try:
        values = ast.literal_eval(reply)
        said, score = values["pred"].lower(), int(values["score"])
    except (ValueError, SyntaxError, TypeError, KeyError, AttributeError, OverflowError, MemoryError, RecursionError):
        return None
    if "yes" in said:
        return Verdict(True, score)
    return Verdict(False, score) if "no" in said else None


READERS: dict[Protocol, Callable[[str], Verdict | None]] = {"merv": read_verdict, "video-chatgpt": read_published}


def _objects(text: str) -> Iterator[dict[str, Any]]:
    for match in _OBJECT.finditer(text):
        values = _literal(match[0])
        if isinstance(values, dict):
            yield {str(key).lower(): value for key, value in values.items()}


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _verdict(values: dict[str, Any]) -> Verdict | None:
    said, score = values.get("pred"), _number(values.get("score"))
    correct = said if isinstance(said, bool) else _MATCH.get(str(said).strip(" .!\"'").lower())
    if correct is None or score is None or not 0 <= score <= 5:
        return None
    return Verdict(correct, score)


def _number(value: Any) -> float | None:
    if isinstance(value, str) and (match := _SCORE.fullmatch(value)):
        return float(match[1])
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
