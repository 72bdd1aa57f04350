"""How multiple-choice questions are put and answers read: our way, and those of publications.

Wordings are those of the repositories named; where one begins the model's answer for it (`Best option: (`), that
opening stands at the end of the question here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from merv.evaluation.parsing import parse_option
from merv.evaluation.published_parsers import LETTERS, reference_option, videomind_option

Ask = Callable[[str, Sequence[str], str], str]
"""(question, options, subtitles or "") -> prompt."""
Read = Callable[[str, Sequence[str]], int | None]
"""(answer, options) -> index of an option, or None."""


@dataclass(frozen=True)
class Protocol:
    """One way to ask and to read."""

    ask: Ask
    read: Read

    @property
    def parser(self) -> str:
        """Name of the reading for the card."""
        return f"{self.read.__name__}/1"


def bracketed(options: Sequence[str]) -> str:
    """`(A) ring` and so on, a line each."""
    return "\n".join(f"({LETTERS[i]}) {option}" for i, option in enumerate(options))


def dotted(options: Sequence[str]) -> str:
    """`A. ring` and so on, a line each."""
    return "\n".join(f"{LETTERS[i]}. {option}" for i, option in enumerate(options))


def told(subtitles: str) -> str:
    """Subtitles with a heading, or nothing."""
    return f"Subtitles:\n{subtitles}\n" if subtitles else ""


def ask_merv(question: str, options: Sequence[str], subtitles: str) -> str:
    """Our own wording."""
    return f"{told(subtitles)}{question}\n{bracketed(options)}\nAnswer with the letter of the right option."


def ask_reference(question: str, options: Sequence[str], subtitles: str) -> str:
    """MERV's, spaces before the first option included (princetonvisualai/merv, scripts/eval_mcq.py)."""
    letters = ", ".join(LETTERS[: len(options)])
    return (
        f"{told(subtitles)}{question} Select the correct answer from the following options. "
        f"Write your answer as only one of {letters} and nothing else.\n\n    {dotted(options)}"
    )


def ask_videomind(question: str, options: Sequence[str], subtitles: str) -> str:
    """VideoMind's, options beginning in a capital (yeliudev/VideoMind, videomind/eval/infer_auto.py)."""
    lines = bracketed([option[:1].upper() + option[1:] for option in options])
    return f"{told(subtitles)}{question}\nOptions:\n{lines}\nPlease only give the best option.\nBest Option: ("


def ask_lmms(question: str, options: Sequence[str], subtitles: str) -> str:
    """What most tasks of lmms-eval have in common (EvolvingLMMs-Lab/lmms-eval, lmms_eval/tasks)."""
    post = "Answer with the option's letter from the given choices directly."
    return f"{told(subtitles)}{question}\n{dotted(options)}\n{post}"


SHARED = {
    "merv": Protocol(ask_merv, parse_option),
    "reference": Protocol(ask_reference, reference_option),
    "videomind": Protocol(ask_videomind, videomind_option),
}
"""The protocols every multiple-choice benchmark has."""
