"""What several paths found, made one: MUPA's reflection (https://github.com/longmalongma/MUPA, BSD-3-Clause;
MUPA/model/multi_agent/agents_opt.py), with its draws and its failures at few spans taken out.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence

from merv.agent.record import Candidate, Moment

TOP = 5
"""Moments kept of a path and in the end, and clusters."""
ITERATIONS = 10

Centre = tuple[float, float]


def products(candidates: Sequence[Candidate], *, top: int = TOP) -> list[Moment]:
    """Candidates scored by both experts: grounder times verifier, best first; the verifier parts equals.

    One the verifier could not see has score 0.
    """
    judged = [(each, each.grounder * (each.verifier or 0.0)) for each in candidates]
    judged.sort(key=lambda pair: (pair[1], pair[0].verifier or 0.0), reverse=True)
    return [(each.start, each.end, score) for each, score in judged[:top]]


def vote(answers: Sequence[tuple[Hashable | None, float]]) -> int:
    """Number of the path whose answer stands: the first to give the answer that most gave.

    Of answers given equally often it is the one whose paths are surer in sum, then that of the earlier path; one that
    cannot be read (None) has no vote.

    Args:
        answers: Of each path, in order, what it answered and how sure it is of its moment; at least one.
    """
    count: defaultdict[Hashable, int] = defaultdict(int)
    sure: defaultdict[Hashable, float] = defaultdict(float)
    for answer, confidence in answers:
        if answer is not None:
            count[answer] += 1
            sure[answer] += confidence
    if not count:
        return 0
    winner = max(count, key=lambda answer: (count[answer], sure[answer]))  # the first of equals
    return next(number for number, (answer, _) in enumerate(answers) if answer == winner)


def cluster(moments: Sequence[Moment], *, num_clusters: int = TOP, iterations: int = ITERATIONS) -> list[Moment]:
    """Moments of several paths drawn together by k-means over (start, end), weighted by their scores; best first.

    Centres begin at the most confident moments.  A cluster's score is the mean of its members'; one that has lost its
    members is left out, so there are at most as many as moments.
    """
    ordered = sorted(moments, key=lambda moment: moment[2], reverse=True)
    centres: list[Centre] = [moment[:2] for moment in ordered[:num_clusters]]
    members: dict[int, list[Moment]] = {}
    for _ in range(iterations):
        members = defaultdict(list)
        for moment in ordered:
            members[_nearest(moment, centres)].append(moment)
        centres = [_mean(members[k]) if k in members else centre for k, centre in enumerate(centres)]
    found = [(*centres[k], sum(m[2] for m in group) / len(group)) for k, group in sorted(members.items())]
    return sorted(found, key=lambda moment: moment[2], reverse=True)


def _nearest(moment: Moment, centres: Sequence[Centre]) -> int:
    """Number of the nearest centre, the first of equals."""
    return min(range(len(centres)), key=lambda k: (moment[0] - centres[k][0]) ** 2 + (moment[1] - centres[k][1]) ** 2)


def _mean(group: Sequence[Moment]) -> Centre:
    """Mean start and end by score; where all scores are 0 each counts the same."""
    weights = [score for _, _, score in group]
    if not sum(weights) > 0:
        weights = [1.0] * len(group)
    return _weighted([moment[0] for moment in group], weights), _weighted([moment[1] for moment in group], weights)


def _weighted(values: Sequence[float], weights: Sequence[float]) -> float:
    mean = sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)
    return min(max(mean, min(values)), max(values))  # rounding must not move equal values
