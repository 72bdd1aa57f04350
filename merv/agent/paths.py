"""MUPA's paths to a grounded answer, and their answers made one (https://github.com/longmalongma/MUPA, BSD-3-Clause;
MUPA/model/multi_agent/multi_path_opt.py).

1 grounds the question, answers on the best moment, verifies; 2 finds and chooses in one reply, verifies; 3 answers on
the whole video, grounds question and answer, verifies.  All verify "The moment when {question} {answer}".
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from merv.agent.case import Case
from merv.agent.record import ChainReply, Moment
from merv.agent.reflection import cluster, products, vote
from merv.agent.steps import Found, Steps
from merv.chat import Turn
from merv.evaluation.parsing import parse_option
from merv.models.qwen2_vl.targets import clean_query
from merv.models.qwen2_vl.tokens import RESERVED
from merv.video.stretches import widened

ANSWERING = (1, 2, 3)
"""The paths that answer a question."""
_BE_DO_HAVE = ("am", "is", "are", "was", "were", "do", "does", "did", "have", "has", "had")
_MODALS = ("will", "would", "shall", "should", "can", "could", "may", "might", "must")
AUXILIARIES = frozenset((*_BE_DO_HAVE, *_MODALS))
_CHOICE = re.compile(r"2\) Best choice: (\(([A-Z])\).*)")
"""The line of a joint reply that holds the choice."""
_RESERVED = re.compile("|".join(map(re.escape, RESERVED)))
_BECAUSE = re.compile(r"^(?:because|since|as)\s+", re.IGNORECASE)
_LETTER = re.compile(r"^\([A-Z]\)\s*")


@dataclass(frozen=True)
class Outcome:
    """What one path came to."""

    text: str
    answer: Hashable | None
    """An option's number, or the words of a free answer; None when it cannot be read."""
    moments: tuple[Moment, ...]
    record: Mapping[str, Any]

    @property
    def confidence(self) -> float:
        """Score of its best moment, 0..1."""
        return self.moments[0][2]


@dataclass(frozen=True)
class Said:
    """An answer as it was said, as it counts, and in words that others can be asked about."""

    text: str
    answer: int | str | None
    """As in `Outcome`."""
    words: str
    """Those of the option it names, else its own without a letter; none with a meaning of its own."""


def moment_query(question: str, answer: str = "") -> str:
    """`Why did the boy run?` and `Because he is late.` -> `The moment when the boy run he is late`.

    The question loses its first word and an auxiliary verb after it, the answer a leading `because`.
    """
    words = question.strip().rstrip("?.!！ ").lower().split()[1:]
    if words and words[0] in AUXILIARIES:
        words = words[1:]
    said = _BECAUSE.sub("", " ".join(answer.split())).rstrip(".!?，。")
    said = said[:1].lower() + said[1:]
    return " ".join(["The moment when", *words, *said.split()])


def answer_by_paths(
    steps: Steps,
    case: Case,
    paths: Sequence[int],
    turns: Sequence[Turn],
    min_seconds: float,
    record: Mapping[str, Any],
) -> ChainReply:
    """Answer a question by several paths: the answer most give, and their moments drawn together.

    Args:
        steps: Asks the roles.
        case: The question.
        paths: Of 1, 2 and 3; 4 answers no question and is passed over.
        turns: What the answerer is asked.
        min_seconds: Shortest stretch the answerer is shown.
        record: What stands in the record beside the paths.

    Raises:
        SampleError: the video cannot be shown.
    """
    chosen = [path for path in paths if path in ANSWERING]
    assert chosen, "Chain.refuses path 4 alone"
    outcomes = [_go(path, steps, case, turns, min_seconds) for path in chosen]
    winner = vote([(outcome.answer, outcome.confidence) for outcome in outcomes])
    found = [moment for outcome in outcomes for moment in outcome.moments]
    believed = [moment for moment in found if moment[2] > 0]  # guesses must not thin out what others found
    moments = cluster(believed or found)
    details = {
        "paths": [{"path": path, **outcome.record} for path, outcome in zip(chosen, outcomes, strict=True)],
        "winner": chosen[winner],
        "chosen": list(moments[0][:2]),
    }
    return ChainReply(outcomes[winner].text, tuple(moments), record={**record, **details})


def _go(path: int, steps: Steps, case: Case, turns: Sequence[Turn], min_seconds: float) -> Outcome:
    """One path."""
    if path == 1:
        query = clean_query(case.text)
        found = steps.ground(case, query, several=True)
        text, details = _answer(steps, case, widened(found.candidates[0].window, case.shown, min_seconds), turns)
        said = _read(text, case)
        return _outcome(steps, case, said, found, {"grounder": {"query": query, **found.plain()}, **details})
    if path == 2:
        found = steps.ground_and_choose(case)
        said, why = _choice(found.text, case)
        return _outcome(steps, case, said, found, {"gqa": found.plain(), **({"no_vote": why} if why else {})})
    text, details = _answer(steps, case, case.shown, turns)
    said = _read(text, case)
    query = moment_query(case.text, said.words)
    found = steps.ground(case, query, several=True)
    return _outcome(steps, case, said, found, {**details, "grounder": {"query": query, **found.plain()}})


def _answer(
    steps: Steps, case: Case, window: tuple[float, float], turns: Sequence[Turn]
) -> tuple[str, dict[str, Any]]:
    text = steps.answer(case, window, turns)
    return text, {"answerer": {"prompt": turns[-1].text, "shown": list(window), "text": text}}


def _outcome(steps: Steps, case: Case, said: Said, found: Found, details: Mapping[str, Any]) -> Outcome:
    """Verify what a path found for its answer."""
    query = moment_query(case.text, said.words)
    verified = steps.verify(case, query, found.candidates)
    moments = products(verified.candidates)
    record = {
        **details,
        "verifier": {"query": query, **verified.plain()},
        "candidates": [each.plain() for each in verified.candidates],
        "answer": said.answer,
        "moments": [list(moment) for moment in moments],
    }
    return Outcome(said.text, said.answer, tuple(moments), record)


def _choice(text: str, case: Case) -> tuple[Said, str | None]:
    """What a joint reply chooses; where that is not clear, its text without an answer, and why."""
    lines = [line for line in text.split("\n") if "Best choice" in line]
    choice = _CHOICE.fullmatch(lines[0].strip()) if len(lines) == 1 else None
    if choice is None:
        why = f"{len(lines)} lines with a choice" if len(lines) != 1 else "the choice has another form"
        return _said(text, None, case), f"{why}; expected one line `2) Best choice: (letter) option`"
    number = ord(choice[2]) - ord("A")
    if number >= len(case.options):
        return _said(text, None, case), f"the choice is ({choice[2]}) of {len(case.options)} options"
    return _said(choice[1], number, case), None


def _read(text: str, case: Case) -> Said:
    """What a text answers: an option's number, or its words without case and punctuation at the end."""
    if case.options:
        return _said(text, parse_option(text, case.options), case)
    return _said(text, " ".join(text.casefold().split()).rstrip(".!? ") or None, case)


def _said(text: str, answer: int | str | None, case: Case) -> Said:
    words = case.options[answer] if isinstance(answer, int) else _LETTER.sub("", text.strip())
    return Said(text, answer, _RESERVED.sub(" ", words))
