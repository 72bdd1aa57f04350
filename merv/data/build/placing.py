"""Seeded choices that come out even: how many options a question gets, and where the right one stands."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def in_turns(choices: Sequence[T], num: int, seed: str) -> list[T]:
    """Draw `num` times so that every choice comes as often as any other, within one.

    Each stretch of as many draws as there are choices holds all of them in a random order of its own, so that more
    draws leave the first ones as they are.
    """
    drawn: list[T] = []
    while len(drawn) < num:
        stretch = list(choices)
        random.Random(f"{seed}/{len(drawn)}").shuffle(stretch)
        drawn += stretch
    return drawn[:num]


def places_of_answers(sizes: Sequence[int], seed: int) -> list[int]:
    """Where the right option of each question stands, counted from 0.

    Args:
        sizes: options of each question, in the order of the file.
        seed: decides the places; they depend on nothing else.

    Returns:
        A place a question; among questions with equally many options each place comes as often, within one.
    """
    counts = Counter(sizes)
    places = {size: iter(in_turns(range(size), num, f"{seed}/place/{size}")) for size, num in counts.items()}
    return [next(places[size]) for size in sizes]


def with_answer_at(place: int, answer: str, wrong: Sequence[str], seed: str) -> list[str]:
    """Options with the right one at `place`, the wrong ones in a seeded order."""
    mixed = list(wrong)
    random.Random(seed).shuffle(mixed)
    return [*mixed[:place], answer, *mixed[place:]]
