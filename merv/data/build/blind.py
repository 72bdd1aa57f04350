"""Questions asked without the video, each with its options in several orders: what is guessed, and what is known.

The right option stands at another place in every round, as far as there are places: a model that always says (A) is
right once in as many rounds as there are options.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from merv.data.build.placing import with_answer_at
from merv.data.build.prompts import blind_prompt
from merv.data.build.validate import Question, without_thoughts
from merv.endpoint.kept import KeptReplies, Replier

TRIES = 100
"""Draws of another order before one is repeated."""

Read = Callable[[str, Sequence[str]], int | None]
"""From a reply and the options to the place of the option it names; None when it names none."""


@dataclass(frozen=True)
class Blind:
    """How a question was answered without the video."""

    right: int
    """Rounds in which it was answered right."""
    rounds: int
    unparsed: tuple[str, ...] = ()
    """Replies that name no option; they count as wrong."""

    @property
    def share(self) -> float:
        """Part of the rounds in which it was answered right."""
        return self.right / self.rounds


def orders(question: Question, num: int, seed: int) -> list[tuple[list[str], int]]:
    """The options and the place of the right one in each of `num` rounds; more rounds leave the first as they are.

    No order comes twice while there are others, so that a later round asks something new.
    """
    generator = random.Random(f"{seed}/blind/{question.question}/{question.answer}")
    places = list(range(question.num_options))
    generator.shuffle(places)
    found: list[tuple[list[str], int]] = []
    for number in range(num):
        place = places[number % len(places)]
        for _ in range(TRIES):
            options = with_answer_at(place, question.answer, question.wrong, str(generator.random()))
            if (options, place) not in found:
                break
        found.append((options, place))
    return found


def ask_blind(
    questions: Sequence[Question],
    replier: Replier,
    kept: KeptReplies,
    read: Read,
    *,
    rounds: range,
    seed: int,
) -> list[Blind]:
    """How each question is answered by a model that sees nothing.

    Args:
        questions: what to ask.
        replier: the model.
        kept: the replies there are, and those to come.
        read: finds the option in a reply.
        rounds: numbers of the rounds; other numbers are other orders of the options.
        seed: decides the orders.

    Raises:
        RunStopped: the model cannot be reached; what it said is kept.
        ConfigError: it refuses to reply.
    """
    asked = {
        (place, number): (options, right)
        for place, question in enumerate(questions)
        for number, (options, right) in enumerate(orders(question, rounds.stop, seed))
        if number in rounds
    }
    prompts = {key: blind_prompt(questions[key[0]].question, options) for key, (options, _) in asked.items()}
    right, unparsed = [0] * len(questions), [list[str]() for _ in questions]
    for key, reply in kept.ask(replier, prompts).items():
        text, (options, wanted) = "" if reply is None else reply.text, asked[key]
        said = read(without_thoughts(text), options)
        right[key[0]] += said == wanted
        if said is None:
            unparsed[key[0]].append(text)
    return [Blind(count, len(rounds), tuple(odd)) for count, odd in zip(right, unparsed, strict=True)]
