"""From a model's free text to the stretches of time it names; a text that may mean several things means none."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

from merv.evaluation.metrics.spans import Window, clamp
from merv.evaluation.span_times import NUMBER, TIME, UNIT, has_unit, seconds_of

_LEAD = r"(?:(?:(?:the|about|around|approximately|roughly|at)\s+)*(?:(?:seconds?|timestamps?|t)\s*[:=]?\s*)?)"
"""What may stand before a time: `about`, `second`, `t =`."""
_TO = r"\s*(?:-+>?|=>|→|~|\.{2,}|\b(?:up\s+)?to\b|\buntil\b|\btill\b|\bthrough\b)\s*"
_PAIR = re.compile(
    rf"(?P<lead>{_LEAD})(?P<a>{TIME})(?:{_TO}(?P<lead2>{_LEAD})|(?P<and>\s+and\s+){_LEAD})(?P<b>{TIME})"
    rf"(?P<more>(?:{_TO}{_LEAD}{TIME})*)"
)
_LISTED = re.compile(rf"[\[(<{{]\s*(?P<a>{TIME.replace(',', '')})\s*[,;]\s*(?P<b>{TIME})\s*[\])>}}]")
"""`[12.5s, 20s]`, `(3, 7)`."""
_NAMED = re.compile(
    rf"\b(?:start|begin)[a-z]*[\s_]*(?:time|timestamp|point)?\W*(?:(?:at|is|from)\W+)?{_LEAD}(?P<a>{TIME})"
    rf"(?:(?!\b(?:start|begin)).){{0,80}}?"
    rf"(?:\b(?:end|finish|stop|conclud)[a-z]*[\s_]*(?:time|timestamp|point)?\W*(?:(?:at|is)\W+)?{_LEAD}(?P<b>{TIME})"
    rf"|\blast(?:s|ing)\s+(?:for\s+)?{_LEAD}(?P<length>{TIME}))",
    re.DOTALL,
)
"""`starts at 3 s and ends at 7 s`, `start: 3, end: 7`, `begins at 0:05 and lasts 4 seconds`."""
_TO_END = re.compile(rf"(?P<a>{TIME}){_TO}(?:the\s+)?(?:very\s+)?end\b")
_FROM_START = re.compile(
    rf"\b(?:beginning|start)(?:\s+of\s+the\s+(?:video|clip))?(?:\s*\({TIME}\))?{_TO}{_LEAD}(?P<b>{TIME})"
)
_FIRST_LAST = re.compile(rf"\b(?P<which>first|last|final)\s+(?P<a>{NUMBER}\s*-?{UNIT})")
_WHOLE = re.compile(
    r"\b(?:(?:whole|entire|full)\s+(?:video|clip)|throughout\s+the\s+(?:video|clip)"
    r"|(?:beginning|start)(?:\s+of\s+the\s+\w+)?\s+(?:to|until)\s+(?:the\s+)?end)\b"
)
_ANGLE = re.compile(rf"<\s*({NUMBER})\s*(?:s|sec|seconds?)?\s*>")
_CUE = re.compile(
    r"\b(?:from|between|during|at|in|spans?|windows?|intervals?|moments?|times?|timestamps?|range|answer)"
    r"\W*(?:(?:is|are)\W*)?$"
)
"""Words after which two plain numbers are times."""
_NO_TIME = re.compile(r"(?:\b(?:frames?|steps?|options?|numbers?|pages?|parts?|scores?|scenes?|chapters?)|[#$€£])\W*$")
"""Words after which they are not."""
_AFTER = re.compile(
    r"\s*(?:$|[^\w\s]|(?:the|a|an|in|of|on|at|when|while|as|where|he|she|they|it|and|or|which|that|there|is|are)\b)"
)
"""What may follow two plain numbers; `2 to 3 people` counts something."""
_JOINT = re.compile(r"(?:\W|and\b|then\b|\d+\.\s)*")
"""What stands between the spans of a list."""
_OR = re.compile(r"\W*or\b\W*(?:(?:maybe|perhaps|from|between|at)\b\W*)*")
"""What stands between two spans of which one is meant."""
_OPENING = re.compile(r"[\[{]")
_START_KEYS = ("start", "start_time", "start_sec", "begin", "from", "s", "t_start")
_END_KEYS = ("end", "end_time", "end_sec", "stop", "to", "e", "t_end")


def parse_spans(text: str, duration: float) -> list[Window]:
    """Spans in seconds that `text` names for a video of `duration` seconds, as listed; none when it is ambiguous.

    Ends are put in order and clamped to 0..duration; a span that begins at the video's end or later is none.  Clocks,
    units, shares of the duration, JSON, `starts at .. ends at ..`, `the first 5 seconds` and `the whole video` are
    read; two plain numbers only where nothing else can be meant.  What follows `answer:` goes before what comes
    earlier, and a single instant is no span.

    Args:
        text: what the model said.
        duration: seconds; infinite when not known, and then shares and `to the end` are not read.
    """
    return inside(read_spans(text, duration), duration)


def inside(spans: Sequence[Window], duration: float) -> list[Window]:
    """Spans clamped to the video, those wholly outside left out, each once."""
    kept = [clamp(span, duration) for span in spans if min(span) < duration and max(span) >= 0]
    return list(dict.fromkeys(kept))


def read_spans(text: str, duration: float) -> list[Window]:
    """The same before clamping, so that a caller can count what lies past the duration; ends in order."""
    text = _normalised(text)
    for part in _parts(text):
        for rule in (_json, _angles, _strong, _named, _edges, _plain, _whole):
            if found := [span for span in rule(part, duration) if all(isfinite(second) for second in span)]:
                return [(min(span), max(span)) for span in found]
            if _alternatives(part):
                break
    return []


def without_spans(text: str) -> str:
    """The text without its pairs of times, for a parser of something else that stands beside them."""
    return re.sub(
        rf"(?:\b(?:from|between|during|at|in|time|moment|span)\W*)?[\[(<{{]*\s*{_PAIR.pattern}[\s\])>}}]*"
        rf"|{_LISTED.pattern.replace('?P<a>', '?:').replace('?P<b>', '?:')}|{_ANGLE.pattern}",
        " ",
        _unified(text),
        flags=re.IGNORECASE,
    )


def _unified(text: str) -> str:
    return re.sub("[\u2010-\u2015\u2212]", "-", unicodedata.normalize("NFKC", text))


def _normalised(text: str) -> str:
    return _unified(text).lower().rpartition("</think>")[2]


def _parts(text: str) -> Iterator[str]:
    """The text from its most to its least telling part: in the answer tag, after `answer:`, all of it."""
    if tagged := re.findall(r"<answer>(.*?)(?:</answer>|$)", text, re.DOTALL):
        yield tagged[-1]
    _, cue, rest = text.rpartition("answer:")
    if cue:
        yield rest
    yield text


def _json(text: str, duration: float) -> list[Window]:
    """Pairs in the lists and objects of the text."""
    spans: list[Window] = []
    decoder, place = json.JSONDecoder(), 0
    while (opening := _OPENING.search(text, place)) is not None:
        try:
            value, place = decoder.raw_decode(text, opening.start())
        except (json.JSONDecodeError, RecursionError):
            place = opening.end()
        else:
            spans += _collect(value, duration)
    return spans


def _collect(value: Any, duration: float) -> list[Window]:
    if isinstance(value, dict):
        start = next((value[key] for key in _START_KEYS if key in value), None)
        end = next((value[key] for key in _END_KEYS if key in value), None)
        pair = _pair_of([start, end], duration)
        return [pair] if pair else [span for inner in value.values() for span in _inner(inner, duration)]
    pair = _pair_of(value, duration)
    return [pair] if pair else [span for inner in value for span in _inner(inner, duration)]


def _inner(value: Any, duration: float) -> list[Window]:
    if isinstance(value, list | dict):
        return _collect(value, duration)
    return _strong(value, duration) or _plain(value, duration) if isinstance(value, str) else []


def _pair_of(values: Sequence[Any], duration: float) -> Window | None:
    """Two times, with the confidence behind them or without."""
    if len(values) == 3 and isinstance(values[2], float) and 0 <= values[2] <= 1:
        values = values[:2]
    if len(values) != 2:
        return None
    start, end = (_json_seconds(value, duration) for value in values)
    return None if start is None or end is None else (start, end)


def _json_seconds(value: Any, duration: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        return seconds_of(value.strip(), duration) if re.fullmatch(TIME, value.strip()) else None
    return float(value) if abs(value) < 1e12 else None


def _angles(text: str, duration: float) -> list[Window]:
    """Exactly two times in angle brackets, as LITA writes them: `<12.50> <20.00> The man ...`."""
    found = _ANGLE.findall(text)
    return [(seconds_of(found[0], duration), seconds_of(found[1], duration))] if len(found) == 2 else []


def _strong(text: str, duration: float) -> list[Window]:
    """Pairs that carry a unit or a clock, and what is listed beside them."""
    listed = [_ends(match, duration) for match in _LISTED.finditer(text)]
    return listed or _accepted(text, duration, _is_strong)


def _plain(text: str, duration: float) -> list[Window]:
    """Pairs of plain numbers after a word for times, with decimals, or with nothing beside them."""
    return _accepted(text, duration, _is_plain)


def _accepted(text: str, duration: float, rule: Callable[[re.Match[str]], bool]) -> list[Window]:
    pairs = [match for match in _PAIR.finditer(_unbracketed(text)) if _is_pair(match)]
    chosen = [rule(match) for match in pairs]
    for order in (range(1, len(pairs)), range(len(pairs) - 2, -1, -1)):  # neighbours in a list, after and before
        for index in order:
            other = index - 1 if order.step > 0 else index + 1
            first, second = sorted((index, other))
            gap = pairs[index].string[pairs[first].end() : pairs[second].start()]
            chosen[index] |= chosen[other] and _JOINT.fullmatch(gap) is not None and _may_end(pairs[index])
    kept = [match for match, keep in zip(pairs, chosen, strict=True) if keep]
    return [] if _alternatives(text) else [_ends(match, duration) for match in kept]


def _unbracketed(text: str) -> str:
    """Without the marks around times; a number between angle brackets becomes seconds."""
    return re.sub(r"[\[\]<>{}*`\"'](?!\d*>)", " ", _ANGLE.sub(r" \1s ", text).replace("->", "-"))


def _is_pair(match: re.Match[str]) -> bool:
    """Neither a chain such as a date, nor `1 and 2` without `between`, nor something counted."""
    before = match.string[: match.start()]
    joined = match["and"] is None or re.search(r"\bbetween\s*$", before) is not None
    return joined and not match["more"] and not _NO_TIME.search(before)


def _is_strong(match: re.Match[str]) -> bool:
    return any(has_unit(match[name]) for name in "ab") or bool(re.search(r"\b(?:second|timestamp|t\b)", match["lead"]))


def _is_plain(match: re.Match[str]) -> bool:
    before, after = match.string[: match.start()], match.string[match.end() :]
    alone = _JOINT.fullmatch(_PAIR.sub(" ", match.string)) is not None
    decimal = "." in match["a"] and "." in match["b"]
    return alone or (_may_end(match) and bool(_AFTER.match(after)) and (decimal or bool(_CUE.search(before))))


def _may_end(match: re.Match[str]) -> bool:
    return _AFTER.match(match.string[match.end() :]) is not None


def _alternatives(text: str) -> bool:
    """Whether the text offers one pair or another."""
    pairs = list(_PAIR.finditer(_unbracketed(text)))
    gaps = [a.string[a.end() : b.start()] for a, b in pairwise(pairs)]
    return any(_OR.fullmatch(gap) for gap in gaps)


def _named(text: str, duration: float) -> list[Window]:
    return [_ends(match, duration) for match in _NAMED.finditer(text)]


def _edges(text: str, duration: float) -> list[Window]:
    """Spans that begin or end with the video."""
    text = _unbracketed(text)
    found = [(seconds_of(match["a"], duration), duration) for match in _TO_END.finditer(text)]
    found += [(0.0, seconds_of(match["b"], duration)) for match in _FROM_START.finditer(text)]
    for match in _FIRST_LAST.finditer(text):
        length = seconds_of(match["a"], duration)
        found.append((0.0, length) if match["which"] == "first" else (duration - length, duration))
    return found


def _whole(text: str, duration: float) -> list[Window]:
    return [(0.0, duration)] if _WHOLE.search(text) else []


def _ends(match: re.Match[str], duration: float) -> Window:
    """Seconds of a match's times; a unit that only one of them has is the other's too."""
    groups = match.groupdict()
    if length := groups.get("length"):
        start = seconds_of(groups["a"], duration)
        return start, start + seconds_of(length, duration)
    first, second = groups["a"], groups["b"]
    units = [re.search(rf"{UNIT}$", time) for time in (first, second)]
    if units[1] and not has_unit(first):
        first += units[1][0]
    if units[0] and not has_unit(second):
        second += units[0][0]
    return seconds_of(first, duration), seconds_of(second, duration)
