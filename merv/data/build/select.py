"""Which questions go because they are answered without the video, and what can be said of those that stay."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from merv.data.build.blind import Blind
from merv.data.build.validate import Question

Z = 1.959963984540054
"""Standard normal quantile of 0.975."""


@dataclass(frozen=True)
class Selection:
    """Places of questions, in their order."""

    kept: list[int]
    dropped: list[int]
    goals: Mapping[int, float]
    """Blind accuracy to come down to, by number of options."""
    above: list[int]
    """Numbers of options whose questions are still answered better than that."""


def select(
    questions: Sequence[Question], blind: Sequence[Blind], *, target: float, alpha: float, min_kept: int = 0
) -> Selection:
    """Drop what is known without the video, the most surely known first, until the rest is answered as by chance.

    A question may go when guessing would be right as often with a probability below `alpha`.  Among questions with
    equally many options they go until blind accuracy is at most `target`, or chance where that is more: with four
    options 0.25 is what guessing gives, and less than that would be a choice of its own.

    Args:
        questions: all of them.
        blind: how each was answered.
        target: blind accuracy to come down to.
        alpha: how unlikely guessing has to be.
        min_kept: questions that stay in any case.
    """
    places: dict[int, set[int]] = {}
    for place, question in enumerate(questions):
        places.setdefault(question.num_options, set()).add(place)
    goals = {size: max(target, 1 / size) for size in sorted(places)}
    sums = {size: sum(blind[place].share for place in own) for size, own in places.items()}
    chances = [by_chance(found, question.num_options) for question, found in zip(questions, blind, strict=True)]
    known = [place for place, chance in enumerate(chances) if chance < alpha]
    num_kept = len(questions)
    for place in sorted(known, key=lambda place: (chances[place], _draw(questions[place]))):
        size = questions[place].num_options
        if num_kept > min_kept and _is_above(sums[size], len(places[size]), goals[size]):
            places[size].remove(place)
            sums[size] -= blind[place].share
            num_kept -= 1
    kept = sorted(place for own in places.values() for place in own)
    dropped = sorted(set(range(len(questions))) - set(kept))
    above = [size for size in goals if _is_above(sums[size], len(places[size]), goals[size])]
    return Selection(kept, dropped, goals, above)


def by_chance(blind: Blind, num_options: int) -> float:
    """How likely guessing is right in at least as many rounds."""
    return (
        sum(
            math.comb(blind.rounds, right) * (num_options - 1) ** (blind.rounds - right)
            for right in range(blind.right, blind.rounds + 1)
        )
        / num_options**blind.rounds
    )


def accuracies(questions: Sequence[Question], blind: Sequence[Blind]) -> list[dict[str, object]]:
    """Blind accuracy by number of options, and of all together: rows of a report.

    The interval is Wilson's, 95 %, for as many trials as there are questions: rounds about one question say much the
    same, and counting them as trials of their own would promise too much.
    """
    sizes = sorted({question.num_options for question in questions})
    groups: list[tuple[int | str, list[int]]] = [
        (size, [place for place, question in enumerate(questions) if question.num_options == size]) for size in sizes
    ]
    groups.append(("all", list(range(len(questions)))))
    return [{"num_options": name, **_accuracy(questions, blind, places)} for name, places in groups]


def wilson(accuracy: float, num: int) -> tuple[float, float]:
    """95 % interval of a proportion among `num` trials."""
    if not num:
        return 0.0, 1.0
    middle = accuracy + Z**2 / (2 * num)
    half = Z * math.sqrt(accuracy * (1 - accuracy) / num + Z**2 / (4 * num**2))
    scale = 1 + Z**2 / num
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _accuracy(questions: Sequence[Question], blind: Sequence[Blind], places: Sequence[int]) -> dict[str, object]:
    num = len(places)
    if not num:
        return {"num_questions": 0, "accuracy": None, "interval": None, "chance": None, "num_unparsed": 0}
    accuracy = sum(blind[place].share for place in places) / num
    return {
        "num_questions": num,
        "accuracy": accuracy,
        "interval": list(wilson(accuracy, num)),
        "chance": sum(1 / questions[place].num_options for place in places) / num,
        "num_unparsed": sum(len(blind[place].unparsed) for place in places),
    }


def _is_above(total: float, num: int, goal: float) -> bool:
    return total > goal * num + 1e-9


def _draw(question: Question) -> str:
    """Decides among equals; the same in every run."""
    return sha256(f"{question.question}/{question.answer}".encode()).hexdigest()
