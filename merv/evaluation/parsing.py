"""From a model's free text to the option it means; a text that may mean two options means none."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

_ALONE = re.compile(r"^\W*([A-Za-z])\W*$")
"""The whole text is one letter: `A`, `(b)`, `C.`"""
_BARE = r"([B-HJ-Z])(?=\s(?!\s*(?:or|and)\b))"
"""A letter before other words; `A person` and `I think` begin like that too, so not these two."""
_LEADING = re.compile(rf"^\W*(?:\(([A-Za-z])\)|([A-Za-z])[).:](?=[\s*]|$)|{_BARE})(.*)$", re.DOTALL)
"""The text begins with a letter: `(B) cross`, `c. It moves`, `D because`."""
_NAMED = re.compile(
    rf"\b(?:answer|option|choice)\b(?:\s+is\b)?[\s:=*]*(?:\(([A-Z])\)|([A-Z])(?=[^\w\s'’-]|\s*$)|{_BARE})",
    re.IGNORECASE,
)
"""A letter that is announced: `Answer: D`, `the answer is (c)`, `option B is right`."""
_MARKED = re.compile(r"\(([A-Z])\)|(?<!\w)([A-Z])[.)](?=\s|$)")
"""A letter that is set off anywhere: `I think it is (B).`, `either A) or B)`."""

Rule = Callable[[str, Sequence[str]], set[int]]


def parse_option(text: str, options: Sequence[str]) -> int | None:
    """Index of the option that `text` names, by letter or by its words; None when it names none or several.

    The first of these rules that finds anything decides: the text is an option; is a letter; begins with a letter;
    announces a letter; has one set off; holds the words of an option, where a longer match hides the shorter ones
    inside it.  Case, punctuation and Unicode variants do not count, and a letter beyond the options is no letter.
    """
    text = unicodedata.normalize("NFKC", text)
    for rule in (_exact, _alone, _leading, _named, _marked, _contained):
        found = rule(text, options)
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _exact(text: str, options: Sequence[str]) -> set[int]:
    said = _words(text)
    return {i for i, option in enumerate(options) if said and _words(option) == said}


def _alone(text: str, options: Sequence[str]) -> set[int]:
    return _indices(_ALONE.findall(text), options)


def _leading(text: str, options: Sequence[str]) -> set[int]:
    match = _LEADING.match(text)
    found = _indices(_letters([match.groups()[:3]]), options) if match else set()
    # `(B) cross` where B is another option names two, and so does a list of options; what an explanation mentions in
    # passing does not count.
    return found | _exact(match[4], options) | _marked(match[4], options) if match and found else set()


def _named(text: str, options: Sequence[str]) -> set[int]:
    found = _indices(_letters(_NAMED.findall(text)), options)
    return found | _marked(text, options) if found else set()


def _marked(text: str, options: Sequence[str]) -> set[int]:
    return _indices(_letters(_MARKED.findall(text)), options)


def _contained(text: str, options: Sequence[str]) -> set[int]:
    said = _words(text)
    places = []
    for index, option in enumerate(options):
        words = _words(option)
        for start in range(len(said) - len(words) + 1) if words else ():
            if said[start : start + len(words)] == words:
                places.append((start, start + len(words), index))
    hidden = {
        (start, end, index)
        for start, end, index in places
        for other_start, other_end, _ in places
        if other_start <= start and end <= other_end and other_end - other_start > end - start
    }
    return {index for start, end, index in places if (start, end, index) not in hidden}


def _letters(groups: Iterable[Iterable[str | None]]) -> Iterator[str]:
    """The one group of each match that took part."""
    return (letter for group in groups for letter in group if letter)


def _indices(letters: Iterable[str], options: Sequence[str]) -> set[int]:
    return {i for letter in letters if (i := ord(letter.upper()) - ord("A")) < len(options)}


def _words(text: str) -> list[str]:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).split()
