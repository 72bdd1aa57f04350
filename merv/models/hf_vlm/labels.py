"""Which tokens of a conversation learn, for any chat template and any model's way of making room for media.

The template says where an answer stands: between the conversation so far with the words that call for an answer, and
the conversation with it.  Its tokens are then found among those the model's processor made.  A processor puts what it
likes in place of a placeholder (repeated tokens, rows with breaks, times); what stands between two placeholders it
leaves as it is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from merv.chat import IGNORE_INDEX
from merv.errors import SampleError
from merv.models.hf_vlm.messages import Message

Stretch = tuple[int, int]
"""First place and the place after the last."""
EDGE = 8
"""Tokens at the beginning of a stretch of words that may have joined with what a processor put before it."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as the template writes it, and where its answers stand in it."""

    text: str
    answers: tuple[Stretch, ...]
    """Characters, in order."""


def render(processor: Any, messages: Sequence[Message], *, answering: bool = False) -> str:
    """The conversation as the model reads it, one placeholder a medium.

    Raises:
        SampleError: the model's template refuses it.
    """
    from jinja2 import TemplateError

    try:
        return processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=answering)
    except TemplateError as error:
        raise SampleError(f"the model's chat template refuses the row: {' '.join(str(error).split())}") from error


def find_answers(processor: Any, messages: Sequence[Message], *, learn_newline: bool = False) -> Rendered:
    """Where the answers stand; an earlier one whose place the template changes later on is left out.

    Args:
        processor: of transformers.
        messages: of the conversation, with at least one answer.
        learn_newline: count white space the template writes behind an answer's end.

    Raises:
        SampleError: the last answer's place cannot be told.
    """
    text = render(processor, messages)
    turns = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    answers = []
    for turn in turns:
        found = _answer(processor, messages, turn, text)
        if found is not None:
            first, last = found
            answers.append((first, last if learn_newline else first + len(text[first:last].rstrip())))
        elif turn == turns[-1]:
            raise SampleError(
                "the model's chat template does not write the last answer behind its own call for an answer, so that "
                "there is nothing to learn from; use a model whose template does"
            )
    return Rendered(text, tuple(answer for answer in answers if answer[0] < answer[1]))


def _answer(processor: Any, messages: Sequence[Message], turn: int, text: str) -> Stretch | None:
    if turn == 0:
        return None
    try:
        before = render(processor, messages[:turn], answering=True)
        until = text if turn == len(messages) - 1 else render(processor, messages[: turn + 1])
    except SampleError:  # the template takes the whole, not this part
        return None
    fits = until.startswith(before) and text.startswith(until)
    return (len(before), len(until)) if fits else None


def labels_of(
    rendered: Rendered, ids: Sequence[int], plain: Sequence[int], offsets: Sequence[Stretch], media: Collection[int]
) -> list[int]:
    """A label for each of the processor's tokens.

    Args:
        rendered: the conversation with one placeholder a medium.
        ids: what the processor made of it, with room for media.
        plain: tokens of the conversation itself.
        offsets: characters each of them stands for.
        media: ids of placeholders.

    Raises:
        SampleError: the last answer is not among the tokens.
    """
    labels = [IGNORE_INDEX] * len(ids)
    answers = [places for places in (_tokens(offsets, answer) for answer in rendered.answers) if places]
    for first, last in place_answers(plain, ids, answers, media):
        labels[first:last] = ids[first:last]
    return labels


def _tokens(offsets: Sequence[Stretch], characters: Stretch) -> Stretch | None:
    """Tokens that hold some of the characters."""
    first, last = characters
    inside = [place for place, (start, end) in enumerate(offsets) if start < last and end > first and start < end]
    return (inside[0], inside[-1] + 1) if inside else None


def place_answers(
    plain: Sequence[int], ids: Sequence[int], answers: Sequence[Stretch], media: Collection[int]
) -> list[Stretch]:
    """Where answers given as places in `plain` stand in `ids`, which differs from it at placeholders.

    Stretches between placeholders are looked for from the end of the row to its beginning, each whole, from the token
    after the placeholder to the end of its last answer: words of an answer may occur elsewhere, all of that will not.

    Raises:
        SampleError: the last answer is not found.
    """
    starts = [-1, *(place for place, token in enumerate(plain) if token in media)]
    groups: dict[int, list[Stretch]] = {}
    for answer in answers:
        groups.setdefault(max(start for start in starts if start < answer[0]) + 1, []).append(answer)
    found: list[Stretch] = []
    limit = len(ids)
    for number, (start, group) in enumerate(reversed(groups.items())):
        shift = _shift(plain, ids, start, group, limit)
        if shift is None:
            if number == 0:
                raise SampleError(
                    "the last answer's tokens are not among those the model's processor made; "
                    "the row cannot be learnt from"
                )
            continue
        found += [(first + shift, last + shift) for first, last in group]
        limit = start + shift
    return sorted(found)


def _shift(plain: Sequence[int], ids: Sequence[int], start: int, answers: Sequence[Stretch], limit: int) -> int | None:
    """By how many places a stretch has moved; None when it is not there before `limit`."""
    end = answers[-1][1]
    if start == 0:  # nothing before it, so it has not moved
        return 0 if list(ids[:end]) == list(plain[:end]) else None
    for first in range(start, min(start + EDGE, answers[0][0] - 1) + 1):
        place = _last_place(ids, plain[first:end], limit)
        if place is not None:
            return place - first
    return None


def _last_place(ids: Sequence[int], wanted: Sequence[int], limit: int) -> int | None:
    wanted, size = list(wanted), len(wanted)
    for place in range(limit - size, -1, -1):
        if ids[place] == wanted[0] and list(ids[place : place + size]) == wanted:
            return place
    return None
