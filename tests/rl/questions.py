"""Samples and answers for the tests of rewards."""

from merv.chat import Turn
from merv.data.sample import Sample
from merv.rl.answers import Answers, TrainerState


def asked(name: str = "row", answer: str | None = "a ring", **fields) -> Sample:
    """A question, with its answer unless that is None; `fields` are those of the sample."""
    turns = (Turn("user", "What is it?"), *(() if answer is None else (Turn("assistant", answer),)))
    return Sample(name, turns, **fields)


def said(*texts: str, samples: list[Sample] | None = None) -> Answers:
    """Answers to as many samples, row-0, row-1, ..."""
    samples = samples or [asked(f"row-{number}") for number in range(len(texts))]
    return Answers(texts, ["What is it?"] * len(texts), samples, TrainerState(3, 10))
